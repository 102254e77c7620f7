//! Imports tones instead of speech: input at any rate becomes 8 kHz, trimmed and levelled.

use std::f32::consts::TAU;
use std::path::Path;

use hound::{SampleFormat, WavSpec, WavWriter};
use nexo_domain::otp::{Code, Language, Reading};
use proptest::prelude::*;

use super::prepare::{PromptKind, prepare};
use super::*;
use crate::audio::spectrum::energy_share;

/// A sine wave with silence around it.
fn tone(hertz: f32, rate: u32, millis: u32, level: f32) -> Vec<f32> {
    let count = |millis: u32| (rate * millis / 1000) as usize;
    let mut samples = vec![0.0; count(150)];
    let step = TAU * hertz / rate as f32;
    samples.extend((0..count(millis)).map(|n| level * (step * n as f32).sin()));
    samples.resize(samples.len() + count(250), 0.0);
    samples
}

fn loudness(samples: &[i16]) -> f32 {
    let power: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    10.0 * (power / samples.len() as f64 / 32_768f64.powi(2)).log10() as f32
}

#[test]
fn a_tone_of_any_rate_keeps_its_frequency_and_is_trimmed_and_levelled() {
    for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000] {
        for level in [0.02, 0.9] {
            let made = prepare(&tone(1_000.0, rate, 400, level), rate, PromptKind::Digit).unwrap();
            assert_eq!(made.len() % FRAME, 0);
            let millis = made.len() / 8;
            assert!((400..=440).contains(&millis), "{rate}: {millis} ms");
            assert!(energy_share(1_000.0, &made) > 0.85, "{rate}");
            let loud = loudness(&made);
            assert!((-19.5..-18.0).contains(&loud), "{rate}: {loud} dB");
            let peak = made.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!(peak < 23_300, "{rate}: {peak}");
        }
    }
}

#[test]
fn frequencies_above_the_band_do_not_alias() {
    // Without a filter, 5 kHz would alias to 3 kHz.
    let mut both = tone(1_000.0, 48_000, 400, 0.3);
    for (sample, high) in both.iter_mut().zip(tone(5_000.0, 48_000, 400, 0.3)) {
        *sample += high;
    }
    let made = prepare(&both, 48_000, PromptKind::Digit).unwrap();
    assert!(energy_share(1_000.0, &made) > 0.85);
    assert!(energy_share(3_000.0, &made) < 0.001);
}

#[test]
fn silent_short_and_long_recordings_are_rejected() {
    let made = |samples: &[f32], kind| prepare(samples, 8_000, kind).map(|made| made.len());
    assert_eq!(made(&[0.0; 8_000], PromptKind::Digit), Err(Flaw::Silent));
    assert_eq!(made(&[], PromptKind::Digit), Err(Flaw::Silent));
    let short = made(&tone(800.0, 8_000, 40, 0.5), PromptKind::Digit);
    assert!(matches!(short, Err(Flaw::TooShort { min: 100, .. })), "{short:?}");
    let long = made(&tone(800.0, 8_000, 2_000, 0.5), PromptKind::Digit);
    assert!(matches!(long, Err(Flaw::TooLong { max: 1_500, .. })), "{long:?}");
    assert!(made(&tone(800.0, 8_000, 2_000, 0.5), PromptKind::Phrase).is_ok());
}

#[test]
fn a_recording_with_the_tone_of_a_key_is_rejected() {
    let [low, high] = [770.0, 1336.0].map(|hertz| tone(hertz, 48_000, 300, 0.3));
    let both: Vec<f32> = low.iter().zip(high).map(|(low, high)| low + high).collect();
    assert_eq!(prepare(&both, 48_000, PromptKind::Phrase), Err(Flaw::KeyTone));
}

proptest! {
    #[test]
    fn any_recording_is_converted_or_rejected(
        samples in prop::collection::vec(-1.0f32..=1.0, 0..6_000), rate in 8_000u32..=192_000,
    ) {
        if let Ok(made) = prepare(&samples, rate, PromptKind::Phrase) {
            prop_assert_eq!(made.len() % FRAME, 0);
            prop_assert!(!made.is_empty());
        }
    }
}

fn write_wav(file: &Path, samples: &[f32], rate: u32, channels: u16) {
    let spec = WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 24,
        sample_format: SampleFormat::Int,
    };
    let mut wav = WavWriter::create(file, spec).unwrap();
    for sample in samples {
        for _ in 0..channels {
            wav.write_sample((sample * 8_388_000.0) as i32).unwrap();
        }
    }
    wav.finalize().unwrap();
}

/// Writes a folder of one language in stereo at 44.1 kHz, all prompts the same tone, without slow
/// digits.
fn write_studio_folder(folder: &Path, hertz: f32) {
    fs::create_dir_all(folder).unwrap();
    let phrases = ["press-key", "greeting", "again", "goodbye"].map(str::to_owned);
    for name in phrases.into_iter().chain((0..10).map(|d| d.to_string())) {
        let file = folder.join(format!("{name}.wav"));
        write_wav(&file, &tone(hertz, 44_100, 300, 0.5), 44_100, 2);
    }
}

#[test]
fn an_import_replaces_one_language_and_leaves_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (from, into) = (dir.path().join("from"), dir.path().join("voice"));
    write_studio_folder(&from.join("vi"), 700.0);
    let imported = |language| ImportedLanguage { language, files: 14 };
    assert_eq!(import(&from, &into).unwrap(), [imported(Language::Vi)]);
    let code = Code::parse("4827").unwrap();
    let reading = |language| Reading { language, repeat: 2, digit_gap_ms: 350 };
    let render = |set: &PromptSet, language| set.render(&code, reading(language));
    let set = load(&into).unwrap();
    assert!(energy_share(700.0, &set.digit_samples(Language::Vi, 3, true)) > 0.8);
    let built_in = PromptSet::built_in();
    assert_eq!(render(set, Language::En), render(built_in, Language::En));

    fs::remove_dir_all(&from).unwrap();
    write_studio_folder(&from.join("en"), 1_300.0);
    assert_eq!(import(&from, &into).unwrap(), [imported(Language::En)]);
    let both = load(&into).unwrap();
    assert!(energy_share(1_300.0, &both.digit_samples(Language::En, 3, false)) > 0.8);
    assert_eq!(render(both, Language::Vi), render(set, Language::Vi));
    // Only the current set and the link to it.
    assert_eq!(fs::read_dir(&into).unwrap().count(), 2);
}

#[test]
fn an_unusable_recording_is_named_and_nothing_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (from, into) = (dir.path().join("from"), dir.path().join("voice"));
    let error = import(dir.path(), &into).unwrap_err().to_string();
    assert!(error.contains("no folder vi and no folder en"), "{error}");
    write_studio_folder(&from.join("vi"), 700.0);
    import(&from, &into).unwrap();
    let seven = from.join("vi/7.wav");
    type Damage = fn(&Path);
    let cases: [(Damage, &str); 7] = [
        (|file| fs::remove_file(file).unwrap(), "vi/7.wav is missing"),
        (|file| fs::write(file, "RIFF").unwrap(), "vi/7.wav is not a readable WAV file"),
        (
            |file| write_wav(file, &tone(700.0, 8_000, 300, 0.5), 8_000, 3),
            "vi/7.wav has 3 channels",
        ),
        (
            |file| write_wav(file, &tone(700.0, 4_000, 300, 0.5), 4_000, 1),
            "vi/7.wav has 4000 samples per second",
        ),
        (|file| write_wav(file, &[0.0; 8_000], 8_000, 1), "vi/7.wav is silent"),
        (|file| write_wav(file, &tone(700.0, 8_000, 30, 0.5), 8_000, 1), "vi/7.wav is too short"),
        (|file| write_wav(file, &vec![0.5; 70 * 8_000], 8_000, 1), "vi/7.wav is too long"),
    ];
    for (damage, expected) in cases {
        damage(&seven);
        let error = import(&from, &into).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let set = load(&into).unwrap();
        assert!(energy_share(700.0, &set.digit_samples(Language::Vi, 7, false)) > 0.8);
    }
    // With one slow digit, all are required.
    write_wav(&seven, &tone(700.0, 8_000, 300, 0.5), 8_000, 1);
    write_wav(&from.join("vi/slow-0.wav"), &tone(700.0, 8_000, 300, 0.5), 8_000, 1);
    let error = import(&from, &into).unwrap_err().to_string();
    assert!(error.contains("vi/slow-1.wav is missing"), "{error}");
}

#[test]
fn a_damaged_directory_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let (from, into) = (dir.path().join("from"), dir.path().join("voice"));
    let error = load(&into).unwrap_err().to_string();
    assert!(error.contains("holds no recordings"), "{error}");
    write_studio_folder(&from.join("en"), 700.0);
    import(&from, &into).unwrap();
    let four = into.join(CURRENT).join("en/4.wav");
    write_wav(&four, &tone(700.0, 16_000, 300, 0.5), 16_000, 1);
    let error = load(&into).unwrap_err().to_string();
    assert!(error.contains("4.wav is not as nexo prompts import wrote it"), "{error}");
    fs::remove_file(four).unwrap();
    let error = load(&into).unwrap_err().to_string();
    assert!(error.contains("en/4.wav is not as"), "{error}");
}
