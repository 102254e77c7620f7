//! Assigns each packet received on a socket to the stream that it may belong to.
//!
//! A stream's far end is known by its address; streams whose far ends share one address are
//! distinguished by SSRC. Whether a packet counts for its stream is decided by the stream's
//! [`SourceRule`](super::source::SourceRule), after the packet was authenticated: looking up a
//! stream changes nothing.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

use super::source::{ExpectedSource, Source, SourceRule};

/// The index of a stream in its thread's table.
pub(in crate::rtp) type StreamIndex = u32;

/// How many sources of ended streams are remembered, to recognise their late packets.
const MAX_ENDED_SOURCES: usize = 256;

/// A stream at an address, and the SSRC that it has there.
#[derive(Clone, Copy, Debug)]
struct Member<S> {
    stream: S,
    ssrc: Option<u32>,
}

/// The streams of one socket.
#[derive(Debug)]
pub(crate) struct Demultiplexer<S = StreamIndex> {
    /// By announced RTP address: almost always one stream each.
    announced: HashMap<SocketAddr, Vec<Member<S>>>,
    /// By announced RTCP address.
    announced_rtcp: HashMap<SocketAddr, Vec<S>>,
    /// By the unannounced address that counts.
    latched: HashMap<SocketAddr, Vec<Member<S>>>,
    /// Streams that no source counts for yet, by each IP address that they may receive from.
    unlatched: HashMap<IpAddr, Vec<S>>,
    /// Sources of ended streams: their late packets must not redirect the next call's audio.
    ended: VecDeque<Source>,
}

impl<S> Default for Demultiplexer<S> {
    fn default() -> Self {
        Demultiplexer {
            announced: HashMap::new(),
            announced_rtcp: HashMap::new(),
            latched: HashMap::new(),
            unlatched: HashMap::new(),
            ended: VecDeque::new(),
        }
    }
}

impl<S: Copy + PartialEq> Demultiplexer<S> {
    /// Adds a stream.
    pub fn add(&mut self, stream: S, expected: ExpectedSource) {
        let at = self.announced.entry(expected.announced).or_default();
        at.push(Member { stream, ssrc: None });
        let rtcp = self.announced_rtcp.entry(expected.announced_rtcp);
        rtcp.or_default().push(stream);
        for ip in expected.addresses() {
            self.unlatched.entry(ip).or_default().push(stream);
        }
    }

    /// Returns the `nth` stream that a packet may belong to. More than one is possible only if
    /// several far ends share an address; authentication then tells them apart.
    pub fn find(&self, from: SocketAddr, ssrc: u32, nth: usize) -> Option<S> {
        let known = self.announced.get(&from).or_else(|| self.latched.get(&from));
        if let Some(members) = known {
            return self.member(members, Source { address: from, ssrc }, nth);
        }
        if self.ended.contains(&Source { address: from, ssrc }) {
            return None;
        }
        match self.unlatched.get(&from.ip()).map(Vec::as_slice) {
            Some([only]) if nth == 0 => Some(*only),
            // Ambiguous.
            _ => None,
        }
    }

    fn member(&self, members: &[Member<S>], source: Source, nth: usize) -> Option<S> {
        let same = members.iter().find(|member| member.ssrc == Some(source.ssrc));
        if let Some(member) = same {
            return (nth == 0).then_some(member.stream);
        }
        if let [only] = members {
            // The far end was replaced or restarted, unless the packet is late.
            let is_late = only.ssrc.is_some() && self.ended.contains(&source);
            return (nth == 0 && !is_late).then_some(only.stream);
        }
        let new = members.iter().filter(|member| member.ssrc.is_none());
        new.map(|member| member.stream).nth(nth)
    }

    /// Returns the streams whose far end announced this RTP address.
    pub fn announced_at(&self, address: SocketAddr) -> impl Iterator<Item = S> {
        self.announced.get(&address).into_iter().flatten().map(|member| member.stream)
    }

    /// Returns the `nth` stream that a protected RTCP packet may belong to.
    pub fn find_rtcp(&self, from: SocketAddr, sender_ssrc: u32, nth: usize) -> Option<S> {
        if let Some(streams) = self.announced_rtcp.get(&from) {
            return streams.get(nth).copied();
        }
        let at_ip = self.latched.iter().filter(|(address, _)| address.ip() == from.ip());
        at_ip
            .flat_map(|(_, members)| members)
            .filter(|member| member.ssrc == Some(sender_ssrc))
            .map(|member| member.stream)
            .nth(nth)
    }

    /// Records the source that counts for a stream from now on.
    pub fn set_source(&mut self, stream: S, rule: &SourceRule) {
        let Some(current) = rule.current() else {
            return;
        };
        let expected = rule.expected();
        self.remove_unlatched(stream, expected);
        let map = match rule.latched() {
            None => {
                // A stream latches at most once, so this is rare.
                self.latched.retain(|_, members| {
                    members.retain(|member| member.stream != stream);
                    !members.is_empty()
                });
                &mut self.announced
            }
            Some(_) => &mut self.latched,
        };
        let members = map.entry(current.address).or_default();
        match members.iter_mut().find(|member| member.stream == stream) {
            Some(member) => member.ssrc = Some(current.ssrc),
            None => members.push(Member { stream, ssrc: Some(current.ssrc) }),
        }
    }

    /// Removes a stream that has ended or moved.
    pub fn remove(&mut self, stream: S, rule: &SourceRule) {
        let expected = rule.expected();
        self.remove_unlatched(stream, expected);
        let is_other = |member: &Member<S>| member.stream != stream;
        retain_at(&mut self.announced, expected.announced, is_other);
        let is_other_stream = |other: &S| *other != stream;
        retain_at(&mut self.announced_rtcp, expected.announced_rtcp, is_other_stream);
        if let Some(source) = rule.latched() {
            retain_at(&mut self.latched, source.address, is_other);
        }
        self.ended.extend(rule.current());
        while self.ended.len() > MAX_ENDED_SOURCES {
            self.ended.pop_front();
        }
    }

    fn remove_unlatched(&mut self, stream: S, expected: ExpectedSource) {
        for ip in expected.addresses() {
            retain_at(&mut self.unlatched, ip, |other| *other != stream);
        }
    }

    /// Whether no stream uses the socket.
    pub fn is_empty(&self) -> bool {
        self.announced.is_empty()
    }
}

fn retain_at<K: Eq + Hash, V>(map: &mut HashMap<K, Vec<V>>, key: K, keep: impl FnMut(&V) -> bool) {
    if let Some(values) = map.get_mut(&key) {
        values.retain(keep);
        if values.is_empty() {
            map.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::rtp::receive::source::{LATCH_PACKETS, LATCH_TIME, Verdict};
    use crate::rtp::wire::packet::Header;

    const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// A demultiplexer with the rules of its streams.
    struct Socket {
        demultiplexer: Demultiplexer,
        rules: Vec<SourceRule>,
        now: Instant,
    }

    impl Socket {
        fn new(announced: &[&str]) -> Socket {
            let mut socket = Socket {
                demultiplexer: Demultiplexer::default(),
                rules: Vec::new(),
                now: Instant::now(),
            };
            for announced in announced {
                socket.add(announced);
            }
            socket
        }

        fn add(&mut self, announced: &str) {
            let announced = at(announced);
            let rtcp = SocketAddr::new(announced.ip(), announced.port() + 1);
            let expected = ExpectedSource::new(announced, rtcp, GATEWAY);
            let stream = self.rules.len() as StreamIndex;
            self.demultiplexer.add(stream, expected);
            self.rules.push(SourceRule::new(expected));
        }

        /// Receives a packet. Returns the stream that it counts for.
        fn receive(&mut self, from: &str, ssrc: u32, sequence: u16) -> Option<StreamIndex> {
            let from = at(from);
            let stream = self.demultiplexer.find(from, ssrc, 0)?;
            let rule = &mut self.rules[stream as usize];
            let header = Header { marker: false, payload_type: 8, sequence, timestamp: 0, ssrc };
            self.now += Duration::from_millis(20);
            match rule.judge(from, &header, true, self.now) {
                Verdict::Ignored => None,
                Verdict::Counts => Some(stream),
                Verdict::CountsFromNowOn => {
                    self.demultiplexer.set_source(stream, rule);
                    Some(stream)
                }
            }
        }

        /// Receives enough packets for an unannounced source to count.
        fn receive_many(&mut self, from: &str, ssrc: u32) -> Option<StreamIndex> {
            assert!(Duration::from_millis(20) * u32::from(LATCH_PACKETS) > LATCH_TIME);
            (0..u16::from(LATCH_PACKETS)).fold(None, |_, n| self.receive(from, ssrc, n))
        }

        fn remove(&mut self, stream: StreamIndex) {
            let rule = &self.rules[stream as usize];
            self.demultiplexer.remove(stream, rule);
        }
    }

    #[test]
    fn a_packet_from_the_announced_address_belongs_to_its_stream() {
        let mut socket = Socket::new(&["198.51.100.1:4000", "198.51.100.1:4002"]);
        assert_eq!(socket.receive("198.51.100.1:4002", 7, 1), Some(1));
        assert_eq!(socket.receive("198.51.100.1:4000", 7, 1), Some(0));
    }

    #[test]
    fn a_latched_port_may_be_replaced_only_by_the_announced_address() {
        let mut socket = Socket::new(&["198.51.100.1:4000"]);
        assert_eq!(socket.receive_many("198.51.100.1:5000", 7), Some(0));
        assert_eq!(socket.receive_many("198.51.100.1:6000", 8), None);
        assert_eq!(socket.receive("198.51.100.1:5000", 9, 1), Some(0));
        assert_eq!(socket.receive("198.51.100.1:4000", 1, 1), Some(0));
        assert_eq!(socket.receive_many("198.51.100.1:5000", 9), None);
    }

    #[test]
    fn a_late_packet_of_an_ended_call_does_not_redirect_the_next_calls_audio() {
        let mut socket = Socket::new(&["192.168.1.5:4000"]);
        assert_eq!(socket.receive_many("203.0.113.1:61000", 7), Some(0));
        socket.remove(0);
        socket.add("192.168.1.6:4000");
        assert_eq!(socket.receive_many("203.0.113.1:61000", 7), None);
        assert_eq!(socket.receive_many("203.0.113.1:61002", 8), Some(1));
    }

    #[test]
    fn a_late_packet_of_an_ended_call_is_not_of_the_next_call_from_the_same_port() {
        let mut socket = Socket::new(&["198.51.100.1:4000"]);
        assert_eq!(socket.receive("198.51.100.1:4000", 7, 1), Some(0));
        socket.remove(0);
        socket.add("198.51.100.1:4000");
        assert_eq!(socket.receive("198.51.100.1:4000", 8, 1), Some(1));
        assert_eq!(socket.receive("198.51.100.1:4000", 7, 2), None);
        socket.remove(1);
        socket.add("198.51.100.1:4000");
        assert_eq!(
            socket.receive("198.51.100.1:4000", 7, 3),
            Some(2),
            "a far end may use one SSRC for all calls"
        );
    }

    #[test]
    fn streams_at_one_address_are_distinguished_by_ssrc() {
        let mut socket = Socket::new(&["198.51.100.1:4000", "198.51.100.1:4000"]);
        let from = "198.51.100.1:4000";
        let find = |socket: &Socket, nth| socket.demultiplexer.find(at(from), 1, nth);
        assert_eq!(
            [find(&socket, 0), find(&socket, 1), find(&socket, 2)],
            [Some(0), Some(1), None],
            "authentication may tell them apart"
        );
        let first = socket.receive(from, 1, 1).unwrap();
        let second = socket.receive(from, 2, 1).unwrap();
        assert_ne!(first, second);
        assert_eq!(socket.receive(from, 1, 2), Some(first));
        assert_eq!(socket.receive(from, 2, 2), Some(second));
        assert_eq!(socket.receive(from, 3, 3), None, "ambiguous");
    }

    #[test]
    fn an_unknown_port_of_a_host_with_two_silent_streams_is_dropped() {
        let mut socket = Socket::new(&["198.51.100.1:4000", "198.51.100.1:4002"]);
        assert_eq!(socket.receive_many("198.51.100.1:5000", 7), None);
        assert_eq!(socket.receive("198.51.100.1:4000", 1, 1), Some(0));
        assert_eq!(socket.receive_many("198.51.100.1:5000", 7), Some(1));
    }

    #[test]
    fn protected_reports_are_found_by_their_address_or_latched_source() {
        let mut socket = Socket::new(&["198.51.100.1:4000", "192.168.1.5:4000"]);
        let find = |socket: &Socket, from, ssrc| socket.demultiplexer.find_rtcp(at(from), ssrc, 0);
        assert_eq!(find(&socket, "198.51.100.1:4001", 5), Some(0));
        assert_eq!(find(&socket, "203.0.113.1:70", 7), None);
        socket.receive_many("203.0.113.1:61000", 7);
        assert_eq!(find(&socket, "203.0.113.1:70", 7), Some(1));
        assert_eq!(find(&socket, "203.0.113.1:70", 8), None);
    }

    #[test]
    fn an_ended_stream_leaves_no_entries() {
        let mut socket = Socket::new(&["198.51.100.1:4000", "192.168.1.5:4000"]);
        socket.receive("198.51.100.1:4000", 7, 1);
        socket.receive_many("203.0.113.1:61000", 7);
        assert!(!socket.demultiplexer.is_empty());
        socket.remove(0);
        socket.remove(1);
        let left = &socket.demultiplexer;
        assert!(left.announced.is_empty() && left.announced_rtcp.is_empty());
        assert!(left.latched.is_empty() && left.unlatched.is_empty());
    }
}
