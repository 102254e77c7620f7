//! Prints what the sandbox's recogniser hears in a WAV file of 8 kHz, mono, 16 bit: `hear FILE.wav`.

use std::path::Path;
use std::process::ExitCode;

use nexo_voice::audio::wav;
use nexo_voice::sandbox::recogniser::{Recogniser, Word};

/// Samples of one packet.
const PACKET: usize = 160;

fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1) else {
        eprintln!("usage: hear FILE.wav");
        return ExitCode::from(2);
    };
    let samples = match wav::read(Path::new(&file)) {
        Ok(samples) => samples,
        Err(error) => {
            eprintln!("cannot read {}: {error}", Path::new(&file).display());
            return ExitCode::FAILURE;
        }
    };
    let mut recogniser = Recogniser::new();
    for (packet, samples) in samples.chunks(PACKET).enumerate() {
        for word in recogniser.push(samples) {
            let seconds = packet as f32 * 0.02;
            match word {
                Word::Digit(digit) => println!("{seconds:6.2} s  {digit}"),
                Word::Phrase => println!("{seconds:6.2} s  phrase"),
                Word::Unknown => println!("{seconds:6.2} s  not understood"),
            }
        }
    }
    let heard = recogniser.finish();
    println!("readings: {}", heard.readings.join(", "));
    println!("heard: {}", heard.digits);
    ExitCode::SUCCESS
}
