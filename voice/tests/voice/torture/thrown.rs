//! The messages as they are thrown at a caller. `tests/telephony/sipp/torture.rs` throws them at the whole gateway.

use std::net::SocketAddr;

/// Ten are OPTIONS, which are granted; twenty ask what a caller does not do. The three responses and the
/// fourteen that are refused are answered by nothing, and two more that are answered hide their topmost
/// hop too well to be told by [`from_here`] where to be answered.
pub const ANSWERS: [(u16, usize); 2] = [(200, 10), (405, 20)];

/// The message, its answer wanted where it comes from.
pub fn from_here(message: &[u8]) -> Vec<u8> {
    rewritten(message, None)
}

/// The same, with the Call-ID of the call. Its tags are not the call's.
pub fn in_the_call(message: &[u8], call_id: &str) -> Vec<u8> {
    rewritten(message, Some(call_id))
}

fn rewritten(message: &[u8], call_id: Option<&str>) -> Vec<u8> {
    let mut rewritten = Vec::new();
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        match (name.trim_ascii().to_ascii_lowercase().as_slice(), call_id) {
            (b"call-id" | b"i", Some(call_id)) => {
                rewritten.extend_from_slice(format!("Call-ID: {call_id}\r\n").as_bytes());
            }
            (b"via" | b"v", _)
                if line != b"v=0\r\n" && !line.trim_ascii_end().ends_with(b"2.0") =>
            {
                rewritten.extend_from_slice(line.trim_ascii_end());
                rewritten.extend_from_slice(b";rport\r\n");
            }
            _ => rewritten.extend_from_slice(line),
        }
    }
    rewritten
}

pub const PING: &str = "ping";

/// Asks whether the caller is there, from `here`. When it answers this, by the Call-ID [`PING`], it has dealt
/// with all that was sent before.
pub fn ping(caller: SocketAddr, here: SocketAddr) -> String {
    format!(
        "OPTIONS sip:nexo@{caller} SIP/2.0\r\nVia: SIP/2.0/UDP {here};rport;branch=z9hG4bKping\r\n\
         From: <sip:g@h>;tag=g\r\nTo: <sip:nexo@h>\r\nCall-ID: {PING}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    )
}
