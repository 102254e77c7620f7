//! Variants of the messages for sending to a caller. `tests/telephony/sipp/torture.rs` sends them to the
//! whole gateway.

use std::net::SocketAddr;

/// The caller's answers: 200 to eleven OPTIONS, 405 to 23 unsupported methods. The three responses and ten
/// refused messages get no answer. Two more answers are lost because [`with_rport`] cannot change
/// the topmost Via.
pub const ANSWERS: [(u16, usize); 2] = [(200, 11), (405, 23)];

/// The message with `rport` in its Via, so that the answer returns to the sender.
pub fn with_rport(message: &[u8]) -> Vec<u8> {
    rewritten(message, None)
}

/// The same with the call's Call-ID. The tags still differ from the call's.
pub fn with_call_id(message: &[u8], call_id: &str) -> Vec<u8> {
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

/// An OPTIONS request from `here`. The answer with Call-ID [`PING`] shows that the caller has processed
/// everything sent before.
pub fn ping(caller: SocketAddr, here: SocketAddr) -> String {
    format!(
        "OPTIONS sip:nexo@{caller} SIP/2.0\r\nVia: SIP/2.0/UDP {here};rport;branch=z9hG4bKping\r\n\
         From: <sip:g@h>;tag=g\r\nTo: <sip:nexo@h>\r\nCall-ID: {PING}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    )
}
