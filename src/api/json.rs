//! Strict reading of request bodies as JSON objects.
//!
//! Parsers skip what they do not need without looking at it, and disagree about the rest. A body is refused as a whole
//! if any part of it, also a member that the API ignores, violates I-JSON (RFC 7493): text that is not UTF-8, a byte order
//! mark, a surrogate without its other half, a name that occurs twice in an object, a number that no double can hold,
//! or more than about 120 levels.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Reads a body that is one JSON object; `None` for any other.
pub(super) fn object<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Option<T> {
    let text = std::str::from_utf8(body).ok()?;
    // serde also accepts an array for a struct.
    if !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    let Checked = serde_json::from_str(text).ok()?;
    serde_json::from_str(text).ok()
}

/// Any value that has been checked completely. Nothing of it is kept.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Checked, D::Error> {
        deserializer.deserialize_any(Check)
    }
}

/// The name of a member, borrowed unless it contains escapes.
#[derive(PartialEq, Eq, Hash, serde::Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

struct Check;

impl<'de> Visitor<'de> for Check {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Checked, A::Error> {
        while values.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Checked, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Checked)) = members.next_entry::<Name<'de>, Checked>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name occurs twice"));
            }
        }
        Ok(Checked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Known {
        a: u32,
    }

    fn read(body: &[u8]) -> Option<u32> {
        object::<Known>(body).map(|known| known.a)
    }

    #[test]
    fn a_valid_object_is_read_and_unknown_members_are_ignored() {
        for body in [
            r#"{"a":1}"#,
            " \r\n\t{ \"a\" : 1 } ",
            r#"{"a":1,"b":null,"c":[true,-1.5e3,{"a":2}],"d":{"a":3,"e":{}}}"#,
            r#"{"b":"\u0111\ud83d\ude00 đ","\u0061":1}"#,
        ] {
            assert_eq!(read(body.as_bytes()), Some(1), "{body}");
        }
    }

    #[test]
    fn a_body_that_is_invalid_anywhere_is_refused_as_a_whole() {
        let deep = format!(r#"{{"a":1,"b":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        for body in [
            &b"{\"a\":1,\"b\":\"\xff\"}"[..],
            b"{\"a\":1,\"\xc3\":1}",
            b"{\"a\":1,\"b\":\"\xed\xa0\x80\"}",
            b"\xef\xbb\xbf{\"a\":1}",
            b"\xff\xfe{\0",
            br#"{"a":1,"a":1}"#,
            br#"{"a":1,"b":1,"b":2}"#,
            br#"{"a":1,"\u0061":2}"#,
            br#"{"a":1,"b":{"c":1,"c":1}}"#,
            br#"{"a":1,"b":[{"c":1,"c":1}]}"#,
            br#"{"a":1,"b":"\ud800"}"#,
            br#"{"a":1,"\udc00":0}"#,
            br#"{"a":1,"b":NaN}"#,
            br#"{"a":1,"b":-Infinity}"#,
            br#"{"a":1,"b":1e999}"#,
            br#"{"a":1,"b":01}"#,
            br#"{"a":1,"b":'c'}"#,
            b"{\"a\":1,\"b\":\"\x00\"}",
            br#"{"a":1,}"#,
            br#"{"a":1}x"#,
            br#"{"a":1}{"a":1}"#,
            br#"[1]"#,
            br#"1"#,
            b"",
            deep.as_bytes(),
        ] {
            assert_eq!(read(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}
