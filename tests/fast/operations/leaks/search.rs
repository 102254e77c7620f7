//! Searches the output and storage of a gateway for codes, without false positives.
//!
//! Codes begin with a zero, which no number in a log, a dump or a page of metrics does. The remaining accidental
//! matches are digits within a longer value of another kind. Only these are ignored:
//!
//! | ignored | where |
//! |---|---|
//! | matches within a UUID or within 32 or more hexadecimal digits | everywhere |
//! | matches within a longer run of digits or after a decimal point | in text, where values are delimited |
//!
//! A code is searched as sent, as a list of its digits, as raw bytes, in hexadecimal and in Base64.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Everything that a gateway has written and sent.
#[derive(Default)]
pub struct Artifacts(Vec<Artifact>);

struct Artifact {
    name: String,
    bytes: Vec<u8>,
    /// Whether values are delimited. They are not in a database file.
    is_text: bool,
}

impl Artifacts {
    pub fn text(&mut self, name: &str, text: String) {
        self.0.push(Artifact { name: name.to_owned(), bytes: text.into_bytes(), is_text: true });
    }

    /// Adds the SQLite file, its write-ahead log and the other files in the same directory.
    pub fn files_beside(&mut self, url: &str) {
        let file = Path::new(url.strip_prefix("sqlite://").unwrap());
        let mut names = Vec::new();
        for entry in std::fs::read_dir(file.parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            self.0.push(Artifact {
                name: name.clone(),
                bytes: std::fs::read(path).unwrap(),
                is_text: false,
            });
            names.push(name);
        }
        assert!(names.iter().any(|name| name.ends_with("-wal")), "{names:?}");
    }

    pub fn size(&self) -> usize {
        self.0.iter().map(|artifact| artifact.bytes.len()).sum()
    }

    pub fn contains(&self, text: &str) -> bool {
        let contains = |artifact: &Artifact| {
            let mut windows = artifact.bytes.windows(text.len());
            windows.any(|window| window == text.as_bytes())
        };
        self.0.iter().any(contains)
    }
}

/// Describes every code that is found in any form, and its location.
pub fn leaks(artifacts: &Artifacts, codes: &[&str]) -> Vec<String> {
    let mut forms: HashMap<usize, HashMap<Vec<u8>, (&str, &'static str)>> = HashMap::new();
    for code in codes {
        for (form, bytes) in forms_of(code) {
            let of_length = forms.entry(bytes.len()).or_default();
            of_length.insert(bytes, (code, form));
        }
    }
    let mut found = Vec::new();
    for artifact in &artifacts.0 {
        for (length, forms) in &forms {
            let mut begins = [false; 256];
            for form in forms.keys() {
                begins[usize::from(form[0])] = true;
            }
            for (at, window) in artifact.bytes.windows(*length).enumerate() {
                if !begins[usize::from(window[0])] {
                    continue;
                }
                let Some((code, form)) = forms.get(window) else {
                    continue;
                };
                if *form == "as sent" && is_part_of_another_value(artifact, at, *length) {
                    continue;
                }
                let around = around(&artifact.bytes, at, *length);
                let name = &artifact.name;
                found.push(format!("{code}, {form}, in {name}: {around:?}"));
            }
        }
    }
    found
}

fn forms_of(code: &str) -> Vec<(&'static str, Vec<u8>)> {
    let digits: Vec<u8> = code.bytes().map(|byte| byte - b'0').collect();
    let hex: String = code.bytes().map(|byte| format!("{byte:02x}")).collect();
    let listed = |separator: &str| {
        let digits: Vec<String> = digits.iter().map(u8::to_string).collect();
        digits.join(separator).into_bytes()
    };
    let mut forms = vec![
        ("as sent", code.as_bytes().to_vec()),
        ("as a list", listed(", ")),
        ("as a list", listed(",")),
        ("as bytes", digits.clone()),
        ("in hexadecimal", hex.clone().into_bytes()),
        ("in hexadecimal", hex.to_uppercase().into_bytes()),
    ];
    // Base64 encodes groups of three bytes. Search only for the characters that do not depend on the neighbouring
    // bytes, at each of the three offsets.
    for before in 0..3 {
        let padded = [&vec![b'x'; before][..], code.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        forms.push(("in Base64", encoded.as_bytes()[first..last].to_vec()));
    }
    forms
}

/// Whether the digits are part of a longer value that is not a code.
fn is_part_of_another_value(artifact: &Artifact, at: usize, length: usize) -> bool {
    let bytes = &artifact.bytes;
    let run = |belongs: fn(&u8) -> bool| {
        let before = bytes[..at].iter().rev().take_while(|b| belongs(b)).count();
        let after = bytes[at + length..].iter().take_while(|b| belongs(b)).count();
        (at - before, at + length + after)
    };
    let (start, end) = run(|byte| byte.is_ascii_hexdigit());
    if end - start >= 32 {
        return true;
    }
    let (start, end) = run(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let mut starts = start..=end.saturating_sub(36);
    if starts.any(|start| start <= at && at + length <= start + 36 && is_uuid(&bytes[start..])) {
        return true;
    }
    if !artifact.is_text {
        return false;
    }
    let (start, end) = run(u8::is_ascii_digit);
    let is_fraction = start > 1 && bytes[start - 1] == b'.' && bytes[start - 2].is_ascii_digit();
    end - start > length || is_fraction
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() >= 36
        && bytes[..36].iter().enumerate().all(|(n, byte)| match n {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn around(bytes: &[u8], at: usize, length: usize) -> String {
    let (start, end) = (at.saturating_sub(60), (at + length + 60).min(bytes.len()));
    String::from_utf8_lossy(&bytes[start..end]).into_owned()
}

#[test]
fn a_code_is_found_in_every_form_and_accidental_matches_are_ignored() {
    let code = "04829173";
    let found_in = |name: &str, bytes: &[u8]| {
        let artifact =
            Artifact { name: name.to_owned(), bytes: bytes.to_vec(), is_text: name == "text" };
        !leaks(&Artifacts(vec![artifact]), &[code]).is_empty()
    };
    let base64 = |text: &str| STANDARD_NO_PAD.encode(text);
    for leak in [
        "code=04829173 x",
        "{\"code\":\"04829173\"}",
        "Code([0, 4, 8, 2, 9, 1, 7, 3])",
        "3034383239313733",
        "a04829173",
        &base64("a code 04829173!"),
        &base64("ab code 04829173!"),
        &base64("abc code 04829173!"),
    ] {
        assert!(found_in("text", leak.as_bytes()), "{leak}");
        assert!(found_in("file", leak.as_bytes()), "{leak}");
    }
    assert!(found_in("file", b"sent+849812345104829173viettel"));
    assert!(found_in("file", &[7, 0, 4, 8, 2, 9, 1, 7, 3, 200]));
    for other in [
        "1780482917304829173",
        "0.00004829173",
        "04829173-1b2c-4d5e-8f90-a1b2c3d4e5f6",
        "019ab1cd-1b2c-7d5e-8f90-a04829173bcd",
        "9f86d081884c7d659a2feaa0c55ad01504829173a3bf4f1b2b0b822cd15d6c15",
    ] {
        assert!(!found_in("text", other.as_bytes()), "{other}");
    }
}
