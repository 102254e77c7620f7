//! A finished call on disk: `<Call-ID>.wav` and `<Call-ID>.json`.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::events::CallRecord;
use crate::audio::wav;

/// File names end at 255 bytes; this leaves room for the endings.
const LONGEST_STEM: usize = 200;

#[derive(Serialize)]
struct Facts<'a> {
    phone: String,
    digits_heard: &'a str,
    answered: bool,
    seconds: f64,
}

/// Saves what was heard and what is known of a call in `dir` and returns the WAV's path; of a call that was
/// not answered it has no samples. Each file appears whole; the JSON comes last, so who sees it finds the WAV
/// there.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn save(dir: &Path, record: &CallRecord) -> io::Result<PathBuf> {
    let stem = file_stem(&record.call_id);
    let audio = put(dir, &stem, "wav", |path| {
        wav::write(path, &record.samples).map_err(io::Error::other)
    })?;
    let facts = Facts {
        phone: record.phone.to_string(),
        digits_heard: &record.digits_heard,
        answered: record.answered,
        seconds: seconds(record.talked),
    };
    let mut text = serde_json::to_vec(&facts)?;
    text.push(b'\n');
    put(dir, &stem, "json", |path| fs::write(path, &text))?;
    Ok(audio)
}

/// Rounded down to milliseconds.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

/// Writes a file under another name, then gives it its own.
fn put(
    dir: &Path,
    stem: &str,
    ending: &str,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let path = dir.join(format!("{stem}.{ending}"));
    let partial = dir.join(format!(".{stem}.{ending}.partial"));
    write(&partial)?;
    fs::rename(&partial, &path)?;
    Ok(path)
}

/// A file name made of a Call-ID, which a stranger chose: no separators, no leading dot, not too
/// long. One that had to be changed gets a mark of the original, so that two do not become one.
fn file_stem(call_id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@+=~".contains(c);
    let mut stem: String = call_id
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    if stem.starts_with('.') {
        stem.replace_range(..1, "_");
    }
    stem.truncate(LONGEST_STEM);
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
            talked: Duration::from_micros(12_345_678),
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
    fn a_call_is_saved_as_audio_and_facts_under_its_call_id() {
        let dir = tempfile::tempdir().unwrap();
        let wav = save(dir.path(), &record("a-1@nexo.example", true)).unwrap();
        assert_eq!(wav, dir.path().join("a-1@nexo.example.wav"));
        assert_eq!(
            names(dir.path()),
            ["a-1@nexo.example.json", "a-1@nexo.example.wav"]
        );
        let text = fs::read_to_string(dir.path().join("a-1@nexo.example.json")).unwrap();
        assert_eq!(
            text,
            "{\"phone\":\"+84981234567\",\"digits_heard\":\"428193\",\"answered\":true,\"seconds\":12.345}\n"
        );
        let samples = wav::read(&wav).unwrap();
        assert_eq!(samples, [0, 1, -1, i16::MIN]);
    }

    #[test]
    fn an_unanswered_call_has_facts_and_audio_of_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let unanswered = CallRecord {
            samples: [].as_slice().into(),
            ..record("b", false)
        };
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
    fn call_ids_that_look_alike_keep_their_own_files() {
        assert_ne!(file_stem("a/b"), file_stem("a b"));
        assert_ne!(file_stem("a/b"), file_stem("a_b"));
        assert_eq!(file_stem("a_b"), "a_b");
    }
}
