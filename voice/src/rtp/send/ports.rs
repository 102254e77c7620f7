//! The UDP ports of the audio: a few socket pairs, shared by all calls.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;

use thiserror::Error;

use crate::net::{refusals, udp};

/// The most pairs opened, whatever the range: one per slot of the media clock.
pub const MAX_PAIRS: usize = 20;

/// A range of UDP ports, both ends included. `0-0` lets the system choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

/// A text that is not a port range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected a port range FIRST-LAST, such as 20000-20063, that contains an even port and the next one"
)]
pub struct PortRangeError;

impl PortRange {
    /// Any free ports.
    pub const fn ephemeral() -> Self {
        Self { first: 0, last: 0 }
    }

    /// Returns `None` if the range has no room for an even port and the next one.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        let even = u32::from(first).next_multiple_of(2);
        (first > 0 && even < u32::from(last)).then_some(Self { first, last })
    }

    fn is_ephemeral(self) -> bool {
        self.first == 0
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let (first, last) = text.split_once('-').ok_or(PortRangeError)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| PortRangeError);
        match (port(first)?, port(last)?) {
            (0, 0) => Ok(PortRange::ephemeral()),
            (first, last) => PortRange::new(first, last).ok_or(PortRangeError),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Why the media clock cannot start.
#[derive(Debug, Error)]
pub enum PortsError {
    #[error("every UDP port of {range} is in use: set sip.rtp_ports to another range")]
    NoneFree { range: PortRange },
    #[error("cannot open a UDP port on {ip}: set sip.listen_udp to an address of this machine")]
    Address { ip: IpAddr, source: io::Error },
    #[error("cannot start the media thread")]
    Thread(#[source] io::Error),
}

/// A pair of sockets: RTP on an even port, and RTCP on the next one if it is free (RFC 3550 §11).
#[derive(Debug)]
pub struct SocketPair {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub rtp_port: u16,
    pub rtcp_port: u16,
    /// Whether IPv4 addresses must be mapped.
    pub is_v6: bool,
}

/// Opens up to [`MAX_PAIRS`] pairs and skips ports in use.
///
/// # Errors
/// [`PortsError`] if not even one pair can be opened.
pub fn open(ip: IpAddr, range: PortRange) -> Result<Vec<SocketPair>, PortsError> {
    let pairs = match range.is_ephemeral() {
        true => open_ephemeral(ip),
        false => open_in_range(ip, range),
    };
    match pairs {
        Err(source) => Err(PortsError::Address { ip, source }),
        Ok(pairs) if pairs.is_empty() => Err(PortsError::NoneFree { range }),
        Ok(pairs) => Ok(pairs),
    }
}

fn open_in_range(ip: IpAddr, range: PortRange) -> io::Result<Vec<SocketPair>> {
    let mut pairs = Vec::new();
    let first = u32::from(range.first).next_multiple_of(2);
    for port in (first..u32::from(range.last)).step_by(2) {
        let port = port as u16;
        match (bind(ip, port), bind(ip, port + 1)) {
            (Ok(rtp), Ok(rtcp)) => pairs.push(SocketPair::new(rtp, rtcp)?),
            (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::AddrInUse => {}
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
        if pairs.len() == MAX_PAIRS {
            break;
        }
    }
    Ok(pairs)
}

fn open_ephemeral(ip: IpAddr) -> io::Result<Vec<SocketPair>> {
    // Odd ports stay open until the end, or the system would assign them again.
    let mut odd = Vec::new();
    let mut pairs = Vec::new();
    while pairs.len() < MAX_PAIRS {
        let rtp = bind(ip, 0)?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 1 && odd.len() < MAX_PAIRS * 4 {
            odd.push(rtp);
            continue;
        }
        let neighbour = port.checked_add(1).map(|next| bind(ip, next));
        let rtcp = match neighbour {
            Some(Ok(rtcp)) => rtcp,
            Some(Err(_)) | None => bind(ip, 0)?,
        };
        pairs.push(SocketPair::new(rtp, rtcp)?);
    }
    Ok(pairs)
}

impl SocketPair {
    fn new(rtp: UdpSocket, rtcp: UdpSocket) -> io::Result<SocketPair> {
        refusals::keep_errors(&rtp)?;
        let local = rtp.local_addr()?;
        Ok(SocketPair {
            rtp_port: local.port(),
            rtcp_port: rtcp.local_addr()?.port(),
            is_v6: local.is_ipv6(),
            rtp,
            rtcp,
        })
    }
}

/// A non-blocking UDP socket with large buffers.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    udp::bind(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_range_needs_room_for_a_pair() {
        let range = |text: &str| text.parse::<PortRange>();
        assert_eq!(range("20000-20063").unwrap().to_string(), "20000-20063");
        assert_eq!(range("0-0"), Ok(PortRange::ephemeral()));
        for text in ["", "20000", "20063-20000", "20001-20002", "a-b", "0-9", "20000-70000"] {
            assert_eq!(range(text), Err(PortRangeError), "{text:?}");
        }
    }

    #[test]
    fn ports_in_use_are_skipped_and_a_full_range_is_an_error() {
        let in_use = bind(LOOPBACK, 0).unwrap();
        let port = in_use.local_addr().unwrap().port() & !1;
        let range = PortRange { first: port, last: port + 1 };
        match open(LOOPBACK, range) {
            Err(PortsError::NoneFree { range: named }) => assert_eq!(named, range),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_ephemeral_range_lets_the_system_choose() {
        let pairs = open(LOOPBACK, PortRange::ephemeral()).unwrap();
        assert_eq!(pairs.len(), MAX_PAIRS);
        assert!(pairs.iter().all(|pair| pair.rtp_port != 0));
        assert!(
            pairs.iter().any(|pair| pair.rtp_port % 2 == 0 && pair.rtcp_port == pair.rtp_port + 1)
        );
    }
}
