use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::sdes::Crypto;
use super::*;
use crate::audio::g711::{Codec, Format};
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

fn local() -> LocalDescription {
    LocalDescription::new(write(&audio(), 7).into_bytes())
}

/// Our answer to an offer.
fn answered(own: &mut LocalDescription, offer: &str) -> Result<String, SdpError> {
    let text = own.answer(offer.as_bytes())?;
    Ok(String::from_utf8(text.to_vec()).unwrap())
}

/// The `m=` lines of a description.
fn streams(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("m=")).collect()
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
    let mut own = LocalDescription::new(write(&own, 7).into_bytes());
    let theirs = Audio {
        codecs: vec![Codec::Pcmu],
        telephone_event: Some(96),
        ..protected(&[(5, LONG, 3), (6, SHORT, 4)])
    };
    let offer = write(&theirs, 1).replace("sendrecv", "sendonly");
    let text = answered(&mut own, &offer).unwrap();
    let inline = key(SHORT, 1).to_inline();
    for line in [
        "o=nexo 7 2 IN IP4 192.0.2.1",
        "m=audio 20000 RTP/SAVP 0 96",
        "a=recvonly",
        &format!("a=crypto:6 AES_CM_128_HMAC_SHA1_80 inline:{}", *inline),
    ] {
        assert!(text.lines().any(|written| written == line), "{line}\n{text}");
    }
    let again = answered(&mut own, &offer).unwrap();
    assert!(again.contains("o=nexo 7 3 "), "{again}");
    let plain = write(&audio(), 1);
    assert_eq!(answered(&mut own, &plain), Err(SdpError::SrtpMismatch));
}

#[test]
fn the_address_0_0_0_0_holds_the_call() {
    for (zeros, direction, answered_direction) in [
        ("IN IP4 0.0.0.0", "sendrecv", "recvonly"),
        ("IN IP4 0.0.0.0", "inactive", "inactive"),
        ("IN IP6 ::", "sendonly", "recvonly"),
        ("in ip4 hold.INVALID", "recvonly", "inactive"),
    ] {
        let mut own = local();
        let held = write(&audio(), 1).replace("IN IP4 192.0.2.1\r\nt", &format!("{zeros}\r\nt"));
        let held = held.replace("a=sendrecv", &format!("a={direction}"));
        let agreed = agree(held.as_bytes(), &audio()).unwrap();
        assert!(agreed.is_held() && !agreed.has_address() && agreed.host.is_none(), "{held}");
        let text = answered(&mut own, &held).unwrap();
        assert!(text.contains(&format!("a={answered_direction}\r\n")), "{text}");
        assert!(text.contains("c=IN IP4 192.0.2.1"), "{text}");
    }
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
    assert_eq!((both.format.codec, both.frames_per_packet), (Codec::Pcmu, 2));
    assert_eq!(both.direction, Direction::SendOnly);
    assert!(!both.direction.receives());
    let with = |codecs: &[Codec]| Audio { codecs: codecs.to_vec(), ..audio() };
    let one = agree(text.as_bytes(), &with(&[Codec::Pcma])).unwrap();
    assert_eq!(one.format, Format::of(Codec::Pcma));
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

/// An answer with these lines after its first one, read by a far end that offered `audio()`.
fn agreed(lines: &str) -> Result<Agreed, SdpError> {
    agree(format!("v=0\r\n{lines}").as_bytes(), &audio())
}

#[test]
fn a_description_is_read_whatever_its_form() {
    let expected: std::net::SocketAddr = ([192, 0, 2, 9], 4000).into();
    for body in [
        &b"v=0\r\ns=Caf\xe9 \xff\xfe\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 8\r\n"[..],
        b"v=0\nc=IN IP4 192.0.2.9\nm=audio 4000 RTP/AVP 8",
        b"v=0\rc=IN IP4 192.0.2.9\rm=audio 4000 RTP/AVP 8\r",
        b"\xef\xbb\xbf\r\n v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 8 \r\n\0\0",
        b"v=0\r\no=\r\no=- x y\r\nz=?\r\nnonsense\r\n=\r\nc= in  ip4 192.0.2.9/127/3\r\n\
          m=AUDIO 4000/2 rtp/avp 8 200 8 x\r\na=\r\na=rtpmap:\r\n",
        b"v=0\r\nm=audio 4000 RTP/AVP 8\r\nb=AS:64\r\nc=IN IP4 192.0.2.9\r\n",
        b"v=0\r\nc=IN IP6 192.0.2.9\r\nm=audio 4000 RTP/AVP 8\r\nc=IN\r\n",
        b"v=0\r\nc=IN IP4 192.0.2.9\r\nm=video 0 RTP/AVP 96\r\nm=audio 0 RTP/AVP 8\r\n\
          m=audio 6000 RTP/SAVP 8\r\nm=audio 4000 RTP/AVP 18 8\r\nm=audio 5000 RTP/AVP 0\r\n",
    ] {
        let agreed = agree(body, &audio());
        let agreed = agreed.unwrap_or_else(|error| panic!("{error}: {}", body.escape_ascii()));
        assert_eq!((agreed.rtp, agreed.format), (expected, Format::of(Codec::Pcma)));
        assert!(!agreed.is_held());
    }
}

#[test]
fn a_host_name_is_an_address_to_look_up() {
    let ip = [192, 0, 2, 9].into();
    let mut named =
        agreed("c=IN IP4 media-1.carrier.example\r\nm=audio 4000 RTP/AVP 8\r\n").unwrap();
    assert_eq!(named.host.as_deref(), Some("media-1.carrier.example"));
    assert!(named.is_held(), "nothing can be sent yet");
    named.resolve(ip);
    assert!(!named.is_held() && named.host.is_none());
    assert_eq!((named.rtp, named.rtcp), ((ip, 4000).into(), (ip, 4001).into()));
    let rtcp = "c=IN IP4 a.example\r\nm=audio 4000 RTP/AVP 8\r\na=rtcp:4100 IN IP4 192.0.2.3\r\n";
    let mut named = agreed(rtcp).unwrap();
    named.resolve(ip);
    assert_eq!(named.rtcp, ([192, 0, 2, 3], 4100).into());
    let long = format!("{}.example", "a".repeat(260));
    for host in ["a/b", "a b", "999.1.2.3", "<a>", "b\u{e9}.example", "", &long] {
        let error = agreed(&format!("c=IN IP4 {host}\r\nm=audio 4000 RTP/AVP 8\r\n"));
        assert!(
            error.as_ref().is_err_and(|e| *e == SdpError::NoAddress)
                || error.as_ref().is_ok_and(|agreed| agreed.host.as_deref() == Some("a")),
            "{host}: {error:?}"
        );
    }
    // An offer with a host name is accepted too.
    let offer = write(&audio(), 1).replace("c=IN IP4 192.0.2.1", "c=IN IP4 media.example");
    assert!(answered(&mut local(), &offer).unwrap().contains("a=sendrecv"));
}

#[test]
fn g711_is_used_under_a_dynamic_payload_type() {
    for (line, codec, payload_type) in [
        ("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMA/8000", Codec::Pcma, 96),
        ("m=audio 4000 RTP/AVP 18 97 8\r\na=rtpmap:97 pcmu/8000/1", Codec::Pcmu, 97),
        ("m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMA/8000", Codec::Pcma, 0),
        ("m=audio 4000 RTP/AVP 96 8\r\na=rtpmap:96 PCMA/16000", Codec::Pcma, 8),
        ("m=audio 4000 RTP/AVP 96 8\r\na=rtpmap:96 PCMU/8000/2", Codec::Pcma, 8),
        ("m=audio 4000 RTP/AVP 97 8\r\na=rtpmap:96 PCMU/8000", Codec::Pcma, 8),
    ] {
        let agreed = agreed(&format!("c=IN IP4 192.0.2.9\r\n{line}\r\n")).unwrap();
        assert_eq!(agreed.format, Format { codec, payload_type }, "{line}");
    }
    // RFC 3264 §6.1: the answer uses the numbers of the offer.
    let offer = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 97 96 8\r\n\
                 a=rtpmap:97 G729/8000\r\na=rtpmap:96 PCMA/8000\r\n";
    let mut own = local();
    let answer = answered(&mut own, offer).unwrap();
    assert_eq!(streams(&answer), ["m=audio 20000 RTP/AVP 96"]);
    assert!(answer.contains("a=rtpmap:96 PCMA/8000\r\n"), "{answer}");
    assert!(String::from_utf8_lossy(own.offer()).contains("m=audio 20000 RTP/AVP 8 0\r\n"));
}

#[test]
fn an_answer_has_all_streams_of_the_offer_and_later_offers_keep_them() {
    let offer = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=image 6000 udptl t38\r\nm=audio 4000 RTP/SAVP 8\r\n\
                 m=audio 4002 RTP/AVP 8\r\na=sendonly\r\nm=video 4004 RTP/AVP 96 97\r\n";
    let mut own = local();
    let refused = ["m=image 0 udptl t38", "m=audio 0 RTP/SAVP 8", "", "m=video 0 RTP/AVP 96"];
    let with = |ours| refused.map(|line| if line.is_empty() { ours } else { line }).to_vec();
    let answer = answered(&mut own, offer).unwrap();
    assert_eq!(streams(&answer), with("m=audio 20000 RTP/AVP 8"));
    assert!(answer.contains("a=recvonly\r\n"), "{answer}");
    // Our offer ends the hold, with all codecs.
    let ours = String::from_utf8(own.offer().to_vec()).unwrap();
    assert_eq!(streams(&ours), with("m=audio 20000 RTP/AVP 8 0"));
    assert!(ours.contains("a=sendrecv\r\n") && ours.contains("o=nexo 7 3 "), "{ours}");
    // The far end removes all streams, and adds ours again.
    let removed = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=image 0 udptl t38\r\nm=audio 0 RTP/AVP 8\r\n";
    let answer = answered(&mut own, removed).unwrap();
    assert_eq!(streams(&answer), ["m=image 0 udptl t38", "m=audio 0 RTP/AVP 8"]);
    let ours = String::from_utf8(own.offer().to_vec()).unwrap();
    assert_eq!(streams(&ours), ["m=image 0 udptl t38", "m=audio 20000 RTP/AVP 8 0"]);
    let back = removed.replace("audio 0", "audio 4000");
    let answer = answered(&mut own, &back).unwrap();
    assert_eq!(streams(&answer), ["m=image 0 udptl t38", "m=audio 20000 RTP/AVP 8"]);
}

#[test]
fn an_offer_that_is_refused_changes_nothing() {
    let line = "m=audio 4000 RTP/AVP 8\r\n";
    for (lines, error) in [
        // Fax instead of audio: the audio goes on.
        ("m=audio 0 RTP/AVP 8\r\nm=image 6000 udptl t38\r\n".to_owned(), SdpError::Rejected),
        ("m=video 4000 RTP/AVP 96\r\n".to_owned(), SdpError::NoAudio),
        (line.repeat(17), SdpError::TooManyStreams),
        (format!("{line}m=video\r\n"), SdpError::Malformed),
        (format!("{line}m={} 1 RTP/AVP 1\r\n", "v".repeat(65)), SdpError::Malformed),
        (format!("{line}m=vid\u{e9}o 1 RTP/AVP 1\r\n"), SdpError::Malformed),
        (String::new(), SdpError::NoAudio),
    ] {
        let mut own = local();
        let offer = format!("v=0\r\nc=IN IP4 192.0.2.9\r\n{lines}");
        assert_eq!(answered(&mut own, &offer), Err(error), "{lines}");
        assert_eq!(own.text(), write(&audio(), 7).as_bytes());
        assert_eq!(own.offer(), write(&audio(), 7).as_bytes());
    }
}

#[test]
fn the_suite_of_the_answer_stays() {
    let mut own =
        LocalDescription::new(write(&protected(&[(1, SHORT, 1), (2, LONG, 2)]), 7).into_bytes());
    own.accepted(write(&protected(&[(2, LONG, 9)]), 1).as_bytes());
    let offer = write(&protected(&[(1, SHORT, 3), (2, LONG, 9)]), 2);
    let answer = answered(&mut own, &offer).unwrap();
    let inline = key(LONG, 2).to_inline();
    assert!(
        answer.contains(&format!("a=crypto:2 AES_256_CM_HMAC_SHA1_80 inline:{}", *inline)),
        "{answer}"
    );
    let again = String::from_utf8(own.offer().to_vec()).unwrap();
    assert_eq!(again.matches("a=crypto").count(), 1, "{again}");
    let other = write(&protected(&[(1, SHORT, 3)]), 3);
    assert_eq!(answered(&mut own, &other), Err(SdpError::SrtpMismatch));
}

#[test]
fn a_key_with_a_master_key_identifier_is_passed_over() {
    let own = protected(&[(1, SHORT, 1), (2, LONG, 2)]);
    let short = write(&protected(&[(1, SHORT, 8)]), 1);
    let with_mki = short.replace("\r\na=ptime", "|2^20|1:4\r\na=ptime");
    let error = agree(with_mki.as_bytes(), &own).unwrap_err();
    assert!(error.to_string().contains("master key identifier"), "{error}");
    let inline = key(SHORT, 8).to_inline();
    assert!(!format!("{error} {error:?}").contains(&inline[..8]));
    // Another line is used, for an answer and for an offer.
    let both = with_mki.replace(
        "a=ptime",
        &format!("{}\r\na=ptime", *sdes::write(&Crypto { tag: 2, key: key(LONG, 9) })),
    );
    let keys = agree(both.as_bytes(), &own).unwrap().srtp_keys.unwrap();
    assert_eq!(*keys.theirs.to_inline(), *key(LONG, 9).to_inline());
    let mut local = LocalDescription::new(write(&own, 7).into_bytes());
    let answer = answered(&mut local, &both).unwrap();
    assert!(
        answer.contains("a=crypto:2 AES_256") && answer.matches("a=crypto").count() == 1,
        "{answer}"
    );
    for parameter in ["KDR=1", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "FEC_ORDER=FEC_SRTP", "NEW"]
    {
        let unusable = short.replace("\r\na=ptime", &format!(" {parameter}\r\na=ptime"));
        let error = agree(unusable.as_bytes(), &own).unwrap_err();
        assert_eq!(error, SdpError::Crypto(sdes::SdesError::SessionParameter), "{parameter}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(v=0\n)?([a-z]=[ -~]{0,40}\n){0,8}") {
        let mut own = local();
        let _ = (read(text.as_bytes()), own.answer(text.as_bytes()).map(drop));
        own.offer();
    }
}
