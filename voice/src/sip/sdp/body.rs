//! Finds the session description in the body of a message (RFC 3261 §7.4, RFC 2046 §5.1, RFC 5621).
//!
//! Carriers put it beside ISUP, location or other parts. What is declared as a description comes first; otherwise a
//! part that looks like one is taken.

use crate::sip::message::Fields;
use crate::sip::message::header::{Name, param};

use super::audio::CONTENT_TYPE;

/// How deep multipart bodies may be nested.
const MAX_DEPTH: u8 = 4;
/// Further parts of one multipart body are not read.
const MAX_PARTS: usize = 32;
/// A description for early media only (RFC 3959).
const EARLY_SESSION: &str = "early-session";

/// The session description in the body of a message. `None`: there is none.
pub fn find(message: &Fields) -> Option<&[u8]> {
    let mut found = Found::default();
    let part = Part {
        content_type: message.value(Name::ContentType),
        disposition: message.named("Content-Disposition"),
        body: message.body(),
    };
    found.search(&part, 0);
    found.declared.or(found.undeclared)
}

/// A body with what its header fields say about it.
struct Part<'f, 'b> {
    content_type: Option<&'f str>,
    disposition: Option<&'f str>,
    body: &'b [u8],
}

#[derive(Default)]
struct Found<'b> {
    declared: Option<&'b [u8]>,
    /// Without the content type, but it looks like a description.
    undeclared: Option<&'b [u8]>,
}

impl<'b> Found<'b> {
    fn search(&mut self, part: &Part<'_, 'b>, depth: u8) {
        let (disposition, _) = split_parameters(part.disposition);
        if self.declared.is_some() || disposition.eq_ignore_ascii_case(EARLY_SESSION) {
            return;
        }
        let (content_type, parameters) = split_parameters(part.content_type);
        let body = part.body.trim_ascii_start();
        if content_type.eq_ignore_ascii_case(CONTENT_TYPE) {
            self.declared = (!body.is_empty()).then_some(body);
            return;
        }
        if is_multipart(content_type) && depth < MAX_DEPTH {
            let boundary = param(parameters, "boundary").unwrap_or_default();
            for bytes in parts(body, boundary.as_bytes()) {
                self.search_bytes(bytes, depth + 1);
            }
        }
        if body.starts_with(b"v=") {
            self.undeclared.get_or_insert(body);
        }
    }

    /// Searches a part of a multipart body, which begins with header fields.
    fn search_bytes(&mut self, bytes: &'b [u8], depth: u8) {
        let (head, body) = split_head(bytes);
        let head = String::from_utf8_lossy(head).replace("\r\n", "\n");
        let unfolded = head.replace("\n ", " ").replace("\n\t", " ");
        let field = |name: &str| {
            let mut fields = unfolded.lines().filter_map(|line| line.split_once(':'));
            let found = fields.find(|(written, _)| written.trim().eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        };
        let (content_type, disposition) = (field("Content-Type"), field("Content-Disposition"));
        self.search(&Part { content_type, disposition, body }, depth);
    }
}

/// Splits `type;a=1;b=2` into the type and the parameters.
fn split_parameters(value: Option<&str>) -> (&str, &str) {
    let value = value.unwrap_or_default();
    let (value, parameters) = value.split_once(';').unwrap_or((value, ""));
    (value.trim(), parameters)
}

fn is_multipart(content_type: &str) -> bool {
    let kind = content_type.split('/').next().unwrap_or_default();
    kind.eq_ignore_ascii_case("multipart")
}

/// The parts of a multipart body, with their header fields. The preamble is skipped. Without the final delimiter, the
/// last part ends with the body. A missing or wrong `boundary` is read from the first line that begins like one.
fn parts<'b>(body: &'b [u8], boundary: &[u8]) -> Vec<&'b [u8]> {
    let lines = || body.split_inclusive(|byte| *byte == b'\n');
    let is_used = !boundary.is_empty() && lines().any(|line| delimits(line, boundary).is_some());
    let boundary = match is_used {
        true => boundary,
        false => {
            let first = lines().find_map(|line| line.trim_ascii_end().strip_prefix(b"--"));
            match first.filter(|boundary| !boundary.is_empty()) {
                Some(boundary) => boundary,
                None => return Vec::new(),
            }
        }
    };
    let (mut parts, mut start, mut at) = (Vec::new(), None, 0);
    for line in lines() {
        let end = at;
        at += line.len();
        let Some(is_last) = delimits(line, boundary) else {
            continue;
        };
        parts.extend(start.map(|start| &body[start..end]));
        start = (!is_last).then_some(at);
        if is_last || parts.len() == MAX_PARTS {
            return parts;
        }
    }
    parts.extend(start.map(|start| &body[start..]));
    parts
}

/// Whether a line delimits parts: `Some(true)` at the end of the last one.
fn delimits(line: &[u8], boundary: &[u8]) -> Option<bool> {
    match line.trim_ascii_end().strip_prefix(b"--")?.strip_prefix(boundary)? {
        b"" => Some(false),
        b"--" => Some(true),
        _ => None,
    }
}

/// Splits the header fields of a part from its body. A part may lack the fields, and even the blank line.
fn split_head(part: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in part.split_inclusive(|byte| *byte == b'\n') {
        match line.trim_ascii_end() {
            b"" => return (&part[..at], &part[at + line.len()..]),
            line if line.starts_with(b"v=") => break,
            _ => at += line.len(),
        }
    }
    part.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;
    use proptest::prelude::*;

    const SDP: &str = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8\r\n";

    fn found(fields: &str, body: &str) -> Option<String> {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:x@y>;tag=a\r\n\
             To: <sip:z@y>;tag=b\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{fields}\r\n{body}"
        );
        let Message::Response(response) = Message::parse(text.as_bytes()).unwrap() else {
            panic!("a request");
        };
        find(&response).map(|body| String::from_utf8_lossy(body).trim_end().to_owned())
    }

    fn assert_found(fields: &str, body: &str) {
        assert_eq!(found(fields, body).as_deref(), Some(SDP.trim_end()), "{fields}\n{body}");
    }

    #[test]
    fn a_description_is_found_under_every_spelling_of_its_type() {
        for fields in [
            "Content-Type: application/sdp\r\n",
            "Content-Type: APPLICATION/SDP\r\n",
            "c: Application/Sdp ; charset=utf-8\r\n",
            "Content-Type: application/sdp\r\nContent-Disposition: session;handling=required\r\n",
            "Content-Type: application/sdp\r\nContent-Disposition: render\r\n",
            "",
            "Content-Type: text/plain\r\n",
        ] {
            assert_found(fields, SDP);
            assert_found(fields, &format!("\r\n\r\n{SDP}"));
        }
    }

    #[test]
    fn a_description_is_found_among_other_parts() {
        let isup = "Content-Type: application/isup;version=itu-t92+\r\n\
                    Content-Disposition: signal;handling=optional\r\n\r\n\x01\0I\0--xy\r\n";
        let sdp = format!("Content-Type: application/sdp\r\n\r\n{SDP}");
        let early =
            "Content-Type: application/sdp\r\nContent-Disposition: early-session\r\n\r\nv=0\r\n";
        let folded = format!(
            "content-type: multipart/alternative;\r\n boundary=\"in ner\"\r\n\r\npreamble\r\n\
             --in ner\r\n{isup}\r\n--in ner\r\n{sdp}\r\n--in ner--\r\n"
        );
        for (boundary, body) in [
            ("x", format!("--x\r\n{isup}\r\n--x\r\n{sdp}\r\n--x--\r\n")),
            ("\"x\"", format!("--x\r\n{sdp}\r\n--x  \r\n{isup}\r\n--x--\r\nepilogue\r\n")),
            ("x", format!("This is a preamble.\r\nv=1\r\n--x\r\n{sdp}\r\n--x--")),
            ("x", format!("--x\r\n{isup}\r\n--x\r\n{sdp}")),
            ("x", format!("--x\n{isup}\n--x\n{sdp}\n--x--\n")),
            ("x", format!("--x\r\n{early}\r\n--x\r\n{sdp}\r\n--x--\r\n")),
            ("x", format!("--x\r\nv=not this\r\n--x\r\n{sdp}\r\n--x--\r\n")),
            ("x", format!("--x\r\n\r\n{SDP}\r\n--x--\r\n")),
            ("x", format!("--x\r\n{SDP}\r\n--x--\r\n")),
            ("x", format!("--x\r\n{isup}\r\n--x\r\n{folded}\r\n--x--\r\n")),
            ("other", format!("--x\r\n{isup}\r\n--x\r\n{sdp}\r\n--x--\r\n")),
        ] {
            let fields = format!("Content-Type: Multipart/Mixed;boundary={boundary}\r\n");
            assert_found(&fields, &body);
        }
        let body = format!("--x\r\n{isup}\r\n--x\r\n{sdp}\r\n--x--\r\n");
        assert_found("Content-Type: multipart/mixed\r\n", &body);
    }

    #[test]
    fn other_bodies_have_no_description() {
        for (kind, body) in [
            ("application/isup", "\x01\x02"),
            ("application/sdp", ""),
            (
                "multipart/mixed;boundary=x",
                "--x\r\nContent-Type: application/isup\r\n\r\n1\r\n--x--",
            ),
            ("multipart/mixed;boundary=x", "--x--\r\n"),
            ("multipart/mixed;boundary=x", "--"),
            ("multipart/mixed", "nothing"),
        ] {
            assert_eq!(found(&format!("Content-Type: {kind}\r\n"), body), None, "{body:?}");
        }
    }

    #[test]
    fn endless_nesting_ends() {
        let body = "--x\r\nContent-Type: multipart/mixed;boundary=x\r\n\r\n".repeat(1000);
        assert_eq!(found("Content-Type: multipart/mixed;boundary=x\r\n", &body), None);
    }

    proptest! {
        #[test]
        fn no_body_makes_the_search_panic(body in "(-{0,2}x?(--)?\r?\n?[a-z:;=\\-]{0,12}){0,40}") {
            let _ = found("Content-Type: multipart/mixed;boundary=x\r\n", &body);
        }
    }
}
