//! Parsing of a message from one datagram (RFC 3261 §7, §18.3). A message that breaks a rule is rejected
//! as a whole.

use std::ops::Range;

use memchr::memchr;
use thiserror::Error;

use super::fields::Entry;
use super::header::Name;
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
    #[error("a header field is malformed")]
    Header,
    #[error("more than 256 header fields")]
    TooManyHeaders,
    #[error("a mandatory header field is missing, repeated or malformed")]
    Mandatory,
    #[error("Content-Length is not a number, or larger than the body")]
    ContentLength,
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
        let entries = entries(&text, fields_start)?;
        let start_line = StartLine::parse(&text, line)?;
        let mut fields =
            Fields { text, entries, cseq: 0, cseq_method: Method::Other, body: Vec::new() };
        fields.check_mandatory()?;
        fields.body = fields.checked_body(parts.body)?.to_vec();
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
        if written.contains(|c: char| c.is_control()) {
            return Err(ParseError::StartLine);
        }
        if let Some(rest) = strip_prefix_ignore_case(written, "SIP/2.0 ") {
            let code = rest.get(..3).ok_or(ParseError::StartLine)?;
            let is_code = code.bytes().all(|b| b.is_ascii_digit());
            let code: u16 = code.parse().map_err(|_| ParseError::StartLine)?;
            let separated = rest.len() == 3 || rest.as_bytes()[3] == b' ';
            if !is_code || !separated || !(100..700).contains(&code) {
                return Err(ParseError::StartLine);
            }
            let reason = (line.end - rest.len() + 4).min(line.end)..line.end;
            return Ok(StartLine::Status { code, reason });
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
    /// Whether a line continues the previous one.
    is_folded: bool,
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(datagram: &'a [u8]) -> Parts<'a> {
        let mut is_folded = false;
        for end in memchr::memchr_iter(b'\n', datagram) {
            let (head, rest) = datagram.split_at(end + 1);
            match rest {
                [b'\r', b'\n', body @ ..] | [b'\n', body @ ..] => {
                    return Parts { head, is_folded, body };
                }
                [b' ' | b'\t', ..] => is_folded = true,
                _ => {}
            }
        }
        Parts { head: datagram, is_folded, body: &[] }
    }

    /// The head as text, with folded lines joined: a line that starts with a blank continues the previous one.
    fn text(&self) -> String {
        let text = match std::str::from_utf8(self.head) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(self.head).into_owned(),
        };
        if !self.is_folded {
            return text;
        }
        let mut bytes = text.into_bytes();
        for at in 1..bytes.len() {
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

fn entries(text: &str, start: usize) -> Result<Vec<Entry>, ParseError> {
    let mut entries = Vec::with_capacity(16);
    let mut at = start;
    while at < text.len() {
        let end = memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |end| at + end);
        let line = at..trimmed_end(text, end);
        at = end + 1;
        let written = &text[line.clone()];
        if written.trim_ascii_start().is_empty() {
            continue;
        }
        if entries.len() == MAX_HEADERS {
            return Err(ParseError::TooManyHeaders);
        }
        // Values are copied into responses and ACKs, where each must stay on one line.
        if memchr(b'\r', written.as_bytes()).is_some() {
            return Err(ParseError::Header);
        }
        let colon = memchr(b':', written.as_bytes()).ok_or(ParseError::Header)?;
        let name = written[..colon].trim_ascii_end();
        if !is_token(name) {
            return Err(ParseError::Header);
        }
        let value = &written[colon + 1..];
        let lead = value.len() - value.trim_ascii_start().len();
        let start = line.start + colon + 1 + lead;
        entries.push(Entry {
            name: Name::parse(name),
            written: line.start..line.start + name.len(),
            value: start..start + value.trim_ascii().len(),
        });
    }
    Ok(entries)
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
    /// Checks that each mandatory field is present exactly once, and parses CSeq.
    fn check_mandatory(&mut self) -> Result<(), ParseError> {
        let once = |name| self.lines(name).count() == 1;
        let all_once = [Name::From, Name::To, Name::CallId, Name::CSeq].into_iter().all(once);
        let has_addresses = self.from().is_some() && self.to().is_some();
        if !all_once || !has_addresses || self.call_id().is_empty() || self.via().is_none() {
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

    /// The body with the length of Content-Length; without that field, the rest of the datagram. Bytes after
    /// the body are not part of the message (RFC 3261 §18.3).
    fn checked_body<'a>(&self, body: &'a [u8]) -> Result<&'a [u8], ParseError> {
        let mut lengths = self.lines(Name::ContentLength);
        let Some(length) = lengths.next() else {
            return Ok(body);
        };
        let same = lengths.all(|other| other == length);
        let is_number = length.bytes().all(|b| b.is_ascii_digit());
        match length.parse::<usize>() {
            Ok(length) if same && is_number => body.get(..length).ok_or(ParseError::ContentLength),
            Ok(_) | Err(_) => Err(ParseError::ContentLength),
        }
    }
}

#[cfg(test)]
mod tests;
