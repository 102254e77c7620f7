//! Studio recordings that replace the built-in prompts. `import` checks them, converts them to
//! telephone quality and stores them in a directory, from which `load` reads them.
//!
//! ```text
//! DIR/current -> set-…            replaced atomically
//! DIR/set-…/vi/greeting.wav       8 kHz, mono, 16 bit, whole frames; 24 prompts per language
//! ```
//!
//! A language without recordings uses the built-in prompts.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nexo_domain::otp::Language;
use rand::RngExt;

mod error;
mod prepare;
mod studio;

pub use error::RecordingError;
pub use prepare::Flaw;

use crate::audio::wav;
use crate::speech::language_prompts::LanguagePrompts;
use crate::speech::prompts::{FRAME, PromptSet};

const LANGUAGES: [Language; 2] = [Language::Vi, Language::En];
const CURRENT: &str = "current";

/// One imported language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedLanguage {
    pub language: Language,
    /// The number of files read: 14, or 24 if the slow digits are recorded too.
    pub files: usize,
}

/// Imports the recordings of `from` (`vi/greeting.wav` …, one or both languages) into `into`:
/// either all of them, or none if one cannot be used. A language that `from` does not contain stays
/// unchanged.
///
/// # Errors
/// The first recording that cannot be used, and why.
pub fn import(from: &Path, into: &Path) -> Result<Vec<ImportedLanguage>, RecordingError> {
    let mut imported = Vec::new();
    let mut recordings = Vec::new();
    for language in LANGUAGES {
        let folder = from.join(language.code());
        if !folder.is_dir() {
            continue;
        }
        let (prompts, files) = studio::read_folder(&folder)?;
        imported.push(ImportedLanguage { language, files });
        recordings.push((language, prompts));
    }
    if imported.is_empty() {
        let dir = from.to_path_buf();
        return Err(RecordingError::NoLanguage { dir });
    }
    store(into, &recordings)
        .map_err(|(path, source)| RecordingError::NotWritable { path, source })?;
    Ok(imported)
}

type Samples = LanguagePrompts<Vec<i16>>;

/// Writes a new set beside the current one, then replaces it.
fn store(into: &Path, recordings: &[(Language, Samples)]) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| (path, source)
    };
    let name = format!("set-{:016x}", rand::rng().random::<u64>());
    let set = into.join(&name);
    let current = into.join(CURRENT);
    let previous = fs::canonicalize(&current).ok();
    fs::create_dir_all(&set).map_err(at(&set))?;
    for language in LANGUAGES {
        let folder = set.join(language.code());
        match recordings.iter().find(|(recorded, _)| *recorded == language) {
            Some((_, prompts)) => {
                fs::create_dir(&folder).map_err(at(&folder))?;
                write(&folder, prompts)?;
            }
            None => {
                let old = previous.as_ref().map(|set| set.join(language.code()));
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
    if let Some(previous) = previous {
        // A concurrent import may have removed it.
        let _ = fs::remove_dir_all(previous);
    }
    Ok(())
}

fn write(folder: &Path, prompts: &Samples) -> Result<(), (PathBuf, io::Error)> {
    prompts.try_for_each(|name, samples| {
        let file = folder.join(format!("{name}.wav"));
        let written = wav::write(&file, samples).map_err(io::Error::other);
        written.and_then(|()| fs::File::open(&file)?.sync_all()).map_err(|source| (file, source))
    })
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        // Unlike `fs::copy`, does not copy the mode.
        fs::write(to.join(entry.file_name()), fs::read(entry.path())?)?;
    }
    Ok(())
}

/// Loads the prompts with the recordings of `dir`, which are kept in memory until the process ends.
///
/// # Errors
/// [`RecordingError::NothingImported`], or [`RecordingError::Broken`] with the file that `import`
/// did not write like this.
pub fn load(dir: &Path) -> Result<&'static PromptSet, RecordingError> {
    // Resolved once, because an import may replace the set meanwhile.
    let set = fs::canonicalize(dir.join(CURRENT)).map_err(|_| {
        let dir = dir.to_path_buf();
        RecordingError::NothingImported { dir }
    })?;
    let mut loaded = Vec::new();
    for language in LANGUAGES {
        let folder = set.join(language.code());
        if folder.is_dir() {
            let prompts =
                LanguagePrompts::load(|name| read_prompt(&folder.join(format!("{name}.wav"))))?;
            loaded.push((language, prompts));
        }
    }
    if loaded.is_empty() {
        let dir = dir.to_path_buf();
        return Err(RecordingError::NothingImported { dir });
    }
    Ok(PromptSet::with_recordings(|language| {
        let found = loaded.iter().find(|(loaded, _)| *loaded == language);
        found.map(|(_, prompts)| prompts.clone())
    }))
}

/// Reads one prompt that [`import`] wrote.
fn read_prompt(file: &Path) -> Result<Vec<i16>, RecordingError> {
    let broken = |what: String| RecordingError::Broken { file: file.to_path_buf(), what };
    let samples = wav::read(file).map_err(|error| broken(error.to_string()))?;
    match samples.len() % FRAME {
        _ if samples.is_empty() => Err(broken("it is empty".to_owned())),
        0 => Ok(samples),
        _ => Err(broken("its length is not a whole number of frames".to_owned())),
    }
}

#[cfg(test)]
mod tests;
