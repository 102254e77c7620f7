//! A SIP stream: the first byte is the number of bytes per read. The messages must not depend on it.

use nexo_voice::net::streams::framing::{Frame, Framer, FramingError};
use nexo_voice::sip::message::Message;

pub fn run(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else {
        return;
    };
    let whole = frames([stream].into_iter());
    let size = usize::from(*size).max(1);
    assert_eq!(frames(stream.chunks(size)), whole);
    for frame in whole.0 {
        if let Frame::Message(message) = frame {
            let _ = Message::parse(&message);
        }
    }
}

/// The messages, and the error that stopped the search.
fn frames<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FramingError>) {
    let (mut framer, mut frames) = (Framer::default(), Vec::new());
    for part in parts {
        framer.push(part);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}
