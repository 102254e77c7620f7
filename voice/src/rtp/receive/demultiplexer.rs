//! Who sends to one of our sockets: which stream a received packet belongs to.
//!
//! A stream's far end is known by its address; streams whose far ends share one address are told
//! apart by SSRC. Until a stream has been heard, it takes its first packet
//!
//! | from | where our packets go from then on |
//! |---|---|
//! | the announced address | there |
//! | the announced IP address, another port | to the announced port: who listens there need not send from it |
//! | the gateway's IP address, where the announced one is private | to where it came from: a NAT stands between (RFC 4961) |
//! | anywhere else | unchanged, and the packet is dropped: or anyone could have the audio sent to him |

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// A stream's place in the clock's table.
pub(in crate::rtp) type Place = u32;

/// So many streams that have ended are still recognised by their late packets.
const MOST_ENDED: usize = 256;

/// Where a stream's packets are expected from.
#[derive(Clone, Copy, Debug)]
pub(in crate::rtp) struct Expected {
    pub announced: SocketAddr,
    pub gateway: IpAddr,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    place: Place,
    ssrc: u32,
}

/// A packet's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::rtp) struct Belongs {
    pub place: Place,
    /// Where the stream is to be sent from now on, where that changes.
    pub redirect: Option<SocketAddr>,
}

/// The streams of one socket.
#[derive(Debug, Default)]
pub(in crate::rtp) struct Reception {
    heard: HashMap<SocketAddr, Vec<Heard>>,
    /// Not heard yet, by each IP address that may be theirs.
    awaited: HashMap<IpAddr, Vec<(Place, Expected)>>,
    /// Who was heard in streams that have ended: a late packet of theirs must not draw the next
    /// call's audio to them.
    ended: VecDeque<(SocketAddr, u32)>,
}

impl Reception {
    pub fn expect(&mut self, place: Place, expected: Expected) {
        for ip in expected.sources() {
            self.awaited.entry(ip).or_default().push((place, expected));
        }
    }

    /// Finds the stream of a packet.
    pub fn take(&mut self, from: SocketAddr, ssrc: u32) -> Option<Belongs> {
        let known = self.heard.get(&from).map_or(&[][..], Vec::as_slice);
        let same = known.iter().find(|heard| heard.ssrc == ssrc);
        if let Some(heard) = same {
            return Some(Belongs::there(heard.place));
        }
        let awaited = self.awaited.get(&from.ip()).map_or(&[][..], Vec::as_slice);
        let announced = awaited.iter().find(|(_, e)| e.announced == from);
        if announced.is_none() && self.ended.contains(&(from, ssrc)) {
            return None;
        }
        let found = match (announced, known, awaited) {
            (Some(found), _, _) => *found,
            // Its far end was replaced, or started anew.
            (None, [only], _) => {
                let place = only.place;
                self.heard.insert(from, vec![Heard { place, ssrc }]);
                return Some(Belongs::there(place));
            }
            (None, [], [only]) => *only,
            // Nobody can tell whose it is.
            (None, _, _) => return None,
        };
        let (place, expected) = found;
        self.no_longer_awaited(place, expected);
        self.heard
            .entry(from)
            .or_default()
            .push(Heard { place, ssrc });
        Some(Belongs {
            place,
            redirect: expected.redirect(from),
        })
    }

    /// The stream has ended.
    pub fn forget(&mut self, place: Place, expected: Expected) {
        self.no_longer_awaited(place, expected);
        let ended = &mut self.ended;
        self.heard.retain(|from, heard| {
            let of_place = heard.iter().filter(|heard| heard.place == place);
            ended.extend(of_place.map(|heard| (*from, heard.ssrc)));
            heard.retain(|heard| heard.place != place);
            !heard.is_empty()
        });
        while self.ended.len() > MOST_ENDED {
            self.ended.pop_front();
        }
    }

    fn no_longer_awaited(&mut self, place: Place, expected: Expected) {
        for ip in expected.sources() {
            if let Some(awaited) = self.awaited.get_mut(&ip) {
                awaited.retain(|(other, _)| *other != place);
                if awaited.is_empty() {
                    self.awaited.remove(&ip);
                }
            }
        }
    }
}

impl Belongs {
    fn there(place: Place) -> Belongs {
        Belongs {
            place,
            redirect: None,
        }
    }
}

impl Expected {
    /// Whether the far end's packets may come from there.
    pub fn may_be(self, ip: IpAddr) -> bool {
        self.sources().any(|source| source == ip)
    }

    fn sources(self) -> impl Iterator<Item = IpAddr> {
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

/// Whether an address means nothing outside of its own network (RFC 1918, 3927, 6598, 4193, 4291).
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

    fn expected(announced: &str) -> Expected {
        Expected {
            announced: at(announced),
            gateway: GATEWAY,
        }
    }

    fn reception(announced: &[&str]) -> Reception {
        let mut reception = Reception::default();
        for (place, announced) in announced.iter().enumerate() {
            reception.expect(place as Place, expected(announced));
        }
        reception
    }

    #[test]
    fn a_stream_is_known_by_its_announced_address() {
        let mut reception = reception(&["198.51.100.1:4000", "198.51.100.1:4002"]);
        let second = reception.take(at("198.51.100.1:4002"), 7);
        assert_eq!(second, Some(Belongs::there(1)));
        let first = reception.take(at("198.51.100.1:4000"), 7);
        assert_eq!(first, Some(Belongs::there(0)));
    }

    #[test]
    fn another_port_is_heard_once_and_not_sent_to() {
        let mut reception = reception(&["198.51.100.1:4000"]);
        let other = reception.take(at("198.51.100.1:5000"), 7);
        assert_eq!(other, Some(Belongs::there(0)));
        assert_eq!(reception.take(at("198.51.100.1:6000"), 8), None);
        assert_eq!(
            reception.take(at("198.51.100.1:5000"), 9),
            Some(Belongs::there(0)),
            "a far end may be replaced"
        );
    }

    #[test]
    fn a_stranger_is_never_heard() {
        let mut reception = reception(&["198.51.100.1:4000"]);
        assert_eq!(reception.take(at("198.51.100.2:4000"), 7), None);
        let gateway = SocketAddr::new(GATEWAY, 4000);
        assert_eq!(
            reception.take(gateway, 7),
            None,
            "a public address needs no other"
        );
    }

    #[test]
    fn behind_a_nat_the_audio_follows_the_gateways_packets() {
        let mut reception = reception(&["192.168.1.5:4000"]);
        assert_eq!(reception.take(at("198.51.100.2:4000"), 7), None);
        let seen = SocketAddr::new(GATEWAY, 61_000);
        assert_eq!(
            reception.take(seen, 7),
            Some(Belongs {
                place: 0,
                redirect: Some(seen)
            })
        );
        assert_eq!(reception.take(seen, 7), Some(Belongs::there(0)));
        let another = SocketAddr::new(GATEWAY, 61_001);
        assert_eq!(reception.take(another, 7), None);
    }

    #[test]
    fn a_late_packet_of_an_ended_call_does_not_draw_the_next_ones_audio_to_it() {
        let mut reception = reception(&["192.168.1.5:4000"]);
        let old = SocketAddr::new(GATEWAY, 61_000);
        assert!(reception.take(old, 7).is_some());
        let expected = |announced: &str| Expected {
            announced: at(announced),
            gateway: GATEWAY,
        };
        reception.forget(0, expected("192.168.1.5:4000"));
        reception.expect(1, expected("192.168.1.6:4000"));
        assert_eq!(reception.take(old, 7), None);
        let new = SocketAddr::new(GATEWAY, 61_002);
        assert_eq!(
            reception.take(new, 8),
            Some(Belongs {
                place: 1,
                redirect: Some(new)
            })
        );
    }

    #[test]
    fn streams_at_one_address_are_told_apart_by_ssrc() {
        let mut reception = reception(&["198.51.100.1:4000", "198.51.100.1:4000"]);
        let from = at("198.51.100.1:4000");
        let first = reception.take(from, 1).unwrap().place;
        let second = reception.take(from, 2).unwrap().place;
        assert_ne!(first, second);
        assert_eq!(reception.take(from, 1).unwrap().place, first);
        assert_eq!(reception.take(from, 2).unwrap().place, second);
        assert_eq!(reception.take(from, 3), None, "nobody can tell whose it is");
    }

    #[test]
    fn two_streams_of_one_host_are_not_guessed_at() {
        let mut reception = reception(&["198.51.100.1:4000", "198.51.100.1:4002"]);
        assert_eq!(reception.take(at("198.51.100.1:5000"), 7), None);
    }

    #[test]
    fn an_ended_stream_leaves_nothing_behind() {
        let mut reception = reception(&["198.51.100.1:4000", "192.168.1.5:4000"]);
        reception.take(at("198.51.100.1:4000"), 7);
        reception.forget(0, expected("198.51.100.1:4000"));
        reception.forget(1, expected("192.168.1.5:4000"));
        assert!(reception.heard.is_empty() && reception.awaited.is_empty());
    }
}
