use super::*;

const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
const ANNOUNCED: &str = "198.51.100.1:4000";
const OTHER_PORT: &str = "198.51.100.1:5000";
const FRAME: Duration = Duration::from_millis(20);

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn rule(announced: &str) -> SourceRule {
    let announced = at(announced);
    let rtcp = SocketAddr::new(announced.ip(), announced.port() + 1);
    SourceRule::new(ExpectedSource::new(announced, rtcp, GATEWAY))
}

/// Packets of one source, one each 20 ms.
struct Sender {
    from: SocketAddr,
    ssrc: u32,
    sequence: u16,
    now: Instant,
    pace: Duration,
}

impl Sender {
    fn new(from: &str, ssrc: u32) -> Sender {
        Sender { from: at(from), ssrc, sequence: 65_533, now: Instant::now(), pace: FRAME }
    }

    fn send(&mut self, rule: &mut SourceRule) -> Verdict {
        self.send_as(rule, true)
    }

    fn send_as(&mut self, rule: &mut SourceRule, is_media: bool) -> Verdict {
        let header = Header {
            marker: false,
            payload_type: 8,
            sequence: self.sequence,
            timestamp: 0,
            ssrc: self.ssrc,
        };
        let verdict = rule.judge(self.from, &header, is_media, self.now);
        self.sequence = self.sequence.wrapping_add(1);
        self.now += self.pace;
        verdict
    }

    fn send_many(&mut self, rule: &mut SourceRule, count: usize) -> Vec<Verdict> {
        (0..count).map(|_| self.send(rule)).collect()
    }
}

#[test]
fn the_announced_address_counts_at_once() {
    let mut rule = rule(ANNOUNCED);
    let mut far = Sender::new(ANNOUNCED, 1);
    assert_eq!(far.send(&mut rule), Verdict::CountsFromNowOn);
    assert_eq!(far.send(&mut rule), Verdict::Counts);
    far.ssrc = 2;
    assert_eq!(
        far.send_as(&mut rule, false),
        Verdict::CountsFromNowOn,
        "a far end may be replaced"
    );
    assert_eq!(rule.latched(), None);
}

#[test]
fn another_port_counts_after_five_consecutive_packets() {
    let mut rule = rule(ANNOUNCED);
    let mut other = Sender::new(OTHER_PORT, 7);
    assert_eq!(other.send_many(&mut rule, 4), [Verdict::Ignored; 4]);
    assert_eq!(rule.current(), None);
    assert_eq!(other.send(&mut rule), Verdict::CountsFromNowOn);
    assert_eq!(other.send(&mut rule), Verdict::Counts);
    assert_eq!(rule.latched().unwrap().address, at(OTHER_PORT));
    assert_eq!(
        rule.rtp_destination(),
        at(ANNOUNCED),
        "a far end need not listen on the port that it sends from"
    );
    let mut third = Sender::new("198.51.100.1:6000", 8);
    assert_eq!(third.send_many(&mut rule, 20), [Verdict::Ignored; 20], "a stream latches once");
}

#[test]
fn the_announced_address_takes_a_latched_stream_back_for_good() {
    let mut rule = rule(ANNOUNCED);
    let mut other = Sender::new(OTHER_PORT, 7);
    other.send_many(&mut rule, 9);
    assert!(rule.may_count(at(OTHER_PORT)));
    let mut far = Sender::new(ANNOUNCED, 1);
    assert_eq!(far.send(&mut rule), Verdict::CountsFromNowOn);
    assert!(!rule.may_count(at(OTHER_PORT)));
    assert_eq!(other.send_many(&mut rule, 50), [Verdict::Ignored; 50]);
    assert_eq!(far.send(&mut rule), Verdict::Counts);
}

#[test]
fn once_the_announced_address_has_sent_nothing_else_counts() {
    let mut rule = rule(ANNOUNCED);
    Sender::new(ANNOUNCED, 1).send(&mut rule);
    for from in [OTHER_PORT, "203.0.113.1:4000", "192.0.2.9:4000"] {
        // With the SSRC of the far end, too.
        for ssrc in [1, 7] {
            let mut other = Sender::new(from, ssrc);
            assert_eq!(other.send_many(&mut rule, 50), [Verdict::Ignored; 50]);
        }
    }
}

#[test]
fn a_burst_does_not_count() {
    let mut rule = rule(ANNOUNCED);
    let mut other = Sender::new(OTHER_PORT, 7);
    other.pace = Duration::ZERO;
    assert_eq!(other.send_many(&mut rule, 250), [Verdict::Ignored; 250]);
}

#[test]
fn packets_that_are_no_media_or_not_consecutive_do_not_count() {
    let mut rule = rule(ANNOUNCED);
    let mut other = Sender::new(OTHER_PORT, 7);
    for _ in 0..20 {
        assert_eq!(other.send_as(&mut rule, false), Verdict::Ignored);
    }
    for _ in 0..20 {
        assert_eq!(other.send_many(&mut rule, 4), [Verdict::Ignored; 4]);
        other.sequence = other.sequence.wrapping_add(1);
    }
    for n in 0..20 {
        other.ssrc = n;
        assert_eq!(other.send_many(&mut rule, 4), [Verdict::Ignored; 4]);
    }
    other.ssrc = 99;
    other.send_many(&mut rule, 4);
    assert_eq!(other.send(&mut rule), Verdict::CountsFromNowOn);
}

#[test]
fn noise_from_other_ports_does_not_keep_a_far_end_from_counting() {
    let mut rule = rule(ANNOUNCED);
    let mut other = Sender::new(OTHER_PORT, 7);
    for n in 0..4 {
        assert_eq!(other.send(&mut rule), Verdict::Ignored);
        for port in 0..3 {
            let mut noise = Sender::new(&format!("198.51.100.1:{}", 6000 + port), n);
            noise.now = other.now;
            assert_eq!(noise.send(&mut rule), Verdict::Ignored);
        }
        other.now += Duration::from_millis(1);
    }
    assert_eq!(other.send(&mut rule), Verdict::CountsFromNowOn);
}

#[test]
fn an_unknown_address_never_counts() {
    let mut rule = rule(ANNOUNCED);
    for from in ["198.51.100.2:4000", "203.0.113.1:4000"] {
        assert!(!rule.may_count(at(from)), "{from}");
        let mut other = Sender::new(from, 7);
        assert_eq!(other.send_many(&mut rule, 50), [Verdict::Ignored; 50]);
    }
}

#[test]
fn behind_a_nat_our_packets_go_to_the_source_until_the_announced_address_sends() {
    let mut rule = rule("192.168.1.5:4000");
    let mut other = Sender::new("198.51.100.2:4000", 7);
    assert_eq!(other.send_many(&mut rule, 9), [Verdict::Ignored; 9]);
    let mut far = Sender::new("203.0.113.1:61000", 1);
    far.send_many(&mut rule, 4);
    assert_eq!(rule.rtp_destination(), at("192.168.1.5:4000"));
    assert_eq!(rule.rtcp_destination(), at("192.168.1.5:4001"));
    assert_eq!(far.send(&mut rule), Verdict::CountsFromNowOn);
    assert_eq!(rule.rtp_destination(), at("203.0.113.1:61000"));
    assert_eq!(rule.rtcp_destination(), at("203.0.113.1:61001"));
    let mut announced = Sender::new("192.168.1.5:4000", 2);
    assert_eq!(announced.send(&mut rule), Verdict::CountsFromNowOn);
    assert_eq!(rule.rtp_destination(), at("192.168.1.5:4000"));
    assert_eq!(rule.rtcp_destination(), at("192.168.1.5:4001"));
}

#[test]
fn mapped_and_scoped_addresses_are_compared_as_sockets_report_them() {
    let mut rule = rule("[::ffff:198.51.100.1]:4000");
    assert_eq!(Sender::new(ANNOUNCED, 1).send(&mut rule), Verdict::CountsFromNowOn);
}

#[test]
fn reports_count_from_the_announced_rtcp_address_or_the_latched_source() {
    let mut rule = rule(ANNOUNCED);
    assert!(rule.counts_rtcp(at("198.51.100.1:4001"), 3));
    assert!(!rule.counts_rtcp(at("198.51.100.1:5001"), 7));
    assert!(!rule.counts_rtcp(at(ANNOUNCED), 7));
    let mut other = Sender::new(OTHER_PORT, 7);
    other.send_many(&mut rule, 5);
    assert!(rule.counts_rtcp(at("198.51.100.1:61234"), 7));
    assert!(!rule.counts_rtcp(at("198.51.100.1:61234"), 8));
    assert!(!rule.counts_rtcp(at("198.51.100.2:61234"), 7));
    Sender::new(ANNOUNCED, 1).send(&mut rule);
    assert!(!rule.counts_rtcp(at("198.51.100.1:61234"), 7));
    assert!(!rule.counts_rtcp(at("198.51.100.1:61234"), 1));
}

proptest::proptest! {
    /// Whatever arrives in whatever order, a packet counts only from the announced address or from
    /// one other source, and never from another source after the announced address has sent.
    #[test]
    fn no_sequence_of_packets_lets_a_second_source_count(
        packets in proptest::collection::vec((0u8..4, 0u32..2, 0u16..3, 0u64..40), 1..200),
    ) {
        let mut rule = rule(ANNOUNCED);
        let addresses = [ANNOUNCED, OTHER_PORT, "198.51.100.1:5002", "192.0.2.7:4000"];
        let (mut sequences, mut now) = ([0u16; 4], Instant::now());
        let (mut is_announced_heard, mut latched) = (false, None);
        for (sender, ssrc, skipped, wait) in packets {
            let (sender, from) = (usize::from(sender), at(addresses[usize::from(sender)]));
            sequences[sender] = sequences[sender].wrapping_add(1 + skipped / 2);
            now += Duration::from_millis(wait);
            let header = Header {
                marker: false,
                payload_type: 8,
                sequence: sequences[sender],
                timestamp: 0,
                ssrc,
            };
            let counts = rule.judge(from, &header, true, now) != Verdict::Ignored;
            match sender {
                0 => {
                    proptest::prop_assert!(counts);
                    is_announced_heard = true;
                }
                3 => proptest::prop_assert!(!counts),
                _ if counts => {
                    proptest::prop_assert!(!is_announced_heard);
                    proptest::prop_assert_eq!(*latched.get_or_insert(from), from);
                }
                _ => {}
            }
        }
    }
}
