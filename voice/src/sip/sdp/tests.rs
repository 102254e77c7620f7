use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::sdes::Crypto;
use super::*;
use crate::audio::g711::Codec;
use crate::rtp::srtp::{MasterKey, Suite};

fn audio() -> Audio {
    let (rtp, rtcp) = (([192, 0, 2, 1], 20_000), ([192, 0, 2, 1], 20_001));
    Audio::plain(rtp.into(), rtcp.into(), vec![Codec::Pcma, Codec::Pcmu])
}

fn key(suite: Suite, seed: u64) -> MasterKey {
    MasterKey::random(suite, &mut StdRng::seed_from_u64(seed))
}

fn protected(lines: &[(u32, Suite, u64)]) -> Audio {
    let cryptos =
        lines.iter().map(|(tag, suite, seed)| Crypto { tag: *tag, key: key(*suite, *seed) });
    Audio { crypto: CryptoLines::of(&cryptos.collect::<Vec<_>>()), ..audio() }
}

const SHORT: Suite = Suite::AesCm128HmacSha1_80;
const LONG: Suite = Suite::AesCm256HmacSha1_80;

#[test]
fn a_repeated_payload_type_or_mapping_counts_once() {
    let types = " 8 0 8 101".repeat(6_000);
    let maps = "a=rtpmap:8 PCMA/8000\r\na=rtpmap:8 G729/8000\r\n".repeat(500);
    let body = format!(
        "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP{types}\r\n{maps}\
         a=rtpmap:101 telephone-event/8000\r\n"
    );
    let audio = read(body.as_bytes()).unwrap();
    assert_eq!(audio.codecs, [Codec::Pcma, Codec::Pcmu]);
    assert_eq!(audio.telephone_event, Some(101));
}

#[test]
fn events_count_under_every_number_that_either_side_gave_them() {
    use crate::rtp::wire::telephone_event::EventTypes;

    let own = Audio { telephone_event: Some(101), ..audio() };
    let event = [5, 10, 0, 160];
    for (media, maps, preferred, events, no_events) in [
        ("8 101", "a=rtpmap:101 telephone-event/8000", Some(101), &[101][..], &[96][..]),
        // RFC 3264 §5.1: the far end may send under our number.
        ("8 96", "a=rtpmap:96 telephone-event/8000", Some(96), &[96, 101], &[97]),
        ("8", "a=rtpmap:8 PCMA/8000", None, &[101], &[96]),
        // Twice, with another clock rate first, and only with another clock rate.
        (
            "8 101",
            "a=rtpmap:101 telephone-event/16000\r\na=rtpmap:101 telephone-event/8000",
            Some(101),
            &[101],
            &[],
        ),
        ("8 96", "a=rtpmap:96 TELEPHONE-EVENT/48000", None, &[96, 101], &[]),
        (
            "8 97 96",
            "a=rtpmap:97 telephone-event/16000\r\na=rtpmap:96 telephone-event/8000",
            Some(96),
            &[96, 97, 101],
            &[],
        ),
        // Numbers that mean something else, and an event under a codec's static number.
        ("8 101", "a=rtpmap:101 iLBC/8000\r\na=rtpmap:101 telephone-event/8000", None, &[], &[101]),
        ("8 0", "a=rtpmap:0 telephone-event/8000", Some(0), &[0, 101], &[8]),
        // Not listed.
        ("8", "a=rtpmap:96 telephone-event/8000", None, &[101], &[96]),
    ] {
        let body =
            format!("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP {media}\r\n{maps}\r\n");
        assert_eq!(read(body.as_bytes()).unwrap().telephone_event, preferred, "{body}");
        let types: EventTypes = agree(body.as_bytes(), &own).unwrap().event_types;
        assert!(events.iter().all(|number| types.is_event(*number, &event)), "{body} {types:?}");
        assert!(
            !no_events.iter().any(|number| types.is_event(*number, &event)),
            "{body} {types:?}"
        );
    }
}

#[test]
fn a_written_description_reads_back() {
    assert_eq!(read(write(&audio(), 7).as_bytes()), Ok(audio()));
    let apart = Audio { rtcp: ([192, 0, 2, 1], 30_000).into(), ..audio() };
    assert_eq!(read(write(&apart, 7).as_bytes()), Ok(apart));
    let v6 = Audio {
        rtp: "[2001:db8::1]:4000".parse().unwrap(),
        rtcp: "[2001:db8::1]:4001".parse().unwrap(),
        codecs: vec![Codec::Pcmu],
        telephone_event: Some(101),
        ..audio()
    };
    assert_eq!(read(write(&v6, 7).as_bytes()), Ok(v6));
    let protected = protected(&[(1, SHORT, 1), (2, LONG, 2)]);
    assert_eq!(read(write(&protected, 7).as_bytes()), Ok(protected));
}

#[test]
fn keys_are_agreed_by_suite_and_only_if_both_sides_use_srtp() {
    let own = protected(&[(1, SHORT, 1), (2, LONG, 2)]);
    let body = write(&protected(&[(2, LONG, 9)]), 1);
    let keys = agree(body.as_bytes(), &own).unwrap().srtp_keys.unwrap();
    assert_eq!(*keys.ours.to_inline(), *key(LONG, 2).to_inline());
    assert_eq!(*keys.theirs.to_inline(), *key(LONG, 9).to_inline());
    let plain = write(&audio(), 1);
    let other = Err(SdpError::SrtpMismatch);
    assert_eq!(agree(plain.as_bytes(), &own).map(|_| ()), other);
    assert_eq!(agree(body.as_bytes(), &audio()).map(|_| ()), other);
    let unknown = body.replace("AES_256", "AES_512").replace("AES_CM_256", "AES_CM_512");
    assert_eq!(agree(unknown.as_bytes(), &own).map(|_| ()), other);
    assert!(!format!("{own:?}").contains(key(SHORT, 1).to_inline().as_str()));
}

#[test]
fn keys_of_a_plain_stream_are_ignored() {
    let offered = write(&protected(&[(1, SHORT, 1)]), 1);
    let plain = offered.replace("RTP/SAVP", "RTP/AVP");
    assert!(agree(plain.as_bytes(), &audio()).unwrap().srtp_keys.is_none());
}

#[test]
fn an_offer_during_a_call_is_answered_with_the_common_subset() {
    let own = Audio { telephone_event: Some(101), ..protected(&[(1, SHORT, 1)]) };
    let own = write(&own, 7);
    let theirs = Audio {
        codecs: vec![Codec::Pcmu],
        telephone_event: Some(96),
        ..protected(&[(5, LONG, 3), (6, SHORT, 4)])
    };
    let offer = write(&theirs, 1).replace("sendrecv", "sendonly");
    let text = answer(own.as_bytes(), offer.as_bytes()).unwrap();
    let inline = key(SHORT, 1).to_inline();
    for line in [
        "o=nexo 7 2 IN IP4 192.0.2.1",
        "m=audio 20000 RTP/SAVP 0 96",
        "a=recvonly",
        &format!("a=crypto:6 AES_CM_128_HMAC_SHA1_80 inline:{}", *inline),
    ] {
        assert!(text.lines().any(|written| written == line), "{line}\n{text}");
    }
    let again = answer(text.as_bytes(), offer.as_bytes()).unwrap();
    assert!(again.contains("o=nexo 7 3 "), "{again}");
    let plain = write(&audio(), 1);
    assert_eq!(answer(own.as_bytes(), plain.as_bytes()), Err(SdpError::SrtpMismatch));
}

#[test]
fn the_address_0_0_0_0_holds_the_call() {
    let own = write(&audio(), 7);
    let held = own.replace("192.0.2.1", "0.0.0.0");
    let text = answer(own.as_bytes(), held.as_bytes()).unwrap();
    assert!(text.contains("a=recvonly"), "{text}");
    assert!(text.contains("c=IN IP4 192.0.2.1"), "{text}");
}

#[test]
fn packets_have_the_preferred_length_up_to_60_ms() {
    let body = write(&audio(), 1);
    for (lines, frames) in [
        ("a=ptime:20", 1),
        ("a=ptime:30", 1),
        ("a=ptime:40", 2),
        ("a=ptime:60", 3),
        ("a=ptime:200", 3),
        ("a=ptime:0", 1),
        ("a=ptime:60\r\na=maxptime:40", 2),
    ] {
        let body = body.replace("a=ptime:20\r\na=maxptime:60", lines);
        let agreed = agree(body.as_bytes(), &audio()).unwrap();
        assert_eq!(agreed.frames_per_packet, frames, "{lines}");
    }
}

#[test]
fn the_streams_address_overrides_the_sessions() {
    let text = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 101\r\nc=IN IP4 192.0.2.2\r\n\
                a=rtpmap:101 telephone-event/8000\r\na=rtcp:4100 IN IP4 192.0.2.3\r\nm=video 1 RTP/AVP 8\r\n";
    let audio = read(text.as_bytes()).unwrap();
    assert_eq!(audio.rtp, ([192, 0, 2, 2], 4000).into());
    assert_eq!(audio.rtcp, ([192, 0, 2, 3], 4100).into());
    assert_eq!(audio.codecs, [Codec::Pcmu]);
}

#[test]
fn the_first_common_codec_of_the_answer_is_used() {
    let text =
        "v=0\r\nc=IN IP4 192.0.2.1\r\na=sendonly\r\nm=audio 4000 RTP/AVP 18 0 8\r\na=ptime:40\r\n";
    let both = agree(text.as_bytes(), &audio()).unwrap();
    assert_eq!((both.codec, both.frames_per_packet), (Codec::Pcmu, 2));
    assert_eq!(both.direction, Direction::SendOnly);
    assert!(!both.direction.receives());
    let with = |codecs: &[Codec]| Audio { codecs: codecs.to_vec(), ..audio() };
    let one = agree(text.as_bytes(), &with(&[Codec::Pcma])).unwrap();
    assert_eq!(one.codec, Codec::Pcma);
    let none = agree(text.as_bytes(), &with(&[])).map(|_| ());
    assert_eq!(none, Err(SdpError::NoCodec));
}

#[test]
fn the_streams_direction_overrides_the_sessions() {
    let text =
        "v=0\r\nc=IN IP4 192.0.2.1\r\na=inactive\r\nm=audio 4000 RTP/AVP 8\r\na=recvonly\r\n";
    let answer = agree(text.as_bytes(), &audio()).unwrap();
    assert_eq!(answer.direction, Direction::RecvOnly);
    assert!(answer.direction.receives());
    let silent = write(&audio(), 7).replace("a=sendrecv\r\n", "");
    let answer = agree(silent.as_bytes(), &audio()).unwrap();
    assert_eq!(answer.direction, Direction::SendRecv);
}

#[test]
fn the_address_of_another_stream_is_ignored() {
    let text = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=video 6000 RTP/AVP 96\r\nc=IN IP4 192.0.2.66\r\nm=audio 4000 RTP/AVP 8\r\n";
    assert_eq!(read(text.as_bytes()).unwrap().rtp, ([192, 0, 2, 1], 4000).into());
}

#[test]
fn an_unusable_description_gives_its_reason() {
    for (text, error) in [
        ("", SdpError::Malformed),
        ("hello", SdpError::Malformed),
        ("v=0\r\nc=IN IP4 192.0.2.1\r\n", SdpError::NoAudio),
        ("v=0\r\nm=audio 4000 RTP/SAVPF 8\r\n", SdpError::NoAudio),
        ("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/SAVP 8\r\n", SdpError::SrtpMismatch),
        ("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 0 RTP/AVP 8\r\n", SdpError::Rejected),
        ("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 18\r\n", SdpError::NoCodec),
        (
            "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 8\r\na=rtpmap:8 G729/8000\r\n",
            SdpError::NoCodec,
        ),
        ("v=0\r\nm=audio 9 RTP/AVP 8\r\n", SdpError::NoAddress),
        ("v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 9 RTP/AVP 8\r\n", SdpError::NoAddress),
        ("v=0\r\nc=IN IP4 host.example\r\nm=audio 9 RTP/AVP 8\r\n", SdpError::NoAddress),
    ] {
        assert_eq!(read(text.as_bytes()), Err(error), "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(v=0\n)?([a-z]=[ -~]{0,40}\n){0,8}") {
        let own = write(&audio(), 7);
        let _ = (read(text.as_bytes()), answer(own.as_bytes(), text.as_bytes()));
    }
}
