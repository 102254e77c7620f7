//! Studio recordings in the place of the built-in voice: taken in once, checked and made fit for the
//! telephone, and kept in a directory of their own.
//!
//! ```text
//! DIR/current -> set-…            replaced in one step
//! DIR/set-…/vi/greeting.wav       8 kHz, mono, 16 bit, whole frames; 24 prompts a language
//! ```
//!
//! A language that was never recorded is spoken by the built-in voice.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nexo_domain::otp::Language;
use rand::RngExt;
use thiserror::Error;

mod prepare;
mod studio;

pub use prepare::Flaw;

use crate::audio::wav;
use crate::speech::prompts::{FRAME, PromptSet, Words};

const LANGUAGES: [Language; 2] = [Language::Vi, Language::En];
const CURRENT: &str = "current";

/// Why recordings cannot be used. Each names the file and what is to be done.
#[derive(Debug, Error)]
pub enum RecordingError {
    #[error("{} has no folder vi and no folder en: put a language's recordings into its folder", dir.display())]
    NoLanguage { dir: PathBuf },
    #[error("{} is missing", file.display())]
    Missing { file: PathBuf },
    #[error("{} is no WAV file that can be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: hound::Error },
    #[error("{} {flaw}", file.display())]
    Flawed { file: PathBuf, flaw: Flaw },
    #[error("cannot write {}: {source}", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    #[error("{} holds no recordings: nexo prompts import puts them there", dir.display())]
    NothingImported { dir: PathBuf },
    #[error("{} is not as nexo prompts import wrote it ({what}): import the recordings anew", file.display())]
    Broken { file: PathBuf, what: String },
}

/// What one import brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    pub language: Language,
    /// How many files were read: 14, or 24 where the slow digits are recorded too.
    pub files: usize,
}

/// Takes the recordings of `from` (`vi/greeting.wav` …, either language or both) into `into`, all of them or,
/// where one cannot be used, none. A language that `from` does not have stays as it was.
///
/// # Errors
/// The first recording that cannot be used, and why.
pub fn import(from: &Path, into: &Path) -> Result<Vec<Imported>, RecordingError> {
    let mut imported = Vec::new();
    let mut taken = Vec::new();
    for language in LANGUAGES {
        let folder = from.join(language.code());
        if !folder.is_dir() {
            continue;
        }
        let (words, files) = studio::read(&folder)?;
        imported.push(Imported { language, files });
        taken.push((language, words));
    }
    if imported.is_empty() {
        let dir = from.to_path_buf();
        return Err(RecordingError::NoLanguage { dir });
    }
    keep(into, &taken).map_err(|(path, source)| RecordingError::NotWritable { path, source })?;
    Ok(imported)
}

type Words16 = Words<Vec<i16>>;

/// Writes a new set beside the one in use, and puts it in its place.
fn keep(into: &Path, taken: &[(Language, Words16)]) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| (path, source)
    };
    let name = format!("set-{:016x}", rand::rng().random::<u64>());
    let set = into.join(&name);
    let current = into.join(CURRENT);
    let before = fs::canonicalize(&current).ok();
    fs::create_dir_all(&set).map_err(at(&set))?;
    for language in LANGUAGES {
        let folder = set.join(language.code());
        match taken.iter().find(|(taken, _)| *taken == language) {
            Some((_, words)) => {
                fs::create_dir(&folder).map_err(at(&folder))?;
                write(&folder, words)?;
            }
            None => {
                let old = before.as_ref().map(|set| set.join(language.code()));
                if let Some(old) = old.filter(|old| old.is_dir()) {
                    copy(&old, &folder).map_err(at(&folder))?;
                }
            }
        }
    }
    let new = into.join(format!("{name}.link"));
    symlink(&name, &new).map_err(at(&new))?;
    fs::rename(&new, &current).map_err(at(&current))?;
    let sync = |dir: &Path| fs::File::open(dir)?.sync_all();
    sync(into).map_err(at(into))?;
    if let Some(before) = before {
        // Another import may have dropped it.
        let _ = fs::remove_dir_all(before);
    }
    Ok(())
}

fn write(folder: &Path, words: &Words16) -> Result<(), (PathBuf, io::Error)> {
    words.each(|name, samples| {
        let file = folder.join(format!("{name}.wav"));
        let written = wav::write(&file, samples).map_err(io::Error::other);
        written
            .and_then(|()| fs::File::open(&file)?.sync_all())
            .map_err(|source| (file, source))
    })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The prompts with the recordings that `dir` keeps. They are kept in memory until the process ends.
///
/// # Errors
/// [`RecordingError::NothingImported`]; [`RecordingError::Broken`] with the file that is not as it was written.
pub fn load(dir: &Path) -> Result<&'static PromptSet, RecordingError> {
    // Once: an import may put another set in its place meanwhile.
    let set = fs::canonicalize(dir.join(CURRENT)).map_err(|_| {
        let dir = dir.to_path_buf();
        RecordingError::NothingImported { dir }
    })?;
    let mut loaded = Vec::new();
    for language in LANGUAGES {
        let folder = set.join(language.code());
        if folder.is_dir() {
            let words = Words::named(|name| stored(&folder.join(format!("{name}.wav"))))?;
            loaded.push((language, words));
        }
    }
    if loaded.is_empty() {
        let dir = dir.to_path_buf();
        return Err(RecordingError::NothingImported { dir });
    }
    Ok(PromptSet::with(|language| {
        let found = loaded.iter().find(|(loaded, _)| *loaded == language);
        found.map(|(_, words)| words.clone())
    }))
}

/// One prompt as [`import`] wrote it.
fn stored(file: &Path) -> Result<Vec<i16>, RecordingError> {
    let broken = |what: String| RecordingError::Broken {
        file: file.to_path_buf(),
        what,
    };
    let samples = wav::read(file).map_err(|error| broken(error.to_string()))?;
    match samples.len() % FRAME {
        _ if samples.is_empty() => Err(broken("it is empty".to_owned())),
        0 => Ok(samples),
        _ => Err(broken("it is no whole frames".to_owned())),
    }
}

#[cfg(test)]
mod tests;
