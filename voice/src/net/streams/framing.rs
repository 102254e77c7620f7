//! Splitting of a byte stream into messages by Content-Length (RFC 3261 §18.3).

use thiserror::Error;

use crate::sip::message::parse::{content_length, head_length};

/// The maximum sizes of a message's head and body.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_BODY_BYTES: usize = 64 << 10;

/// Why the stream cannot be split any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FramingError {
    #[error("the head of a message is longer than 16 KiB")]
    HeadTooLong,
    #[error("the body of a message is longer than 64 KiB")]
    BodyTooLong,
    #[error("a message has no valid Content-Length, or several that differ")]
    NoLength,
}

/// A part of the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    Message(Vec<u8>),
    /// Two empty lines, to be answered with one (RFC 5626 §4.4.1).
    Ping,
}

/// Splits one stream.
#[derive(Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
    /// The head does not end before this position.
    searched: usize,
}

impl Framer {
    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, once it is complete.
    ///
    /// # Errors
    /// [`FramingError`]: the start of the next message is unknown, so the connection must be closed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FramingError> {
        if self.searched == 0 {
            if self.bytes.starts_with(b"\r\n\r\n") {
                self.drop_front(4);
                return Ok(Some(Frame::Ping));
            }
            // A pong, or the first half of a ping, which waits for the rest.
            let empty = self.bytes.iter().take_while(|b| b"\r\n".contains(b)).count();
            if empty == self.bytes.len() {
                return Ok(None);
            }
            self.drop_front(empty);
        }
        let from = self.searched.saturating_sub(3);
        let Some(head) = head_length(&self.bytes, from) else {
            self.searched = self.bytes.len();
            return match self.bytes.len() > MAX_HEAD_BYTES {
                true => Err(FramingError::HeadTooLong),
                false => Ok(None),
            };
        };
        if head > MAX_HEAD_BYTES {
            return Err(FramingError::HeadTooLong);
        }
        let length = content_length(&self.bytes[..head]);
        let length = length.ok().flatten().ok_or(FramingError::NoLength)?;
        if length > MAX_BODY_BYTES {
            return Err(FramingError::BodyTooLong);
        }
        if self.bytes.len() < head + length {
            // So that the end of the head is found again.
            self.searched = head - 1;
            return Ok(None);
        }
        let rest = self.bytes.split_off(head + length);
        self.searched = 0;
        Ok(Some(Frame::Message(std::mem::replace(&mut self.bytes, rest))))
    }

    fn drop_front(&mut self, length: usize) {
        self.bytes.drain(..length);
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(body: &str) -> Vec<u8> {
        let length = body.len();
        format!("SIP/2.0 200 OK\r\nVia: x\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    fn frames(framer: &mut Framer) -> Vec<Frame> {
        std::iter::from_fn(|| framer.next_frame().unwrap()).collect()
    }

    #[test]
    fn every_spelling_of_content_length_is_read() {
        for field in
            ["Content-Length: 2", "content-length  :2", "l: 2", "L:2 ", "l:\r\n 2", "odd\r\nl: 2"]
        {
            let text = format!("BYE x SIP/2.0\r\n{field}\r\n\r\nab");
            let mut framer = Framer::default();
            framer.push(text.as_bytes());
            let expected = Frame::Message(text.into_bytes());
            assert_eq!(framer.next_frame(), Ok(Some(expected)), "{field}");
        }
    }

    #[test]
    fn a_message_without_a_usable_length_is_an_error() {
        let long = format!("X: {}\r\n", "y".repeat(MAX_HEAD_BYTES));
        for (text, error) in [
            ("BYE x SIP/2.0\r\nVia: x\r\n\r\n", FramingError::NoLength),
            ("BYE x SIP/2.0\r\nl: -1\r\n\r\n", FramingError::NoLength),
            ("BYE x SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n", FramingError::NoLength),
            ("BYE x SIP/2.0\r\nl: 99999999\r\n\r\n", FramingError::BodyTooLong),
            (&long, FramingError::HeadTooLong),
        ] {
            let mut framer = Framer::default();
            framer.push(text.as_bytes());
            assert_eq!(framer.next_frame(), Err(error), "{}", &text[..20]);
        }
    }

    #[test]
    fn lines_may_end_without_a_carriage_return() {
        let text = b"BYE x SIP/2.0\nl: 2\n\nab";
        let mut framer = Framer::default();
        for byte in text.iter().chain(&message("x")) {
            framer.push(&[*byte]);
        }
        let expected = [Frame::Message(text.to_vec()), Frame::Message(message("x"))];
        assert_eq!(frames(&mut framer), expected);
    }

    #[test]
    fn pings_differ_from_messages_and_pongs() {
        let mut framer = Framer::default();
        framer.push(b"\r\n");
        assert_eq!(frames(&mut framer), []);
        framer.push(b"\r\n");
        assert_eq!(frames(&mut framer), [Frame::Ping]);
        framer.push(b"\r\n");
        framer.push(&message("x"));
        assert_eq!(frames(&mut framer), [Frame::Message(message("x"))]);
    }

    proptest! {
        #[test]
        fn the_messages_do_not_depend_on_how_the_stream_is_cut(
            bodies in proptest::collection::vec("[ -~\r\n]{0,40}", 1..8), cut in 1usize..50,
        ) {
            let whole: Vec<u8> = bodies.iter().flat_map(|body| message(body)).collect();
            let mut framer = Framer::default();
            let mut found = Vec::new();
            for piece in whole.chunks(cut) {
                framer.push(piece);
                found.extend(frames(&mut framer));
            }
            let expected: Vec<Frame> =
                bodies.iter().map(|body| Frame::Message(message(body))).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_bytes_make_the_framer_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut framer = Framer::default();
            framer.push(&bytes);
            for _ in 0..50 {
                if !matches!(framer.next_frame(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }
}
