//! The header fields and the body of a parsed message (RFC 3261 §7.3, §20).

use std::ops::Range;

use super::header::{Name, NameAddr, Via, leading_number, split_outside_quotes};
use super::method::Method;

/// The text of a message's head, the positions of its header fields, and the body.
#[derive(Clone)]
pub struct Fields {
    pub(super) text: String,
    pub(super) entries: Vec<Entry>,
    pub(super) odd_lines: usize,
    pub(super) cseq: u32,
    pub(super) cseq_method: Method,
    pub(super) body: Vec<u8>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: Name,
    /// The name as written, for fields without a [`Name`].
    pub(super) written: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Omits the content: messages hold numbers and credentials.
impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fields").finish_non_exhaustive()
    }
}

impl Fields {
    /// The value of the first field with this name.
    pub fn value(&self, name: Name) -> Option<&str> {
        self.lines(name).next()
    }

    /// The values of all fields with this name, one for each line.
    pub fn lines(&self, name: Name) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(move |entry| entry.name == name)
            .map(|entry| &self.text[entry.value.clone()])
    }

    /// The values of all fields with this name, with comma-separated lists split.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &str> {
        self.lines(name)
            .flat_map(|line| split_outside_quotes(line, b','))
            .filter(|value| !value.is_empty())
    }

    /// The values of all fields written with this name, in any case.
    pub fn lines_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.entries
            .iter()
            .filter(move |entry| self.text[entry.written.clone()].eq_ignore_ascii_case(name))
            .map(|entry| &self.text[entry.value.clone()])
    }

    /// The value of the first field written with this name, in any case.
    pub fn named<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.lines_named(name).next()
    }

    pub fn call_id(&self) -> &str {
        self.value(Name::CallId).unwrap_or_default()
    }

    /// The CSeq number.
    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    pub fn cseq_method(&self) -> Method {
        self.cseq_method
    }

    pub fn from(&self) -> Option<NameAddr<'_>> {
        self.value(Name::From).and_then(NameAddr::parse)
    }

    pub fn to(&self) -> Option<NameAddr<'_>> {
        self.value(Name::To).and_then(NameAddr::parse)
    }

    pub fn from_tag(&self) -> Option<&str> {
        self.value(Name::From).and_then(NameAddr::split)?.tag()
    }

    pub fn to_tag(&self) -> Option<&str> {
        self.value(Name::To).and_then(NameAddr::split)?.tag()
    }

    /// The topmost Via.
    pub fn via(&self) -> Option<Via<'_>> {
        self.values(Name::Via).next().and_then(Via::parse)
    }

    /// The URI of the first Contact.
    pub fn contact(&self) -> Option<&str> {
        self.values(Name::Contact).next().and_then(NameAddr::parse).map(|contact| contact.uri)
    }

    /// The seconds of Retry-After, without comments and parameters.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.value(Name::RetryAfter).and_then(leading_number)
    }

    /// The number of lines that were skipped, because they are not header fields, and of unusable Content-Lengths.
    pub fn odd_lines(&self) -> usize {
        self.odd_lines
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }
}
