//! Reads the WAV files of a studio: common sample rates, one or two channels.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader};

use super::error::RecordingError;
use super::prepare::{Flaw, PromptKind, prepare};
use crate::speech::language_prompts::LanguagePrompts;

/// The accepted sample rates.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;
/// A longer file is not even read.
const MAX_FILE_SECONDS: u32 = 60;

/// Reads all prompts of a folder in telephone format, and returns them with the number of files.
/// The slow digits may all be omitted: then the second reading uses the normal ones, with its
/// longer pauses.
pub(super) fn read_folder(
    folder: &Path,
) -> Result<(LanguagePrompts<Vec<i16>>, usize), RecordingError> {
    let file = |name: &str| folder.join(format!("{name}.wav"));
    let has_slow = (0..10).any(|digit| file(&format!("slow-{digit}")).exists());
    let files = Cell::new(0);
    let prompts = LanguagePrompts::load(|name| {
        let (kind, name) = match name.strip_prefix("slow-") {
            Some(digit) if !has_slow => (PromptKind::Digit, digit),
            Some(_) => (PromptKind::Digit, name),
            None if name.len() == 1 => (PromptKind::Digit, name),
            None => (PromptKind::Phrase, name),
        };
        let file = file(name);
        let (samples, rate) = samples(&file)?;
        files.set(files.get() + 1);
        prepare(&samples, rate, kind).map_err(|flaw| RecordingError::Flawed { file, flaw })
    })?;
    // Without slow digits, each digit file was read twice.
    let repeated = if has_slow { 0 } else { 10 };
    Ok((prompts, files.get() - repeated))
}

/// Returns the samples of one file from -1 to 1, with both channels mixed, and their rate.
fn samples(file: &Path) -> Result<(Vec<f32>, u32), RecordingError> {
    if !file.exists() {
        let file = file.to_path_buf();
        return Err(RecordingError::Missing { file });
    }
    let unreadable = |source| RecordingError::Unreadable { file: PathBuf::from(file), source };
    let flawed = |flaw| RecordingError::Flawed { file: PathBuf::from(file), flaw };
    let reader = WavReader::open(file).map_err(unreadable)?;
    let (spec, length) = (reader.spec(), reader.duration());
    if !matches!(spec.channels, 1 | 2) {
        return Err(flawed(Flaw::Channels(spec.channels)));
    }
    if !RATES.contains(&spec.sample_rate) {
        return Err(flawed(Flaw::Rate(spec.sample_rate)));
    }
    if length > MAX_FILE_SECONDS * spec.sample_rate {
        let max = MAX_FILE_SECONDS * 1000;
        let millis = u64::from(length) * 1000 / u64::from(spec.sample_rate);
        return Err(flawed(Flaw::TooLong { millis: millis as u32, max }));
    }
    let read: Result<Vec<f32>, hound::Error> = match spec.sample_format {
        SampleFormat::Float => reader.into_samples::<f32>().collect(),
        SampleFormat::Int => {
            let full = (1u64 << (spec.bits_per_sample - 1)) as f32;
            let samples = reader.into_samples::<i32>();
            samples.map(|s| s.map(|s| s as f32 / full)).collect()
        }
    };
    let read = read.map_err(unreadable)?;
    if read.iter().any(|sample| !sample.is_finite()) {
        return Err(flawed(Flaw::NotFinite));
    }
    let channels = usize::from(spec.channels);
    let mono = read.chunks_exact(channels);
    let mono = mono.map(|frame| frame.iter().sum::<f32>() / channels as f32);
    Ok((mono.collect(), spec.sample_rate))
}
