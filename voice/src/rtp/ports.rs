//! The ports that audio is sent from: a few, shared by all calls.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// The most pairs that are opened, however wide the range.
pub const MOST_PAIRS: usize = 8;
/// Enough for what 2,000 calls send while their reader is busy.
const BUFFER_BYTES: usize = 4 << 20;

/// A range of UDP ports, both ends included. `0-0` leaves the choice to the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

/// A text that is no range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a port range is written FIRST-LAST, such as 20000-20063, with room for an even port and the next")]
pub struct PortRangeError;

impl PortRange {
    /// Any free ports.
    pub const fn ephemeral() -> Self {
        Self { first: 0, last: 0 }
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
        let range = PortRange {
            first: port(first)?,
            last: port(last)?,
        };
        if range == PortRange::ephemeral() {
            return Ok(range);
        }
        let even = u32::from(range.first).next_multiple_of(2);
        let fits = range.first > 0 && even < u32::from(range.last);
        fits.then_some(range).ok_or(PortRangeError)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Why no audio can be sent.
#[derive(Debug, Error)]
pub enum PortsError {
    #[error("every UDP port of {range} is in use: set sip.rtp_ports to another range")]
    NoneFree { range: PortRange },
    #[error("no UDP port can be opened on {ip}")]
    Address { ip: IpAddr, source: io::Error },
    #[error("the media thread cannot be started")]
    Thread(#[source] io::Error),
}

/// Two sockets: RTP, and RTCP on the next port where the range allows.
#[derive(Debug)]
pub struct Pair {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub rtp_port: u16,
    pub rtcp_port: u16,
}

/// Opens up to [`MOST_PAIRS`] pairs; ports that are in use are passed over.
///
/// # Errors
/// [`PortsError`] when not even one pair can be opened.
pub fn open(ip: IpAddr, range: PortRange) -> Result<Vec<Pair>, PortsError> {
    let mut pairs = Vec::new();
    let candidates: Box<dyn Iterator<Item = (u16, u16)>> = match range.is_ephemeral() {
        true => Box::new(std::iter::repeat_n((0, 0), MOST_PAIRS)),
        false => {
            let first = u32::from(range.first).next_multiple_of(2);
            let evens = (first..u32::from(range.last)).step_by(2);
            Box::new(evens.map(|port| (port as u16, port as u16 + 1)))
        }
    };
    for (rtp, rtcp) in candidates {
        match (bind(ip, rtp), bind(ip, rtcp)) {
            (Ok(rtp), Ok(rtcp)) => pairs.push(Pair::of(rtp, rtcp).map_err(|source| {
                PortsError::Address { ip, source }
            })?),
            (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::AddrInUse => {}
            (Err(source), _) | (_, Err(source)) => return Err(PortsError::Address { ip, source }),
        }
        if pairs.len() == MOST_PAIRS {
            break;
        }
    }
    match pairs.is_empty() {
        true => Err(PortsError::NoneFree { range }),
        false => Ok(pairs),
    }
}

impl Pair {
    fn of(rtp: UdpSocket, rtcp: UdpSocket) -> io::Result<Pair> {
        Ok(Pair {
            rtp_port: rtp.local_addr()?.port(),
            rtcp_port: rtcp.local_addr()?.port(),
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
    let address = SocketAddr::new(ip, port);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The system may allow less: a smaller buffer is no reason not to work.
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
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
    fn ports_in_use_are_passed_over_and_a_full_range_is_named() {
        let taken = bind(LOOPBACK, 0).unwrap();
        let port = taken.local_addr().unwrap().port() & !1;
        let range = PortRange { first: port, last: port + 1 };
        match open(LOOPBACK, range) {
            Err(PortsError::NoneFree { range: named }) => assert_eq!(named, range),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_system_chooses_where_nothing_is_asked_for() {
        let pairs = open(LOOPBACK, PortRange::ephemeral()).unwrap();
        assert_eq!(pairs.len(), MOST_PAIRS);
        assert!(pairs.iter().all(|pair| pair.rtp_port != 0));
    }
}
