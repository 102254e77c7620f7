//! SRTP: the `a=crypto:` attribute, read and written; and packets, which a receiver must reject if they were not
//! protected with its key.

use nexo_voice::rtp::srtp::{Receiver, Sender};
use nexo_voice::sip::sdp::sdes;

const KEY: &str = "1 AES_CM_128_HMAC_SHA1_32 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

pub fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(crypto) = sdes::read(text)
    {
        let written = sdes::write(&crypto);
        let value = written.strip_prefix("a=crypto:").expect("an attribute");
        let again = sdes::read(value).expect("the written attribute can be read");
        assert_eq!(again.tag, crypto.tag);
        assert_eq!(again.key.to_inline(), crypto.key.to_inline());
    }
    let key = sdes::read(KEY).expect("a key of RFC 4568").key;
    let mut receiver = Receiver::new(&key);
    let mut packet = bytes.to_vec();
    // An input could match a tag of 32 bits by chance, but this is too unlikely to occur.
    assert!(receiver.unprotect_rtp(&mut packet).is_err());
    assert!(receiver.unprotect_rtcp(&mut packet).is_err());
    assert_eq!(packet, bytes, "a rejected packet stays unchanged");
    let mut sender = Sender::new(&key);
    if sender.protect_rtp(&mut packet).is_ok() {
        receiver.unprotect_rtp(&mut packet).expect("our own packet");
        assert_eq!(packet, bytes);
    }
    if sender.protect_rtcp(&mut packet).is_ok() {
        receiver.unprotect_rtcp(&mut packet).expect("our own packet");
        assert_eq!(packet, bytes);
    }
}
