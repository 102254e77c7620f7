use super::source::MAX_SOURCES;
use super::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

const SSRC: u32 = 0xcafe_babe;
const PAYLOAD: [u8; 16] = [0xab; 16];

/// Decodes hexadecimal digits; other characters are ignored.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    let pairs = digits.chunks(2);
    pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn suites() -> impl Strategy<Value = Suite> {
    proptest::sample::select(&Suite::ALL[..])
}

fn pair(suite: Suite) -> (Sender, Receiver) {
    let master = MasterKey::random(suite, &mut StdRng::seed_from_u64(1));
    (Sender::new(&master), Receiver::new(&master))
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 160]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn rtcp(ssrc: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(body);
    packet
}

fn protected(sender: &mut Sender, sequence: u16) -> Vec<u8> {
    let mut packet = rtp(SSRC, sequence, &PAYLOAD);
    sender.protect_rtp(&mut packet).unwrap();
    packet
}

fn protected_rtcp(sender: &mut Sender) -> Vec<u8> {
    let mut packet = rtcp(SSRC, &PAYLOAD);
    sender.protect_rtcp(&mut packet).unwrap();
    packet
}

fn take(receiver: &mut Receiver, packet: &[u8]) -> Result<(), SrtpError> {
    let mut packet = packet.to_vec();
    receiver.unprotect_rtp(&mut packet)
}

fn take_rtcp(receiver: &mut Receiver, packet: &[u8]) -> Result<(), SrtpError> {
    let mut packet = packet.to_vec();
    receiver.unprotect_rtcp(&mut packet)
}

/// Keys and packets of `srtp_validate` and `srtp_validate_aes_256` in libsrtp.
#[test]
fn the_reference_packets_of_libsrtp_are_reproduced() {
    const KEY_128: &str = "e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6";
    const KEY_256: &str = "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6
                           3b04803de51ee7c96423ab5b78d2";
    let plain = hex("800f1234decafbadcafebabe abababababababababababababababab");
    for (suite, key, expected) in [
        (
            Suite::AesCm128HmacSha1_80,
            KEY_128,
            "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
        ),
        (
            Suite::AesCm128HmacSha1_32,
            KEY_128,
            "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc",
        ),
        (
            Suite::AesCm256HmacSha1_80,
            KEY_256,
            "800f1234decafbadcafebabe f1d9de17ff251ff1aa007774b0b4b40d a08d9d9a5b3a55d8873b",
        ),
    ] {
        let master = MasterKey::from_bytes(suite, &hex(key)).unwrap();
        let mut packet = plain.clone();
        Sender::new(&master).protect_rtp(&mut packet).unwrap();
        assert_eq!(packet, hex(expected), "{suite:?}");
        Receiver::new(&master).unprotect_rtp(&mut packet).unwrap();
        assert_eq!(packet, plain, "{suite:?}");
    }
}

/// libsrtp counts SRTCP from 1, so its first packet is our second.
#[test]
fn the_reference_rtcp_packet_of_libsrtp_is_reproduced() {
    let key = hex("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6");
    let plain = hex("81c8000bcafebabe abababababababababababababababab");
    let expected =
        hex("81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798");
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32] {
        let master = MasterKey::from_bytes(suite, &key).unwrap();
        let mut sender = Sender::new(&master);
        sender.protect_rtcp(&mut plain.clone()).unwrap();
        let mut packet = plain.clone();
        sender.protect_rtcp(&mut packet).unwrap();
        assert_eq!(packet, expected);
        Receiver::new(&master).unprotect_rtcp(&mut packet).unwrap();
        assert_eq!(packet, plain);
    }
}

#[test]
fn a_stream_is_decrypted_across_many_rollovers() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    for index in (0..400_000u32).step_by(997) {
        let packet = protected(&mut sender, index as u16);
        assert_eq!(take(&mut receiver, &packet), Ok(()), "{index}");
    }
    assert_eq!(receiver.0.sources.get(SSRC).unwrap().rtp.highest(), Some(399_797));
}

#[test]
fn packets_reordered_across_a_rollover_are_accepted_once_each() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_32);
    let [a, b, c, d] = [65_534, 65_535, 0, 1].map(|sequence| protected(&mut sender, sequence));
    for packet in [&a, &d, &b, &c] {
        assert_eq!(take(&mut receiver, packet), Ok(()));
    }
    for packet in [&a, &b, &c, &d] {
        assert_eq!(take(&mut receiver, packet), Err(SrtpError::Replayed));
    }
}

#[test]
fn one_sequence_number_in_two_rollovers_is_two_packets() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    let early = protected(&mut sender, 10);
    assert_eq!(take(&mut receiver, &early), Ok(()));
    for sequence in [30_000, 60_000] {
        let packet = protected(&mut sender, sequence);
        assert_eq!(take(&mut receiver, &packet), Ok(()));
    }
    let late = protected(&mut sender, 10);
    assert_ne!(early, late);
    // It gets the index of `late`, whose rollover counter it was not authenticated with.
    assert_eq!(take(&mut receiver, &early), Err(SrtpError::Unauthentic));
    assert_eq!(take(&mut receiver, &late), Ok(()));
}

#[test]
fn a_packet_below_the_window_is_rejected() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    let packets: Vec<_> = (0..66).map(|at| protected(&mut sender, at)).collect();
    assert_eq!(take(&mut receiver, &packets[65]), Ok(()));
    assert_eq!(take(&mut receiver, &packets[1]), Err(SrtpError::Replayed));
    assert_eq!(take(&mut receiver, &packets[2]), Ok(()));
}

#[test]
fn a_sender_never_encrypts_one_sequence_number_twice() {
    let (mut sender, _) = pair(Suite::AesCm128HmacSha1_80);
    protected(&mut sender, 7);
    let mut again = rtp(SSRC, 7, b"another payload");
    let before = again.clone();
    assert_eq!(sender.protect_rtp(&mut again), Err(SrtpError::Replayed));
    assert_eq!(again, before);
}

#[test]
fn a_replayed_rtcp_packet_is_rejected() {
    let (mut sender, mut receiver) = pair(Suite::AesCm256HmacSha1_80);
    let first = protected_rtcp(&mut sender);
    let second = protected_rtcp(&mut sender);
    assert_ne!(first, second);
    assert_eq!(take_rtcp(&mut receiver, &second), Ok(()));
    assert_eq!(take_rtcp(&mut receiver, &first), Ok(()));
    assert_eq!(take_rtcp(&mut receiver, &first), Err(SrtpError::Replayed));
    assert_eq!(take_rtcp(&mut receiver, &second), Err(SrtpError::Replayed));
}

#[test]
fn a_forged_packet_does_not_move_the_window() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    let first = protected(&mut sender, 1);
    let second = protected(&mut sender, 2);
    assert_eq!(take(&mut receiver, &first), Ok(()));
    let mut forged = second.clone();
    forged[2] = 0x40;
    assert_eq!(take(&mut receiver, &forged), Err(SrtpError::Unauthentic));
    assert_eq!(take(&mut receiver, &second), Ok(()));
}

#[test]
fn an_unencrypted_rtcp_packet_is_rejected_even_if_authentic() {
    let (sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    let mut packet = rtcp(SSRC, &PAYLOAD);
    packet.extend(3u32.to_be_bytes());
    let tag = sender.0.rtcp.tag(&packet, &[]);
    packet.extend(&tag[..RTCP_TAG_BYTES]);
    assert_eq!(take_rtcp(&mut receiver, &packet), Err(SrtpError::Unencrypted));
}

#[test]
fn rtp_is_not_accepted_as_rtcp_nor_with_another_key() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    let packet = protected(&mut sender, 1);
    assert_eq!(take_rtcp(&mut receiver, &packet), Err(SrtpError::Unauthentic));
    let other = MasterKey::random(Suite::AesCm128HmacSha1_80, &mut StdRng::seed_from_u64(2));
    let mut other = Receiver::new(&other);
    assert_eq!(take(&mut other, &packet), Err(SrtpError::Unauthentic));
}

#[test]
fn each_source_has_its_own_rollover_counter() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    for sequence in [40_000, 65_535, 0] {
        let packet = protected(&mut sender, sequence);
        assert_eq!(take(&mut receiver, &packet), Ok(()));
    }
    let mut packet = rtp(7, 0, &PAYLOAD);
    sender.protect_rtp(&mut packet).unwrap();
    assert_eq!(take(&mut receiver, &packet), Ok(()));
    let rollover = |ssrc| receiver.0.sources.get(ssrc).unwrap().rtp.highest();
    assert_eq!((rollover(SSRC), rollover(7)), (Some(1 << 16), Some(0)));
}

#[test]
fn only_authentic_sources_count_towards_the_limit() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    for ssrc in 1_000..2_000 {
        let mut forged = rtp(ssrc, 1, &PAYLOAD);
        forged.extend([0; 10]);
        assert_eq!(take(&mut receiver, &forged), Err(SrtpError::Unauthentic));
    }
    for ssrc in 0..MAX_SOURCES as u32 {
        let mut packet = rtp(ssrc, 1, &PAYLOAD);
        sender.protect_rtp(&mut packet).unwrap();
        assert_eq!(take(&mut receiver, &packet), Ok(()));
    }
    let mut packet = rtp(99, 1, &PAYLOAD);
    assert_eq!(sender.protect_rtp(&mut packet), Err(SrtpError::TooManySources));
    packet.extend([0; 10]);
    assert_eq!(take(&mut receiver, &packet), Err(SrtpError::TooManySources));
    let mut known = rtp(3, 2, &PAYLOAD);
    sender.protect_rtp(&mut known).unwrap();
    assert_eq!(take(&mut receiver, &known), Ok(()));
}

#[test]
fn a_used_up_key_protects_no_further_packet() {
    let (mut sender, _) = pair(Suite::AesCm128HmacSha1_80);
    let mut source = sender.0.sources.get(SSRC).unwrap();
    source.rtp.mark((1 << 48) - 2).unwrap();
    source.rtcp.mark(MAX_RTCP_PACKETS - 2).unwrap();
    sender.0.sources.put(source);
    let (mut last, mut past) = (rtp(SSRC, 65_535, &PAYLOAD), rtp(SSRC, 0, &PAYLOAD));
    assert_eq!(sender.protect_rtp(&mut last), Ok(()));
    assert_eq!(sender.protect_rtp(&mut past), Err(SrtpError::KeyExhausted));
    let (mut last, mut past) = (rtcp(SSRC, &PAYLOAD), rtcp(SSRC, &PAYLOAD));
    assert_eq!(sender.protect_rtcp(&mut last), Ok(()));
    assert_eq!(sender.protect_rtcp(&mut past), Err(SrtpError::KeyExhausted));
}

#[test]
fn malformed_and_oversized_packets_are_rejected() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_80);
    let past_the_end = |first: u8, rest: &[u8]| {
        let mut packet = rtp(SSRC, 1, rest);
        packet[0] = first;
        packet
    };
    for packet in [
        Vec::new(),
        rtp(SSRC, 1, &[])[..11].to_vec(),
        past_the_end(0x40, &PAYLOAD),
        past_the_end(0x8f, &PAYLOAD),
        past_the_end(0x90, &[0xbe, 0xde, 0]),
        past_the_end(0x90, &[0xbe, 0xde, 0, 9, 1, 2, 3, 4]),
    ] {
        let mut packet = packet;
        assert_eq!(sender.protect_rtp(&mut packet), Err(SrtpError::Malformed));
        packet.extend([0; 10]);
        let taken = receiver.unprotect_rtp(&mut packet);
        assert_eq!(taken, Err(SrtpError::Malformed), "{packet:?}");
    }
    let mut short = rtcp(SSRC, &[])[..7].to_vec();
    assert_eq!(sender.protect_rtcp(&mut short), Err(SrtpError::Malformed));
    let mut longest = rtp(SSRC, 1, &vec![0; MAX_PACKET_BYTES - 22]);
    assert_eq!(sender.protect_rtp(&mut longest), Ok(()));
    assert_eq!(receiver.unprotect_rtp(&mut longest), Ok(()));
    let mut longer = rtp(SSRC, 2, &vec![0; MAX_PACKET_BYTES - 21]);
    assert_eq!(sender.protect_rtp(&mut longer), Err(SrtpError::TooLong));
    longer.extend([0; 10]);
    assert_eq!(receiver.unprotect_rtp(&mut longer), Err(SrtpError::TooLong));
}

#[test]
fn debug_hides_the_keys() {
    let (sender, receiver) = pair(Suite::AesCm128HmacSha1_80);
    let shown = format!("{sender:?} {receiver:?}");
    let expected = "{ suite: AesCm128HmacSha1_80, .. }";
    assert_eq!(shown, format!("Sender {expected} Receiver {expected}"));
}

proptest! {
    #[test]
    fn an_rtp_packet_is_decrypted_and_its_header_is_not_encrypted(
        suite in suites(), ssrc: u32, sequence: u16, csrcs in 0usize..16,
        extension in proptest::option::of(0usize..8),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let (mut sender, mut receiver) = pair(suite);
        let mut plain = rtp(ssrc, sequence, &vec![0x55; csrcs * 4]);
        plain[0] |= csrcs as u8;
        if let Some(words) = extension {
            plain[0] |= 0x10;
            plain.extend([0xbe, 0xde, 0, words as u8]);
            plain.extend(vec![0x77; words * 4]);
        }
        let header = plain.len();
        plain.extend(&payload);
        let mut packet = plain.clone();
        prop_assert_eq!(sender.protect_rtp(&mut packet), Ok(()));
        prop_assert_eq!(packet.len(), plain.len() + suite.rtp_tag_bytes());
        prop_assert_eq!(&packet[..header], &plain[..header]);
        prop_assert!(payload.len() < 8 || packet[header..plain.len()] != payload[..]);
        prop_assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(()));
        prop_assert_eq!(packet, plain);
    }

    #[test]
    fn an_rtcp_packet_is_decrypted(
        suite in suites(), ssrc: u32, body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let (mut sender, mut receiver) = pair(suite);
        let plain = rtcp(ssrc, &body);
        for _ in 0..3 {
            let mut packet = plain.clone();
            prop_assert_eq!(sender.protect_rtcp(&mut packet), Ok(()));
            prop_assert_eq!(packet.len(), plain.len() + 14);
            prop_assert!(body.len() < 8 || packet[8..plain.len()] != body[..]);
            prop_assert_eq!(receiver.unprotect_rtcp(&mut packet), Ok(()));
            prop_assert_eq!(&packet, &plain);
        }
    }

    #[test]
    fn a_flipped_bit_is_rejected_and_nothing_decrypted(
        suite in suites(), at: proptest::sample::Index, bit in 0u8..8,
    ) {
        let (mut sender, mut receiver) = pair(suite);
        for packet in [protected(&mut sender, 5), protected_rtcp(&mut sender)] {
            let mut flipped = packet.clone();
            flipped[at.index(packet.len())] ^= 1 << bit;
            let mut taken = flipped.clone();
            let outcome = if packet[1] == 200 {
                receiver.unprotect_rtcp(&mut taken)
            } else {
                receiver.unprotect_rtp(&mut taken)
            };
            prop_assert!(matches!(
                outcome,
                Err(SrtpError::Unauthentic | SrtpError::Malformed)
            ));
            prop_assert_eq!(taken, flipped);
        }
    }

    #[test]
    fn random_bytes_are_never_accepted_and_never_cause_a_panic(
        suite in suites(), has_version: bool,
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let (mut sender, mut receiver) = pair(suite);
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut().filter(|_| has_version) {
            *first = 0x80 | *first & 0x3f;
        }
        prop_assert!(take(&mut receiver, &bytes).is_err());
        prop_assert!(take_rtcp(&mut receiver, &bytes).is_err());
        let _ = sender.protect_rtp(&mut bytes.clone());
        let _ = sender.protect_rtcp(&mut bytes);
    }

    #[test]
    fn reordering_within_the_window_loses_nothing(
        start: u16, order in Just((0u16..60).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1_32);
        let mut packet = protected(&mut sender, start);
        prop_assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(()));
        let packets: Vec<_> = (1..61)
            .map(|ahead| protected(&mut sender, start.wrapping_add(ahead)))
            .collect();
        for at in order {
            let packet = &packets[usize::from(at)];
            prop_assert_eq!(take(&mut receiver, packet), Ok(()));
            prop_assert_eq!(take(&mut receiver, packet), Err(SrtpError::Replayed));
        }
    }
}
