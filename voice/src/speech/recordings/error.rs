//! The errors of importing and loading recordings.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::prepare::Flaw;

/// Why recordings cannot be used. Each message names the file and the remedy.
#[derive(Debug, Error)]
pub enum RecordingError {
    #[error("{} has no folder vi and no folder en: put the recordings of a language into its folder", dir.display())]
    NoLanguage { dir: PathBuf },
    #[error("{} is missing", file.display())]
    Missing { file: PathBuf },
    #[error("{} is not a readable WAV file: {source}", file.display())]
    Unreadable { file: PathBuf, source: hound::Error },
    #[error("{} {flaw}", file.display())]
    Flawed { file: PathBuf, flaw: Flaw },
    #[error("cannot write {}: {source}", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    #[error("{} holds no recordings: run nexo prompts import first", dir.display())]
    NothingImported { dir: PathBuf },
    #[error("{} is not as nexo prompts import wrote it ({what}): import the recordings again", file.display())]
    Broken { file: PathBuf, what: String },
}
