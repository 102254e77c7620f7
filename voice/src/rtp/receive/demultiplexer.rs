//! Assigns each packet received on a socket to a stream.
//!
//! A stream's far end is known by its address; streams whose far ends share one address are
//! distinguished by SSRC. The first packet of a stream is accepted by its source:
//!
//! | source | effect |
//! |---|---|
//! | the announced address | our packets go there |
//! | the announced IP address, another port | our packets still go to the announced port: a far end need not send from the port that it listens on |
//! | the gateway's IP address, if the announced one is private | our packets go to the source: the far end is behind a NAT (RFC 4961) |
//! | any other | the packet is dropped, or anyone could redirect the audio |

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// The index of a stream in its thread's table.
pub(in crate::rtp) type StreamIndex = u32;

/// How many sources of ended streams are remembered, to recognise their late packets.
const MAX_ENDED_SOURCES: usize = 256;

/// Where a stream's packets are expected from.
#[derive(Clone, Copy, Debug)]
pub(in crate::rtp) struct ExpectedSource {
    pub announced: SocketAddr,
    pub gateway: IpAddr,
}

#[derive(Clone, Copy, Debug)]
struct KnownSource {
    stream: StreamIndex,
    ssrc: u32,
}

/// The stream of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::rtp) struct Route {
    pub stream: StreamIndex,
    /// The new destination of the stream's packets, if it changes.
    pub redirect: Option<SocketAddr>,
}

/// The streams of one socket.
#[derive(Debug, Default)]
pub(in crate::rtp) struct Demultiplexer {
    known: HashMap<SocketAddr, Vec<KnownSource>>,
    /// Streams that have not received a packet yet, by each IP address that they may receive from.
    expected: HashMap<IpAddr, Vec<(StreamIndex, ExpectedSource)>>,
    /// Sources of ended streams: their late packets must not redirect the next call's audio.
    ended: VecDeque<(SocketAddr, u32)>,
}

impl Demultiplexer {
    /// Adds a stream.
    pub fn expect(&mut self, stream: StreamIndex, source: ExpectedSource) {
        for ip in source.addresses() {
            self.expected.entry(ip).or_default().push((stream, source));
        }
    }

    /// Finds the stream of a packet.
    pub fn route(&mut self, from: SocketAddr, ssrc: u32) -> Option<Route> {
        let known = self.known.get(&from).map_or(&[][..], Vec::as_slice);
        if let Some(source) = known.iter().find(|source| source.ssrc == ssrc) {
            return Some(Route::unchanged(source.stream));
        }
        let expected = self.expected.get(&from.ip()).map_or(&[][..], Vec::as_slice);
        let announced = expected.iter().find(|(_, e)| e.announced == from);
        if announced.is_none() && self.ended.contains(&(from, ssrc)) {
            return None;
        }
        let (stream, source) = match (announced, known, expected) {
            (Some(found), _, _) => *found,
            // The far end was replaced or restarted.
            (None, [only], _) => {
                let stream = only.stream;
                self.known.insert(from, vec![KnownSource { stream, ssrc }]);
                return Some(Route::unchanged(stream));
            }
            (None, [], [only]) => *only,
            // Ambiguous.
            (None, _, _) => return None,
        };
        self.remove_expected(stream, source);
        self.known
            .entry(from)
            .or_default()
            .push(KnownSource { stream, ssrc });
        Some(Route {
            stream,
            redirect: source.redirect(from),
        })
    }

    /// Removes a stream that has ended.
    pub fn remove(&mut self, stream: StreamIndex, source: ExpectedSource) {
        self.remove_expected(stream, source);
        let ended = &mut self.ended;
        self.known.retain(|from, known| {
            let of_stream = known.iter().filter(|known| known.stream == stream);
            ended.extend(of_stream.map(|known| (*from, known.ssrc)));
            known.retain(|known| known.stream != stream);
            !known.is_empty()
        });
        while self.ended.len() > MAX_ENDED_SOURCES {
            self.ended.pop_front();
        }
    }

    fn remove_expected(&mut self, stream: StreamIndex, source: ExpectedSource) {
        for ip in source.addresses() {
            if let Some(expected) = self.expected.get_mut(&ip) {
                expected.retain(|(other, _)| *other != stream);
                if expected.is_empty() {
                    self.expected.remove(&ip);
                }
            }
        }
    }
}

impl Route {
    fn unchanged(stream: StreamIndex) -> Route {
        Route {
            stream,
            redirect: None,
        }
    }
}

impl ExpectedSource {
    /// Whether the far end's packets may come from this address.
    pub fn allows(self, ip: IpAddr) -> bool {
        self.addresses().any(|address| address == ip)
    }

    fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let announced = self.announced.ip();
        let behind_nat = is_private(announced) && self.gateway != announced;
        [announced]
            .into_iter()
            .chain(behind_nat.then_some(self.gateway))
    }

    fn redirect(self, from: SocketAddr) -> Option<SocketAddr> {
        (from.ip() != self.announced.ip()).then_some(from)
    }
}

/// Whether an address is valid only inside its own network (RFC 1918, 3927, 6598, 4193, 4291).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn expected(announced: &str) -> ExpectedSource {
        ExpectedSource {
            announced: at(announced),
            gateway: GATEWAY,
        }
    }

    fn demultiplexer(announced: &[&str]) -> Demultiplexer {
        let mut demultiplexer = Demultiplexer::default();
        for (index, announced) in announced.iter().enumerate() {
            demultiplexer.expect(index as StreamIndex, expected(announced));
        }
        demultiplexer
    }

    #[test]
    fn a_packet_from_the_announced_address_belongs_to_its_stream() {
        let mut demultiplexer = demultiplexer(&["198.51.100.1:4000", "198.51.100.1:4002"]);
        let second = demultiplexer.route(at("198.51.100.1:4002"), 7);
        assert_eq!(second, Some(Route::unchanged(1)));
        let first = demultiplexer.route(at("198.51.100.1:4000"), 7);
        assert_eq!(first, Some(Route::unchanged(0)));
    }

    #[test]
    fn the_first_other_port_is_accepted_and_not_sent_to() {
        let mut demultiplexer = demultiplexer(&["198.51.100.1:4000"]);
        let other = demultiplexer.route(at("198.51.100.1:5000"), 7);
        assert_eq!(other, Some(Route::unchanged(0)));
        assert_eq!(demultiplexer.route(at("198.51.100.1:6000"), 8), None);
        assert_eq!(
            demultiplexer.route(at("198.51.100.1:5000"), 9),
            Some(Route::unchanged(0)),
            "a far end may be replaced"
        );
    }

    #[test]
    fn an_unknown_address_is_never_accepted() {
        let mut demultiplexer = demultiplexer(&["198.51.100.1:4000"]);
        assert_eq!(demultiplexer.route(at("198.51.100.2:4000"), 7), None);
        let gateway = SocketAddr::new(GATEWAY, 4000);
        assert_eq!(
            demultiplexer.route(gateway, 7),
            None,
            "a public address has no alternative"
        );
    }

    #[test]
    fn behind_a_nat_the_audio_follows_the_gateways_packets() {
        let mut demultiplexer = demultiplexer(&["192.168.1.5:4000"]);
        assert_eq!(demultiplexer.route(at("198.51.100.2:4000"), 7), None);
        let seen = SocketAddr::new(GATEWAY, 61_000);
        assert_eq!(
            demultiplexer.route(seen, 7),
            Some(Route {
                stream: 0,
                redirect: Some(seen)
            })
        );
        assert_eq!(demultiplexer.route(seen, 7), Some(Route::unchanged(0)));
        let another = SocketAddr::new(GATEWAY, 61_001);
        assert_eq!(demultiplexer.route(another, 7), None);
    }

    #[test]
    fn a_late_packet_of_an_ended_call_does_not_redirect_the_next_calls_audio() {
        let mut demultiplexer = demultiplexer(&["192.168.1.5:4000"]);
        let old = SocketAddr::new(GATEWAY, 61_000);
        assert!(demultiplexer.route(old, 7).is_some());
        let expected = |announced: &str| ExpectedSource {
            announced: at(announced),
            gateway: GATEWAY,
        };
        demultiplexer.remove(0, expected("192.168.1.5:4000"));
        demultiplexer.expect(1, expected("192.168.1.6:4000"));
        assert_eq!(demultiplexer.route(old, 7), None);
        let new = SocketAddr::new(GATEWAY, 61_002);
        assert_eq!(
            demultiplexer.route(new, 8),
            Some(Route {
                stream: 1,
                redirect: Some(new)
            })
        );
    }

    #[test]
    fn streams_at_one_address_are_distinguished_by_ssrc() {
        let mut demultiplexer = demultiplexer(&["198.51.100.1:4000", "198.51.100.1:4000"]);
        let from = at("198.51.100.1:4000");
        let first = demultiplexer.route(from, 1).unwrap().stream;
        let second = demultiplexer.route(from, 2).unwrap().stream;
        assert_ne!(first, second);
        assert_eq!(demultiplexer.route(from, 1).unwrap().stream, first);
        assert_eq!(demultiplexer.route(from, 2).unwrap().stream, second);
        assert_eq!(demultiplexer.route(from, 3), None, "ambiguous");
    }

    #[test]
    fn an_unknown_port_of_a_host_with_two_streams_is_dropped() {
        let mut demultiplexer = demultiplexer(&["198.51.100.1:4000", "198.51.100.1:4002"]);
        assert_eq!(demultiplexer.route(at("198.51.100.1:5000"), 7), None);
    }

    #[test]
    fn an_ended_stream_leaves_no_entries() {
        let mut demultiplexer = demultiplexer(&["198.51.100.1:4000", "192.168.1.5:4000"]);
        demultiplexer.route(at("198.51.100.1:4000"), 7);
        demultiplexer.remove(0, expected("198.51.100.1:4000"));
        demultiplexer.remove(1, expected("192.168.1.5:4000"));
        assert!(demultiplexer.known.is_empty() && demultiplexer.expected.is_empty());
    }
}
