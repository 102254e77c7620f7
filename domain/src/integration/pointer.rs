//! JSON pointers (RFC 6901).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// The longest pointer, in bytes.
const MAX_LENGTH: usize = 256;
/// The most steps of a pointer. A body has no more levels than that.
const MAX_STEPS: usize = 32;

/// A pointer to one value of a JSON document, such as `/user/phone`. It is not the whole document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pointer(String);

/// The text is not a pointer to a value in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a JSON pointer starts with / and has up to 32 steps in 256 characters, such as /user/phone; in a name, ~ is \
     written ~0 and / is written ~1"
)]
pub struct PointerError;

/// The name of a member, borrowed unless it contains escapes.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

impl Pointer {
    /// Parses a pointer.
    ///
    /// # Errors
    /// [`PointerError`].
    pub fn parse(text: &str) -> Result<Pointer, PointerError> {
        let is_valid = text.starts_with('/')
            && text.len() <= MAX_LENGTH
            && text.matches('/').count() <= MAX_STEPS
            && text.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
            && !text.chars().any(char::is_control);
        is_valid.then(|| Pointer(text.to_owned())).ok_or(PointerError)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value that the pointer leads to.
    pub fn find<'d>(&self, document: &'d RawValue) -> Option<&'d RawValue> {
        find(document, &self.0)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value that a well-formed pointer leads to.
///
/// The document stays as it was received: each step parses one level and borrows the rest, so that a code in it leaves
/// no copy in memory.
pub(super) fn find<'d>(document: &'d RawValue, pointer: &str) -> Option<&'d RawValue> {
    pointer.split('/').skip(1).try_fold(document, step)
}

fn step<'d>(value: &'d RawValue, token: &str) -> Option<&'d RawValue> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'{' => {
            let members: BTreeMap<Name<'d>, &'d RawValue> = serde_json::from_str(text).ok()?;
            // `~01` is `~1`: ~0 is replaced last.
            let name = token.replace("~1", "/").replace("~0", "~");
            members.get(&Name(name.into())).copied()
        }
        b'[' => {
            let is_index = !token.is_empty()
                && token.bytes().all(|b| b.is_ascii_digit())
                && (token == "0" || !token.starts_with('0'));
            let index: usize = is_index.then(|| token.parse().ok()).flatten()?;
            let items: Vec<&'d RawValue> = serde_json::from_str(text).ok()?;
            items.get(index).copied()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(document: &str, pointer: &str) -> Option<String> {
        let document: &RawValue = serde_json::from_str(document).unwrap();
        let pointer = Pointer::parse(pointer).unwrap();
        pointer.find(document).map(|value| value.get().to_owned())
    }

    #[test]
    fn the_examples_of_the_rfc_hold() {
        let document = r#"{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4,
            "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8}"#;
        for (pointer, value) in [
            ("/foo", r#"["bar", "baz"]"#),
            ("/foo/0", r#""bar""#),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(found(document, pointer).as_deref(), Some(value), "{pointer}");
        }
        for pointer in
            ["/foo/2", "/foo/-", "/foo/00", "/foo/+1", "/foo/bar", "/nothing", "/foo/0/x"]
        {
            assert_eq!(found(document, pointer), None, "{pointer}");
        }
        assert_eq!(found(r#"{"~1":1,"/":2}"#, "/~01").as_deref(), Some("1"));
    }

    #[test]
    fn other_text_is_no_pointer() {
        let long = format!("/{}", "a".repeat(256));
        let deep = "/a".repeat(33);
        for text in ["", "phone", "#/phone", "/a~", "/a~2", "/~~0", "/a\nb", &long, &deep] {
            assert_eq!(Pointer::parse(text), Err(PointerError), "{text:?}");
        }
    }
}
