//! What protects the audio: the `a=crypto:` attribute, read and written; and packets, of which a receiver
//! takes none that was not protected for it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nexo_voice::rtp::srtp::{Receiver, Sender};
use nexo_voice::sip::sdp::sdes;

const KEY: &str = "1 AES_CM_128_HMAC_SHA1_32 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(crypto) = sdes::read(text)
    {
        let written = sdes::write(&crypto);
        let value = written.strip_prefix("a=crypto:").expect("an attribute");
        let again = sdes::read(value).expect("what is written can be read");
        assert_eq!(again.tag, crypto.tag);
        assert_eq!(again.key.to_inline(), crypto.key.to_inline());
    }
    let key = sdes::read(KEY).expect("a key of RFC 4568").key;
    let mut receiver = Receiver::new(&key);
    let mut packet = bytes.to_vec();
    // Tags of 32 bits could be met by chance, but not by any that this will see.
    assert!(receiver.unprotect_rtp(&mut packet).is_err());
    assert!(receiver.unprotect_rtcp(&mut packet).is_err());
    assert_eq!(packet, bytes, "what is refused stays as it was");
    let mut sender = Sender::new(&key);
    if sender.protect_rtp(&mut packet).is_ok() {
        receiver.unprotect_rtp(&mut packet).expect("it is ours");
        assert_eq!(packet, bytes);
    }
    if sender.protect_rtcp(&mut packet).is_ok() {
        receiver.unprotect_rtcp(&mut packet).expect("it is ours");
        assert_eq!(packet, bytes);
    }
});
