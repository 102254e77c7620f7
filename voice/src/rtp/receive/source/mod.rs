//! Decides which source of packets counts for a stream.
//!
//! Used by the media clock and by the sandbox carrier. Pure: packets and the time are arguments, and
//! nothing is allocated. Only packets that were authenticated, if the stream is protected, may be
//! passed to [`SourceRule::judge`].
//!
//! | source of an RTP packet | counts |
//! |---|---|
//! | the announced address | always; from its first packet on, nothing else counts |
//! | another port of the announced IP address | after [`LATCH_PACKETS`], until the announced address sends |
//! | the gateway's IP address, if the announced one is private: the far end is behind a NAT (RFC 4961) | the same, and our packets go to the source |
//! | any other | never |

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::net::scope::Scope;
use crate::rtp::wire::packet::Header;

/// How many consecutive packets of one SSRC an unannounced source must send before it counts.
pub(crate) const LATCH_PACKETS: u8 = 5;
/// The shortest time that these packets may take. A burst would outrun the first packet of the
/// announced address.
pub(crate) const LATCH_TIME: Duration = Duration::from_millis(50);
/// How many unannounced sources of one stream are observed at a time.
const MAX_CANDIDATES: usize = 4;

/// Where a stream's packets are expected from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ExpectedSource {
    /// The RTP address in the far end's description.
    pub announced: SocketAddr,
    /// The RTCP address in the far end's description.
    pub announced_rtcp: SocketAddr,
    /// The address that the signalling comes from.
    pub gateway: IpAddr,
}

impl ExpectedSource {
    /// The addresses as the socket reports them: without IPv4 mapping and IPv6 scope.
    pub fn new(announced: SocketAddr, announced_rtcp: SocketAddr, gateway: IpAddr) -> Self {
        let plain =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        ExpectedSource {
            announced: plain(announced),
            announced_rtcp: plain(announced_rtcp),
            gateway: gateway.to_canonical(),
        }
    }

    /// The IP addresses that packets of the far end may come from.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let announced = self.announced.ip();
        let behind_nat = is_private(announced) && self.gateway != announced;
        [announced].into_iter().chain(behind_nat.then_some(self.gateway))
    }

    fn allows(self, ip: IpAddr) -> bool {
        self.addresses().any(|address| address == ip)
    }
}

/// Whether an address is valid only inside its own network.
fn is_private(ip: IpAddr) -> bool {
    matches!(Scope::of(ip), Some(Scope::Link | Scope::Private))
}

/// An address and the SSRC of its last packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    pub address: SocketAddr,
    pub ssrc: u32,
}

/// An unannounced source that does not count yet.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: Source,
    next_sequence: u16,
    /// Consecutive packets.
    packets: u8,
    first_at: Instant,
    last_at: Instant,
}

/// Whether a packet counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Counts,
    /// It counts, and is the first of its source.
    CountsFromNowOn,
    Ignored,
}

/// The rule of one stream. A media description with another address starts a new rule.
#[derive(Clone, Debug)]
pub(crate) struct SourceRule {
    expected: ExpectedSource,
    /// The source that counts.
    current: Option<Source>,
    candidates: [Option<Candidate>; MAX_CANDIDATES],
}

impl SourceRule {
    pub fn new(expected: ExpectedSource) -> SourceRule {
        SourceRule { expected, current: None, candidates: [None; MAX_CANDIDATES] }
    }

    pub fn expected(&self) -> ExpectedSource {
        self.expected
    }

    /// The source that counts, once there is one.
    pub fn current(&self) -> Option<Source> {
        self.current
    }

    /// The unannounced source that counts, if there is one.
    pub fn latched(&self) -> Option<Source> {
        self.current.filter(|source| source.address != self.expected.announced)
    }

    /// Whether a packet from this address may count now or later. Changes nothing, so that it can be
    /// checked before a packet is authenticated.
    pub fn may_count(&self, from: SocketAddr) -> bool {
        if from == self.expected.announced {
            return true;
        }
        match self.current {
            Some(current) => current.address == from,
            None => self.expected.allows(from.ip()),
        }
    }

    /// Judges an authentic packet. `is_media`: its payload is of a negotiated type. Other packets do
    /// not make an unannounced source count.
    pub fn judge(
        &mut self,
        from: SocketAddr,
        header: &Header,
        is_media: bool,
        now: Instant,
    ) -> Verdict {
        if !self.may_count(from) {
            return Verdict::Ignored;
        }
        let source = Source { address: from, ssrc: header.ssrc };
        if self.current == Some(source) {
            return Verdict::Counts;
        }
        let is_known_address = self.current.is_some_and(|current| current.address == from);
        let counts = from == self.expected.announced
            // The far end was replaced or restarted.
            || is_known_address
            || (is_media && self.observe(source, header.sequence, now));
        if !counts {
            return Verdict::Ignored;
        }
        self.current = Some(source);
        self.candidates = [None; MAX_CANDIDATES];
        Verdict::CountsFromNowOn
    }

    /// Counts a packet of an unannounced source. Returns whether it has sent enough.
    fn observe(&mut self, source: Source, sequence: u16, now: Instant) -> bool {
        let new = Candidate {
            source,
            next_sequence: sequence.wrapping_add(1),
            packets: 1,
            first_at: now,
            last_at: now,
        };
        let known =
            self.candidates.iter_mut().flatten().find(|candidate| candidate.source == source);
        let Some(candidate) = known else {
            // The one that has been silent for longest makes room.
            let slot = self
                .candidates
                .iter_mut()
                .min_by_key(|slot| slot.map(|candidate| candidate.last_at));
            if let Some(slot) = slot {
                *slot = Some(new);
            }
            return false;
        };
        if candidate.next_sequence != sequence {
            *candidate = new;
            return false;
        }
        candidate.next_sequence = new.next_sequence;
        candidate.packets = candidate.packets.saturating_add(1);
        candidate.last_at = now;
        candidate.packets >= LATCH_PACKETS
            && now.saturating_duration_since(candidate.first_at) >= LATCH_TIME
    }

    /// The address for our RTP packets: the announced one, unless the far end is behind a NAT. A far
    /// end need not listen on the port that it sends from.
    pub fn rtp_destination(&self) -> SocketAddr {
        self.redirect().unwrap_or(self.expected.announced)
    }

    /// The address for our RTCP packets.
    pub fn rtcp_destination(&self) -> SocketAddr {
        match self.redirect() {
            Some(to) => SocketAddr::new(to.ip(), to.port().wrapping_add(1)),
            None => self.expected.announced_rtcp,
        }
    }

    fn redirect(&self) -> Option<SocketAddr> {
        self.latched()
            .map(|source| source.address)
            .filter(|address| address.ip() != self.expected.announced.ip())
    }

    /// Whether an RTCP packet counts: from the announced RTCP address, or from the IP address of a
    /// latched source, with its SSRC. A NAT gives the two ports no recognisable relation.
    pub fn counts_rtcp(&self, from: SocketAddr, sender_ssrc: u32) -> bool {
        from == self.expected.announced_rtcp
            || self.latched().is_some_and(|source| {
                source.address.ip() == from.ip() && source.ssrc == sender_ssrc
            })
    }
}

#[cfg(test)]
mod tests;
