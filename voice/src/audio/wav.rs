//! WAV files: 8 kHz, mono, 16 bit.

use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use thiserror::Error;

pub const SAMPLE_RATE: u32 = 8_000;

/// A WAV file that could not be written or read.
#[derive(Debug, Error)]
pub enum WavError {
    #[error(transparent)]
    File(#[from] hound::Error),
    #[error("the file is not 8 kHz, mono, 16 bit")]
    OtherFormat,
}

const SPEC: WavSpec = WavSpec {
    channels: 1,
    sample_rate: SAMPLE_RATE,
    bits_per_sample: 16,
    sample_format: SampleFormat::Int,
};

/// Writes samples to a new file, or over an old one.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, samples: &[i16]) -> Result<(), WavError> {
    let mut file = WavWriter::create(path, SPEC)?;
    for sample in samples {
        file.write_sample(*sample)?;
    }
    file.finalize()?;
    Ok(())
}

/// Reads a file as [`write`] makes it.
///
/// # Errors
/// When it cannot be read, or is of another format.
pub fn read(path: &Path) -> Result<Vec<i16>, WavError> {
    let file = WavReader::open(path)?;
    if file.spec() != SPEC {
        return Err(WavError::OtherFormat);
    }
    Ok(file.into_samples().collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        let samples = [0, 1, -1, i16::MAX, i16::MIN];
        write(&path, &samples).unwrap();
        assert_eq!(read(&path).unwrap(), samples);
    }
}
