//! Reading a message from one datagram, whole or not at all (RFC 3261 §7, §18.3).

use std::ops::Range;

use memchr::memchr;
use thiserror::Error;

use super::header::Name;
use super::message::{Entry, Fields, Message, Method, Request, Response};

/// The most bytes that a message may have: what a UDP datagram can carry.
pub const MAX_BYTES: usize = 65_535;

/// The most header fields that a message may have.
pub const MAX_HEADERS: usize = 256;

/// Why a datagram is no SIP message. Carries nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseError {
    #[error("a keep-alive, not a message")]
    KeepAlive,
    #[error("it is larger than a datagram")]
    TooLarge,
    #[error("the first line is neither a request nor a status line")]
    StartLine,
    #[error("a header field is malformed")]
    Header,
    #[error("there are too many header fields")]
    TooManyHeaders,
    #[error("a mandatory header field is missing, repeated or malformed")]
    Mandatory,
    #[error("Content-Length is no length, or says more than there is")]
    ContentLength,
}

impl Message {
    /// Reads one datagram. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// [`ParseError`], by the first thing that is wrong.
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
        let mut fields = Fields {
            text,
            entries,
            cseq: 0,
            cseq_method: Method::Other,
            body: Vec::new(),
        };
        fields.check()?;
        fields.body = fields.checked_body(parts.body)?.to_vec();
        match start_line {
            StartLine::Request { method, .. }
                if method != fields.cseq_method && method != Method::Other =>
            {
                Err(ParseError::Mandatory)
            }
            StartLine::Request { method, uri } => Ok(Message::Request(Request {
                method,
                uri,
                fields,
            })),
            StartLine::Status { code, reason } => Ok(Message::Response(Response {
                code,
                reason,
                fields,
            })),
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

/// A datagram taken apart at its empty line.
struct Parts<'a> {
    /// With its last line's end.
    head: &'a [u8],
    /// Whether a line of it continues the one before.
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
                    return Parts {
                        head,
                        is_folded,
                        body,
                    };
                }
                [b' ' | b'\t', ..] => is_folded = true,
                _ => {}
            }
        }
        Parts {
            head: datagram,
            is_folded,
            body: &[],
        }
    }

    /// The head as text, its folded lines joined: a line that starts with a blank continues the last.
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
        String::from_utf8(bytes).expect("ASCII took the place of ASCII")
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
        // What is read is written again into answers and ACKs: a line must stay one line there.
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
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

impl Fields {
    /// The fields that every message must have, each once, and the CSeq's parts.
    fn check(&mut self) -> Result<(), ParseError> {
        let once = |name| self.lines(name).count() == 1;
        let all_once = [Name::From, Name::To, Name::CallId, Name::CSeq]
            .into_iter()
            .all(once);
        let addressed = self.from().is_some() && self.to().is_some();
        if !all_once || !addressed || self.call_id().is_empty() || self.via().is_none() {
            return Err(ParseError::Mandatory);
        }
        let cseq = self.value(Name::CSeq).unwrap_or_default();
        let (number, method) = cseq
            .split_once(char::is_whitespace)
            .ok_or(ParseError::Mandatory)?;
        let is_number = number.bytes().all(|b| b.is_ascii_digit());
        let number: u32 = number.parse().map_err(|_| ParseError::Mandatory)?;
        let method = Method::parse(method.trim());
        if !is_number || number > i32::MAX as u32 {
            return Err(ParseError::Mandatory);
        }
        (self.cseq, self.cseq_method) = (number, method);
        Ok(())
    }

    /// The body, as long as it says; without a length it is the rest of the datagram. What follows it
    /// in the datagram is not part of the message (RFC 3261 §18.3).
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
mod tests {
    use super::super::header::{NameAddr, Via};
    use super::*;
    use proptest::prelude::*;

    fn request(text: &str) -> Result<Request, ParseError> {
        match Message::parse(text.replace('\n', "\r\n").as_bytes())? {
            Message::Request(request) => Ok(request),
            Message::Response(_) => panic!("a response"),
        }
    }

    const INVITE: &str = "INVITE sip:+84981234567@192.0.2.9 SIP/2.0\n\
        v: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa, SIP/2.0/TCP proxy\n\
        Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKb\n\
        f: \"A, \\\"B\\\"\" <sip:a@192.0.2.1>\n ;tag=from1\n\
        TO: sip:b@192.0.2.9;tag=to1\n\
        I: abc@nexo\n\
        CSeq: 7\tINVITE\n\
        m: <sip:a@192.0.2.1:5062;x=1>;expires=3\n\
        X-Thing : one\n\
        l: 4\n\nbody";

    #[test]
    fn compact_folded_and_listed_fields_are_read() {
        let request = request(INVITE).unwrap();
        assert_eq!(request.method(), Method::Invite);
        assert_eq!(request.uri(), "sip:+84981234567@192.0.2.9");
        assert_eq!(request.from_tag(), Some("from1"));
        assert_eq!(request.to_tag(), Some("to1"));
        assert_eq!(request.call_id(), "abc@nexo");
        assert_eq!(request.cseq(), 7);
        assert_eq!(request.contact(), Some("sip:a@192.0.2.1:5062;x=1"));
        assert_eq!(request.via().unwrap().branch(), Some("z9hG4bKa"));
        assert_eq!(request.values(Name::Via).count(), 3);
        assert_eq!(request.named("x-thing"), Some("one"));
        assert_eq!(request.body(), b"body");
    }

    #[test]
    fn blanks_wherever_the_grammar_allows_them_change_nothing() {
        // The liberties of RFC 4475 §3.1.1.1, taken all at once.
        let text = "BYE sip:b@192.0.2.9;unknownparam SIP/2.0\n\
            TO :\n sip:b@192.0.2.9 ;   tag    = 19n\n\
            from   : \"J Rosenberg \\\\\\\"\"       <sip:a@192.0.2.1>\n  ;\n  tag = 98a\n\
            MaX-fOrWaRdS: 0068\n\
            Call-ID: ws@192.0.2.1\n\
            cseq: 0009\n  BYE\n\
            Via  : SIP  /   2.0\n /UDP\n    192.0.2.1;branch=390skdjuw\n\
            v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ik  ,\n \
            SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30\n\
            NewFangledHeader:   newfangled value\n continued newfangled value\n\
            Unknown: ;;,,;;,;\n\
            m:\"Quoted string \\\"\\\"\" <sip:a@192.0.2.1> ; newparam =\n newvalue ;\n secondparam ; q = 0.33\n\n";
        let request = request(text).unwrap();
        assert_eq!(request.to_tag(), Some("19n"));
        assert_eq!(request.from_tag(), Some("98a"));
        assert_eq!((request.cseq(), request.cseq_method()), (9, Method::Bye));
        assert_eq!(request.contact(), Some("sip:a@192.0.2.1"));
        let branches: Vec<_> = request
            .values(Name::Via)
            .filter_map(Via::parse)
            .filter_map(|via| via.branch())
            .collect();
        assert_eq!(branches, ["390skdjuw", "z9hG4bK9ik", "z9hG4bK30"]);
        let long = "newfangled value   continued newfangled value";
        assert_eq!(request.named("newfangledheader"), Some(long));
    }

    #[test]
    fn a_message_beyond_the_limits_is_refused() {
        let more = |count| "X: 1\n".repeat(count);
        let with = |count: usize| INVITE.replace("X-Thing : one\n", &more(count));
        assert!(request(&with(MAX_HEADERS - 8)).is_ok());
        let error = request(&with(MAX_HEADERS + 1)).unwrap_err();
        assert_eq!(error, ParseError::TooManyHeaders);
        let error = Message::parse(&vec![b'A'; MAX_BYTES + 1]).unwrap_err();
        assert_eq!(error, ParseError::TooLarge);
    }

    #[test]
    fn a_status_line_needs_a_code_and_may_lack_a_reason() {
        let response = |line: &str| {
            let text = INVITE.split_once('\n').unwrap().1;
            let text = format!("{line}\n{text}").replace('\n', "\r\n");
            match Message::parse(text.as_bytes()) {
                Ok(Message::Response(r)) => Ok((r.code(), r.reason().to_owned())),
                Ok(Message::Request(_)) => panic!("a request"),
                Err(error) => Err(error),
            }
        };
        assert_eq!(response("SIP/2.0 180 Ringing"), Ok((180, "Ringing".into())));
        assert_eq!(response("SIP/2.0 200"), Ok((200, String::new())));
        assert_eq!(response("sip/2.0 486 "), Ok((486, String::new())));
        for line in [
            "SIP/2.0 20 OK",
            "SIP/2.0 2000 OK",
            "SIP/2.0 099 X",
            "SIP/2.0 +20 X",
        ] {
            assert_eq!(response(line), Err(ParseError::StartLine), "{line}");
        }
    }

    #[test]
    fn a_body_is_as_long_as_it_says_and_what_follows_it_is_passed_over() {
        for (length, outcome) in [
            ("l: 4", Ok("body")),
            ("l: 3", Ok("bod")),
            ("l: 0", Ok("")),
            ("l: 5", Err(ParseError::ContentLength)),
            ("l: -4", Err(ParseError::ContentLength)),
            ("l: 4\nContent-Length: 5", Err(ParseError::ContentLength)),
            ("l: 4\nContent-Length: 3", Err(ParseError::ContentLength)),
            ("X: 1", Ok("body")),
        ] {
            let got = request(&INVITE.replace("l: 4", length));
            let got = got.map(|request| String::from_utf8_lossy(request.body()).into_owned());
            assert_eq!(got, outcome.map(str::to_owned), "{length}");
        }
    }

    #[test]
    fn a_missing_or_repeated_mandatory_field_is_an_error() {
        for (from, to) in [
            ("I: abc@nexo\n", ""),
            ("CSeq: 7\tINVITE", "CSeq: 7"),
            ("CSeq: 7\tINVITE", "CSeq: 99999999999 INVITE"),
            ("CSeq: 7\tINVITE", "CSeq: 7 BYE"),
            ("TO: sip:b@192.0.2.9;tag=to1\n", "To: <sip:b\n"),
            ("I: abc@nexo", "I: abc@nexo\ni: again"),
        ] {
            let text = INVITE.replace(from, to);
            assert_eq!(
                request(&text).map(|_| ()),
                Err(ParseError::Mandatory),
                "{to:?}"
            );
        }
    }

    #[test]
    fn a_bare_carriage_return_is_refused() {
        let text = INVITE.replace("abc@nexo", "abc\rBYE sip:x SIP/2.0");
        assert_eq!(request(&text).map(|_| ()), Err(ParseError::Header));
    }

    #[test]
    fn blank_lines_are_a_keep_alive() {
        assert_eq!(
            Message::parse(b"\r\n\r\n").unwrap_err(),
            ParseError::KeepAlive
        );
        assert_eq!(Message::parse(b"").unwrap_err(), ParseError::KeepAlive);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn no_fields_make_the_reader_panic(
            fields in proptest::collection::vec(("[a-zA-Z-]{1,9}", "[ -~\t]{0,60}"), 0..20),
        ) {
            let mut text = String::from(INVITE.split("\n\n").next().unwrap_or_default());
            for (name, value) in fields {
                text.push_str(&format!("\n{name}: {value}"));
            }
            if let Ok(message) = request(&format!("{text}\n\nbody")) {
                let names = [Name::Via, Name::Contact, Name::RecordRoute, Name::Other];
                for name in names {
                    let _ = message.values(name).map(NameAddr::parse).count();
                }
            }
        }

        #[test]
        fn no_damage_to_a_message_makes_the_reader_panic(
            place in 0usize..400, byte in any::<u8>(), cut in 0usize..400,
        ) {
            let mut bytes = INVITE.replace('\n', "\r\n").into_bytes();
            let place = place % bytes.len();
            bytes[place] = byte;
            bytes.truncate(cut.max(1));
            if let Ok(Message::Request(request)) = Message::parse(&bytes) {
                let _ = (request.via(), request.contact(), request.from_tag(), request.to_tag());
            }
        }
    }
}
