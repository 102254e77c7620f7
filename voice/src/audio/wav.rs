//! Reads and writes WAV files of 8 kHz, mono, 16 bit.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use thiserror::Error;

pub const SAMPLE_RATE: u32 = 8_000;

/// Why a WAV file could not be read or written.
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

/// Writes samples to a file, replacing an existing one. Only its owner may read it, because it may contain a code.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, samples: &[i16]) -> Result<(), WavError> {
    let file = create_private(path).map_err(hound::Error::from)?;
    let mut file = WavWriter::new(BufWriter::new(file), SPEC)?;
    for sample in samples {
        file.write_sample(*sample)?;
    }
    file.finalize()?;
    Ok(())
}

/// Creates or empties a file with mode 0600.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(true);
    let file = file.mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Reads a file in the format of [`write`].
///
/// # Errors
/// If the file cannot be read or has another format.
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
    fn a_written_file_is_private_even_if_it_existed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write(&path, &[1, 2]).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(read(&path).unwrap(), [1, 2]);
    }

    #[test]
    fn written_samples_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        let samples = [0, 1, -1, i16::MAX, i16::MIN];
        write(&path, &samples).unwrap();
        assert_eq!(read(&path).unwrap(), samples);
    }
}
