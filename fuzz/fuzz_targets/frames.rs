//! A stream of SIP: the first byte is how many bytes come at a time. However it is cut, the messages are
//! the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nexo_voice::sip::message::message::Message;
use nexo_voice::net::streams::framing::{Frame, Framer, FramingError};

fuzz_target!(|bytes: &[u8]| {
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
});

/// The messages, and what kept any more from being found.
fn frames<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FramingError>) {
    let (mut framer, mut frames) = (Framer::default(), Vec::new());
    for part in parts {
        framer.take(part);
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
