//! What a customer attaches to an OTP: a reference of its own and metadata. They are returned as they were given.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};

use crate::schema::{pattern, schema};

/// The most characters of a reference.
pub const MAX_REFERENCE_CHARS: usize = 64;
/// The most members of metadata.
pub const MAX_METADATA_MEMBERS: usize = 10;
/// The most bytes of metadata as JSON without blanks.
pub const MAX_METADATA_BYTES: usize = 1_024;

/// The customer's own id of an OTP: 1 to 64 printable characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(Arc<str>);

schema!(
    Reference,
    "Reference",
    pattern("Your own id of the OTP: 1 to 64 printable characters.", reference_pattern()).into()
);

/// [`Reference::parse`] as a regular expression.
fn reference_pattern() -> String {
    let excluded: String = NOT_PRINTABLE
        .iter()
        .map(|(first, last)| format!("\\u{:04x}-\\u{:04x}", u32::from(*first), u32::from(*last)))
        .collect();
    format!("^[^{excluded}]{{1,{MAX_REFERENCE_CHARS}}}$")
}

/// Control characters, and characters that change the direction of text or have no width: a page would show another
/// text than was given.
const NOT_PRINTABLE: [(char, char); 9] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
];

impl Reference {
    /// Reads a reference. `None` if it is empty, too long, or contains a control or formatting character or a line
    /// separator.
    pub fn parse(text: &str) -> Option<Reference> {
        let length = text.chars().take(MAX_REFERENCE_CHARS + 1).count();
        let is_valid =
            (1..=MAX_REFERENCE_CHARS).contains(&length) && text.chars().all(is_printable);
        is_valid.then(|| Reference(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_printable(character: char) -> bool {
    !NOT_PRINTABLE.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Names and values of the customer: a JSON object of at most 10 strings, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata(Arc<[(String, String)]>);

schema!(
    Metadata,
    "Metadata",
    ObjectBuilder::new()
        .description(Some(
            "Your own names and values: at most 10 strings, and 1 KiB of JSON in all."
        ))
        .additional_properties(Some(AdditionalProperties::RefOr(
            ObjectBuilder::new().schema_type(Type::String).build().into(),
        )))
        .max_properties(Some(MAX_METADATA_MEMBERS))
        .build()
        .into()
);

/// Why a text is not metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MetadataError {
    #[error("not a JSON object of strings whose names differ")]
    NotStrings,
    #[error("more than {MAX_METADATA_MEMBERS} members")]
    TooMany,
    #[error("longer than {MAX_METADATA_BYTES} bytes as JSON")]
    TooLong,
}

impl Metadata {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(json: &str) -> Result<Metadata, MetadataError> {
        let metadata: Metadata =
            serde_json::from_str(json).map_err(|_| MetadataError::NotStrings)?;
        if metadata.0.len() > MAX_METADATA_MEMBERS {
            return Err(MetadataError::TooMany);
        }
        if metadata.to_json().len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLong);
        }
        Ok(metadata)
    }

    /// The object without blanks, as it is stored and returned.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and values are texts")
    }

    /// The names and values.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut members: Vec<(String, String)> = Vec::new();
        let mut names = HashSet::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a name occurs twice"));
            }
            members.push((name, value));
        }
        Ok(Metadata(members.into()))
    }
}

/// What the customer attached to one OTP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomerFields {
    pub reference: Option<Reference>,
    pub metadata: Option<Metadata>,
}

impl CustomerFields {
    /// Reads the values of a request. `Err` contains the name of the field that is wrong, and what is allowed.
    ///
    /// # Errors
    /// If a value has another type or breaks a rule.
    pub fn parse(
        reference: Option<&RawValue>,
        metadata: Option<&RawValue>,
    ) -> Result<CustomerFields, (&'static str, String)> {
        let reference = match reference {
            None => None,
            Some(raw) => {
                let text: Option<String> = serde_json::from_str(raw.get()).ok();
                let reference = text.as_deref().and_then(Reference::parse);
                Some(reference.ok_or_else(|| {
                    (
                        "reference",
                        format!("a string of 1 to {MAX_REFERENCE_CHARS} printable characters"),
                    )
                })?)
            }
        };
        let metadata = match metadata {
            None => None,
            Some(raw) => Some(Metadata::parse(raw.get()).map_err(|error| {
                let allowed = format!(
                    "an object of at most {MAX_METADATA_MEMBERS} string values, {MAX_METADATA_BYTES} bytes of JSON \
                     in all; this is {error}"
                );
                ("metadata", allowed)
            })?),
        };
        Ok(CustomerFields { reference, metadata })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reference_is_1_to_64_printable_characters() {
        for text in ["a", "đơn hàng 42", "x y", &"ữ".repeat(64), "😀"] {
            assert_eq!(Reference::parse(text).unwrap().as_str(), text);
        }
        for text in
            ["", &"x".repeat(65), "a\nb", "a\0", "\u{7f}", "a\u{202e}b", "\u{200b}", "a\u{2028}b"]
        {
            assert_eq!(Reference::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn metadata_keeps_its_order_and_its_characters() {
        let metadata = Metadata::parse("{ \"z\": \"1\", \"a\" : \"\\u0000\\n\\\"<ữ\" }").unwrap();
        assert_eq!(metadata.to_json(), r#"{"z":"1","a":"\u0000\n\"<ữ"}"#);
        assert_eq!(Metadata::parse(&metadata.to_json()), Ok(metadata));
        assert_eq!(Metadata::parse("{}").unwrap().to_json(), "{}");
    }

    #[test]
    fn metadata_is_bounded_in_members_types_and_length() {
        let of = |count: usize| {
            let members: Vec<_> = (0..count).map(|n| format!("\"{n}\":\"\"")).collect();
            Metadata::parse(&format!("{{{}}}", members.join(",")))
        };
        assert!(of(10).is_ok());
        assert_eq!(of(11), Err(MetadataError::TooMany));
        let long = |length| Metadata::parse(&format!("{{\"a\":\"{}\"}}", "x".repeat(length)));
        assert!(long(MAX_METADATA_BYTES - 8).is_ok());
        assert_eq!(long(MAX_METADATA_BYTES - 7), Err(MetadataError::TooLong));
        for json in [
            "[]",
            "null",
            "\"a\"",
            "{\"a\":1}",
            "{\"a\":null}",
            "{\"a\":{}}",
            "{\"a\":\"1\",\"a\":\"2\"}",
        ] {
            assert_eq!(Metadata::parse(json), Err(MetadataError::NotStrings), "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_metadata_that_is_accepted_is_returned_unchanged(
            members in prop::collection::btree_map(".{0,9}", ".{0,30}", 0..10),
        ) {
            let json = serde_json::to_string(&members).unwrap();
            if let Ok(metadata) = Metadata::parse(&json) {
                prop_assert_eq!(metadata.to_json(), json);
            }
        }
    }
}
