//! Saves finished calls: `<Call-ID>.wav` and `<Call-ID>.json`.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::events::CallRecord;
use crate::audio::wav;

/// File names are limited to 255 bytes; this leaves room for the extensions.
const MAX_STEM_BYTES: usize = 200;

#[derive(Serialize)]
struct Facts<'a> {
    phone: String,
    digits_heard: &'a str,
    answered: bool,
    seconds: f64,
}

/// Saves the audio and facts of a call in `dir` and returns the path of the WAV file, which is
/// empty for an unanswered call. Each file appears complete, and the JSON last, so that its reader
/// also finds the WAV.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn save(dir: &Path, record: &CallRecord) -> io::Result<PathBuf> {
    let stem = file_stem(&record.call_id);
    let audio = write_atomically(dir, &stem, "wav", |path| {
        wav::write(path, &record.samples).map_err(io::Error::other)
    })?;
    let facts = Facts {
        phone: record.phone.to_string(),
        digits_heard: &record.digits_heard,
        answered: record.answered,
        seconds: seconds(record.talk_time),
    };
    let mut text = serde_json::to_vec(&facts)?;
    text.push(b'\n');
    write_atomically(dir, &stem, "json", |path| fs::write(path, &text))?;
    Ok(audio)
}

/// Removes other users' access to the recordings in `dir`, and to `dir` if it holds nothing else.
///
/// # Errors
/// If the directory cannot be read. A file whose mode cannot be changed is named in the log.
pub(super) fn make_private(dir: &Path) -> io::Result<()> {
    let entries = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
    let paths: HashSet<PathBuf> = entries.collect::<io::Result<_>>()?;
    let own: Vec<&PathBuf> = paths.iter().filter(|path| is_own(path, &paths)).collect();
    for path in &own {
        remove_access(path);
    }
    if !own.is_empty() && own.len() == paths.len() {
        remove_access(dir);
    }
    Ok(())
}

/// Whether [`save`] wrote the file: a WAV and a JSON of the same name, or a hidden `.partial`.
fn is_own(path: &Path, all: &HashSet<PathBuf>) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        Some("wav") => all.contains(&path.with_extension("json")),
        Some("json") => all.contains(&path.with_extension("wav")),
        Some("partial") => {
            let name = path.file_name().unwrap_or_default();
            name.as_encoded_bytes().starts_with(b".")
        }
        _ => false,
    }
}

fn remove_access(path: &Path) {
    let changed = fs::metadata(path).and_then(|metadata| {
        let mode = metadata.permissions().mode();
        match mode & 0o077 {
            0 => Ok(()),
            _ => fs::set_permissions(path, Permissions::from_mode(mode & 0o700)),
        }
    });
    if let Err(error) = changed {
        tracing::warn!(path = %path.display(), %error, "other users may read this recording");
    }
}

/// Rounded down to milliseconds.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

/// Writes a file under a temporary name, then renames it.
fn write_atomically(
    dir: &Path,
    stem: &str,
    extension: &str,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let path = dir.join(format!("{stem}.{extension}"));
    let partial = dir.join(format!(".{stem}.{extension}.partial"));
    write(&partial)?;
    fs::rename(&partial, &path)?;
    Ok(path)
}

/// Derives a file name from a Call-ID, which the caller chose: no separators, no leading dot,
/// limited length. A changed name gets a hash of the original, so that two Call-IDs never share a
/// file.
fn file_stem(call_id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@+=~".contains(c);
    let mut stem: String = call_id.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if stem.starts_with('.') {
        stem.replace_range(..1, "_");
    }
    stem.truncate(MAX_STEM_BYTES);
    if stem.is_empty() || stem != call_id {
        let mut hasher = DefaultHasher::new();
        hasher.write(call_id.as_bytes());
        stem = format!("{stem}-{:016x}", hasher.finish());
    }
    stem
}

#[cfg(test)]
mod tests {
    use nexo_domain::phone::Phone;

    use super::*;

    fn record(call_id: &str, answered: bool) -> CallRecord {
        CallRecord {
            call_id: call_id.into(),
            phone: Phone::from_record("+84981234567").unwrap(),
            digits_heard: "428193".into(),
            answered,
            talk_time: Duration::from_micros(12_345_678),
            samples: [0, 1, -1, i16::MIN].as_slice().into(),
            wav: None,
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn recordings_become_private_and_other_files_keep_their_modes() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = |name: &str| {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            path
        };
        let own = ["a.wav", "a.json", ".b.wav.partial"].map(file);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        make_private(dir.path()).unwrap();
        assert_eq!(own.each_ref().map(|path| mode(path)), [0o600; 3]);
        assert_eq!(mode(dir.path()), 0o700);

        let others = ["package.json", "music.wav", "x.partial"].map(file);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        make_private(dir.path()).unwrap();
        assert_eq!(others.each_ref().map(|path| mode(path)), [0o644; 3]);
        assert_eq!(mode(dir.path()), 0o755);
    }

    #[test]
    fn a_call_is_saved_as_audio_and_facts_under_its_call_id() {
        let dir = tempfile::tempdir().unwrap();
        let wav = save(dir.path(), &record("a-1@nexo.example", true)).unwrap();
        assert_eq!(wav, dir.path().join("a-1@nexo.example.wav"));
        assert_eq!(names(dir.path()), ["a-1@nexo.example.json", "a-1@nexo.example.wav"]);
        let text = fs::read_to_string(dir.path().join("a-1@nexo.example.json")).unwrap();
        assert_eq!(
            text,
            "{\"phone\":\"+84981234567\",\"digits_heard\":\"428193\",\"answered\":true,\"seconds\":12.345}\n"
        );
        let samples = wav::read(&wav).unwrap();
        assert_eq!(samples, [0, 1, -1, i16::MIN]);
    }

    #[test]
    fn an_unanswered_call_has_facts_and_empty_audio() {
        let dir = tempfile::tempdir().unwrap();
        let unanswered = CallRecord { samples: [].as_slice().into(), ..record("b", false) };
        let wav = save(dir.path(), &unanswered).unwrap();
        assert_eq!(names(dir.path()), ["b.json", "b.wav"]);
        assert_eq!(wav::read(&wav).unwrap(), [0; 0]);
    }

    #[test]
    fn a_hostile_call_id_stays_inside_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("records");
        fs::create_dir(&inside).unwrap();
        let long = "x".repeat(4000);
        let hostile = [
            "../escape",
            "/etc/passwd",
            "..",
            ".",
            "",
            ".hidden",
            "a/b",
            "a\\b",
            "a b",
            "a\0b",
            "số",
            &long,
        ];
        for call_id in hostile {
            save(&inside, &record(call_id, true)).unwrap();
        }
        assert_eq!(names(dir.path()), ["records"]);
        let saved = names(&inside);
        assert_eq!(saved.len(), 2 * hostile.len(), "{saved:?}");
        assert!(saved.iter().all(|name| !name.starts_with('.')));
    }

    #[test]
    fn similar_call_ids_have_different_files() {
        assert_ne!(file_stem("a/b"), file_stem("a b"));
        assert_ne!(file_stem("a/b"), file_stem("a_b"));
        assert_eq!(file_stem("a_b"), "a_b");
    }
}
