//! A media description of the far end: as an answer, as an offer during a call, and written again.

use std::net::SocketAddr;

use nexo_voice::audio::g711::Codec;
use nexo_voice::sip::sdp::sdes;
use nexo_voice::sip::sdp::{self, Audio, CryptoLines, LocalDescription};

const KEY: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

pub fn run(body: &[u8]) {
    if let Ok(audio) = sdp::read(body) {
        assert!(!audio.codecs.is_empty() && audio.rtp.port() != 0);
        let written = sdp::write(&audio, 1);
        let again = sdp::read(written.as_bytes()).expect("the written description can be read");
        assert_eq!(again.rtp, audio.rtp);
        assert_eq!(again.codecs, audio.codecs);
        assert_eq!(again.telephone_event, audio.telephone_event);
        assert_eq!(again.crypto, audio.crypto);
    }
    for own in [plain(), protected()] {
        if let Ok(agreed) = sdp::agree(body, &own) {
            assert!((1..=3).contains(&agreed.frames_per_packet));
            assert_eq!(agreed.srtp_keys.is_some(), own == protected());
        }
        let mut ours = LocalDescription::new(sdp::write(&own, 1).into_bytes());
        if ours.answer(body).is_ok() {
            let streams = |text: &[u8]| text.windows(3).filter(|w| w == b"\nm=").count();
            let answered = streams(ours.text());
            assert!(answered > 0 && streams(ours.offer()) == answered);
            sdp::read(ours.text()).expect("our next offer can be read");
        }
    }
}

fn plain() -> Audio {
    let at = |port| SocketAddr::from(([192, 0, 2, 9], port));
    let codecs = vec![Codec::Pcma, Codec::Pcmu];
    Audio { telephone_event: Some(101), ..Audio::plain(at(4000), at(4001), codecs) }
}

fn protected() -> Audio {
    let crypto = sdes::read(KEY).expect("a key of RFC 4568");
    Audio { crypto: CryptoLines::of(&[crypto]), ..plain() }
}
