//! Parsing of a message from one datagram or one frame of a stream (RFC 3261 §7, §18.3).
//!
//! A message is rejected for its start line, its size, or a mandatory header field. Any other line that breaks a
//! rule is skipped and counted: a response that is dropped is never acknowledged, and a BYE never answered.

use std::ops::Range;

use memchr::memchr;
use thiserror::Error;

use super::fields::Entry;
use super::header::{Name, NameAddr};
use super::{Fields, Message, Method, Request, Response};

/// The maximum size of a message: the largest UDP datagram.
pub const MAX_BYTES: usize = 65_535;

/// The maximum number of header fields in a message.
pub const MAX_HEADERS: usize = 256;

/// Why a datagram is not a SIP message. Contains none of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseError {
    #[error("a keep-alive, not a message")]
    KeepAlive,
    #[error("larger than 65,535 bytes")]
    TooLarge,
    #[error("the first line is neither a request nor a status line")]
    StartLine,
    #[error("more than 256 header fields")]
    TooManyHeaders,
    #[error("a mandatory header field is missing, repeated or malformed")]
    Mandatory,
}

/// The Content-Length of a message is unreadable, or there are several that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("Content-Length is not a number, or there are several that differ")]
pub struct BadLength;

/// The Content-Length of a message's head, including the empty line at its end. `None`: it has none.
///
/// # Errors
/// [`BadLength`], also if the head has too many header fields.
pub fn content_length(head: &[u8]) -> Result<Option<usize>, BadLength> {
    let text = Parts::of(head).text();
    let start = memchr(b'\n', text.as_bytes()).map_or(text.len(), |end| end + 1);
    let Lines { entries, .. } = Lines::parse(&text, start).map_err(|_| BadLength)?;
    length_among(&text, &entries)
}

/// The length of the head at the start of `bytes`, including the empty line at its end. Lines may end without a
/// carriage return. `None`: the end is missing. It is not before `from`.
pub fn head_length(bytes: &[u8], from: usize) -> Option<usize> {
    let after = |newline: usize| match bytes[newline + 1..] {
        [b'\r', b'\n', ..] => Some(newline + 3),
        [b'\n', ..] => Some(newline + 2),
        _ => None,
    };
    memchr::memchr_iter(b'\n', &bytes[from..]).find_map(|at| after(from + at))
}

impl Message {
    /// Parses one datagram. Never panics.
    ///
    /// # Errors
    /// [`ParseError`] for the first broken rule.
    pub fn parse(datagram: &[u8]) -> Result<Message, ParseError> {
        if datagram.len() > MAX_BYTES {
            return Err(ParseError::TooLarge);
        }
        let start = datagram
            .iter()
            .position(|b| !matches!(b, b'\r' | b'\n'))
            .ok_or(ParseError::KeepAlive)?;
        let datagram = &datagram[start..];
        let parts = Parts::of(datagram);
        let text = parts.text();
        let (line, fields_start) = match memchr(b'\n', text.as_bytes()) {
            Some(end) => (0..trimmed_end(&text, end), end + 1),
            None => (0..text.len(), text.len()),
        };
        let Lines { entries, odd } = Lines::parse(&text, fields_start)?;
        let start_line = StartLine::parse(&text, line)?;
        let mut fields = Fields {
            text,
            entries,
            odd_lines: odd,
            cseq: 0,
            cseq_method: Method::Other,
            body: Vec::new(),
        };
        fields.check_mandatory()?;
        fields.set_body(parts.body);
        match start_line {
            StartLine::Request { method, .. }
                if method != fields.cseq_method && method != Method::Other =>
            {
                Err(ParseError::Mandatory)
            }
            StartLine::Request { method, uri } => {
                Ok(Message::Request(Request { method, uri, fields }))
            }
            StartLine::Status { code, reason } => {
                Ok(Message::Response(Response { code, reason, fields }))
            }
        }
    }
}

enum StartLine {
    Request { method: Method, uri: Range<usize> },
    Status { code: u16, reason: Range<usize> },
}

impl StartLine {
    fn parse(text: &str, line: Range<usize>) -> Result<StartLine, ParseError> {
        let written = &text[line.clone()];
        if let Some(rest) = strip_prefix_ignore_case(written, "SIP/2.0 ") {
            let code = rest.get(..3).ok_or(ParseError::StartLine)?;
            let is_code = code.bytes().all(|b| b.is_ascii_digit());
            let code: u16 = code.parse().map_err(|_| ParseError::StartLine)?;
            let separated = rest.len() == 3 || rest.as_bytes()[3] == b' ';
            if !is_code || !separated || !(100..700).contains(&code) {
                return Err(ParseError::StartLine);
            }
            // The grammar allows tabs in a reason. It is only shown, up to the first control character.
            let reason = rest.get(4..).unwrap_or_default();
            let start = line.end - reason.len();
            let length = reason.find(|c: char| c.is_control()).unwrap_or(reason.len());
            return Ok(StartLine::Status { code, reason: start..start + length });
        }
        if written.contains(|c: char| c.is_control()) {
            return Err(ParseError::StartLine);
        }
        let mut parts = written.split(' ');
        let (method, uri) = (parts.next(), parts.next());
        let (version, more) = (parts.next(), parts.next());
        match (method, uri, version, more) {
            (Some(method), Some(uri), Some(version), None)
                if is_token(method)
                    && !uri.is_empty()
                    && version.eq_ignore_ascii_case("SIP/2.0") =>
            {
                let start = line.start + method.len() + 1;
                Ok(StartLine::Request {
                    method: Method::parse(method),
                    uri: start..start + uri.len(),
                })
            }
            _ => Err(ParseError::StartLine),
        }
    }
}

/// A datagram, split at its empty line.
struct Parts<'a> {
    /// The head, including the end of its last line.
    head: &'a [u8],
    /// Whether a line starts with a blank.
    is_folded: bool,
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(datagram: &'a [u8]) -> Parts<'a> {
        let (head, body) = match head_length(datagram, 0) {
            Some(end) => datagram.split_at(end),
            None => (datagram, &[][..]),
        };
        let starts_blank = |newline: usize| matches!(head.get(newline + 1), Some(b' ' | b'\t'));
        let is_folded = memchr::memchr_iter(b'\n', head).any(starts_blank);
        Parts { head, is_folded, body }
    }

    /// The head as text, with folded lines joined: a line that starts with a blank continues the previous one,
    /// except the start line.
    fn text(&self) -> String {
        let text = match std::str::from_utf8(self.head) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(self.head).into_owned(),
        };
        if !self.is_folded {
            return text;
        }
        let mut bytes = text.into_bytes();
        let start_line = memchr(b'\n', &bytes).map_or(bytes.len(), |end| end + 1);
        for at in start_line + 1..bytes.len() {
            if matches!(bytes[at], b' ' | b'\t') && bytes[at - 1] == b'\n' {
                bytes[at - 1] = b' ';
                if at >= 2 && bytes[at - 2] == b'\r' {
                    bytes[at - 2] = b' ';
                }
            }
        }
        String::from_utf8(bytes).expect("only ASCII was replaced, by ASCII")
    }
}

fn trimmed_end(text: &str, end: usize) -> usize {
    match text.as_bytes()[..end].last() {
        Some(b'\r') => end - 1,
        Some(_) | None => end,
    }
}

/// The header fields of a head.
struct Lines {
    entries: Vec<Entry>,
    /// The number of other lines, which are skipped.
    odd: usize,
}

impl Lines {
    fn parse(text: &str, start: usize) -> Result<Lines, ParseError> {
        let mut lines = Lines { entries: Vec::with_capacity(16), odd: 0 };
        let mut at = start;
        while at < text.len() {
            let end = memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |end| at + end);
            let line = at..trimmed_end(text, end);
            at = end + 1;
            if text[line.clone()].trim_ascii_start().is_empty() {
                continue;
            }
            match entry(text, line) {
                Some(_) if lines.entries.len() == MAX_HEADERS => {
                    return Err(ParseError::TooManyHeaders);
                }
                Some(entry) => lines.entries.push(entry),
                None => lines.odd += 1,
            }
        }
        Ok(lines)
    }
}

/// The header field in a line. `None`: the line has no colon, no valid name, or a carriage return: values are
/// copied into responses and ACKs, where each must stay on one line.
fn entry(text: &str, line: Range<usize>) -> Option<Entry> {
    let written = &text[line.clone()];
    let colon = memchr(b':', written.as_bytes())?;
    let name = written[..colon].trim_ascii_end();
    if !is_token(name) || memchr(b'\r', written.as_bytes()).is_some() {
        return None;
    }
    let value = &written[colon + 1..];
    let lead = value.len() - value.trim_ascii_start().len();
    let start = line.start + colon + 1 + lead;
    Some(Entry {
        name: Name::parse(name),
        written: line.start..line.start + name.len(),
        value: start..start + value.trim_ascii().len(),
    })
}

fn length_among(text: &str, entries: &[Entry]) -> Result<Option<usize>, BadLength> {
    let entries = entries.iter().filter(|entry| entry.name == Name::ContentLength);
    let mut found = None;
    for value in entries.map(|entry| &text[entry.value.clone()]) {
        let is_number = value.bytes().all(|b| b.is_ascii_digit());
        let length = value.parse().ok().filter(|_| is_number).ok_or(BadLength)?;
        if found.is_some_and(|before: usize| before != length) {
            return Err(BadLength);
        }
        found = Some(length);
    }
    Ok(found)
}

fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

impl Fields {
    /// Checks that each mandatory field is present with one value, and parses CSeq.
    fn check_mandatory(&mut self) -> Result<(), ParseError> {
        let has_one_value = |name| {
            let mut lines = self.lines(name);
            lines.next().is_some_and(|first| lines.all(|other| other == first))
        };
        let names = [Name::From, Name::To, Name::CallId, Name::CSeq];
        let has_addresses = [Name::From, Name::To]
            .into_iter()
            .filter_map(|name| self.value(name).and_then(NameAddr::split))
            .filter(|address| !address.uri.is_empty())
            .count()
            == 2;
        if !names.into_iter().all(has_one_value)
            || !has_addresses
            || self.call_id().is_empty()
            || self.via().is_none()
        {
            return Err(ParseError::Mandatory);
        }
        let cseq = self.value(Name::CSeq).unwrap_or_default();
        let (number, method) = cseq.split_once(char::is_whitespace).ok_or(ParseError::Mandatory)?;
        let is_number = number.bytes().all(|b| b.is_ascii_digit());
        let number: u32 = number.parse().map_err(|_| ParseError::Mandatory)?;
        let method = Method::parse(method.trim());
        if !is_number || number > i32::MAX as u32 {
            return Err(ParseError::Mandatory);
        }
        (self.cseq, self.cseq_method) = (number, method);
        Ok(())
    }

    /// Sets the body, of which `rest` has as many bytes as Content-Length says. Bytes after it are not part of the
    /// message (RFC 3261 §18.3). A datagram also ends a body without a usable Content-Length; a stream never
    /// contains one.
    fn set_body(&mut self, rest: &[u8]) {
        let length = length_among(&self.text, &self.entries);
        let body = match length {
            Ok(None) => Some(rest),
            Ok(Some(length)) => rest.get(..length),
            Err(BadLength) => None,
        };
        self.odd_lines += usize::from(body.is_none());
        self.body = body.unwrap_or(rest).to_vec();
    }
}

#[cfg(test)]
mod tests;
