//! The local RTP ports: a few sockets shared by many calls.
//!
//! A socket serves any number of calls as long as each has a different far end, whose address
//! identifies its packets. Callers with one media address for all their calls get one socket per
//! call.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::resource::{Resource, getrlimit};

use crate::rtp::send::ports::bind;

/// Attempts to find an even port whose next port is free too.
const MAX_PAIR_ATTEMPTS: usize = 32;
/// The most pairs, whatever the limit of open files.
const MAX_PAIRS: usize = 4096;
/// One pair per this many files that the process may open: a quarter of them, as a pair is two
/// files.
const FILES_PER_PAIR: u64 = 8;

/// An even RTP port and the next one for RTCP (RFC 3550 §11). Both are non-blocking.
pub(crate) struct MediaSocket {
    pub index: usize,
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub port: u16,
    /// Whether IPv4 addresses must be mapped.
    pub is_v6: bool,
}

impl MediaSocket {
    /// Discards the packets received while no call used the socket.
    fn discard_all(&self) {
        let mut datagram = [0; 1];
        for socket in [&self.rtp, &self.rtcp] {
            while socket.recv_from(&mut datagram).is_ok() {}
        }
    }
}

/// The sockets and their leases. Sockets are opened on demand and never closed.
pub(crate) struct MediaPorts {
    ip: IpAddr,
    max: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    sockets: Vec<Arc<MediaSocket>>,
    /// The number of leases of each socket.
    lease_counts: Vec<usize>,
    /// One bit per socket: set while a call with this far end uses it.
    used_by: HashMap<SocketAddr, Vec<u64>>,
}

/// One call's lease of a socket, released on drop.
pub(crate) struct MediaLease {
    pub socket: Arc<MediaSocket>,
    pub remote: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl MediaPorts {
    pub fn new(ip: IpAddr) -> MediaPorts {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
        let max = usize::try_from(files / FILES_PER_PAIR).unwrap_or(MAX_PAIRS);
        MediaPorts { ip, max: max.clamp(1, MAX_PAIRS), state: Arc::default() }
    }

    /// Leases a socket that no other call with the same `remote` uses, and opens one if necessary.
    ///
    /// # Errors
    /// If no socket can be opened, or the limit is reached: the process needs files for other
    /// purposes too.
    pub fn lease(&self, remote: SocketAddr) -> io::Result<MediaLease> {
        let mut state = locked(&self.state);
        let free = first_free(state.used_by.get(&remote));
        if free == state.sockets.len() {
            if free == self.max {
                return Err(io::Error::from(io::ErrorKind::QuotaExceeded));
            }
            let socket = Arc::new(open_pair(self.ip, free)?);
            state.sockets.push(socket);
            state.lease_counts.push(0);
        }
        if state.lease_counts[free] == 0 {
            state.sockets[free].discard_all();
        }
        state.lease_counts[free] += 1;
        let words = state.used_by.entry(remote).or_default();
        if words.len() <= free / 64 {
            words.push(0);
        }
        words[free / 64] |= 1 << (free % 64);
        Ok(MediaLease {
            socket: Arc::clone(&state.sockets[free]),
            remote,
            state: Arc::clone(&self.state),
        })
    }
}

impl Drop for MediaLease {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        let index = self.socket.index;
        state.lease_counts[index] -= 1;
        if let Some(words) = state.used_by.get_mut(&self.remote) {
            words[index / 64] &= !(1 << (index % 64));
            if words.iter().all(|word| *word == 0) {
                state.used_by.remove(&self.remote);
            }
        }
    }
}

/// Nothing panics while the lock is held and the state is inconsistent.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the lowest clear bit: at most one above the highest socket ever used with this far end.
fn first_free(words: Option<&Vec<u64>>) -> usize {
    let words = words.map_or(&[][..], Vec::as_slice);
    words
        .iter()
        .position(|word| *word != u64::MAX)
        .map_or(words.len() * 64, |at| at * 64 + words[at].trailing_ones() as usize)
}

fn open_pair(ip: IpAddr, index: usize) -> io::Result<MediaSocket> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    // Odd ports stay open until the end, or the system would assign them again.
    let mut odd = Vec::new();
    for _ in 0..MAX_PAIR_ATTEMPTS {
        let rtp = bind(ip, 0)?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 1 {
            odd.push(rtp);
            continue;
        }
        match bind(ip, port + 1) {
            Ok(rtcp) => {
                return Ok(MediaSocket { index, rtp, rtcp, port, is_v6: ip.is_ipv6() });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn far_end(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn ports() -> MediaPorts {
        MediaPorts::new(Ipv4Addr::LOCALHOST.into())
    }

    #[test]
    fn calls_share_a_socket_only_if_their_far_ends_differ() {
        let ports = ports();
        let first = ports.lease(far_end(4000)).unwrap();
        let other = ports.lease(far_end(4002)).unwrap();
        let same = ports.lease(far_end(4000)).unwrap();
        assert_eq!(first.socket.port, other.socket.port);
        assert_ne!(first.socket.port, same.socket.port);
        drop(first);
        let again = ports.lease(far_end(4000)).unwrap();
        assert_eq!(again.socket.port, other.socket.port);
    }

    #[test]
    fn packets_received_between_two_calls_are_discarded() {
        let ports = ports();
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let lease = ports.lease(far_end(4000)).unwrap();
        let address = lease.socket.rtp.local_addr().unwrap();
        drop(lease);
        other.send_to(b"late", address).unwrap();
        let lease = ports.lease(far_end(4000)).unwrap();
        other.send_to(b"early", address).unwrap();
        // Packets received while the socket is in use are kept, even if another call joins.
        let _second = ports.lease(far_end(4002)).unwrap();
        let mut datagram = [0; 10];
        let (length, _) = lease.socket.rtp.recv_from(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"early");
    }

    #[test]
    fn a_socket_has_an_even_port_and_the_next_one_for_rtcp() {
        let ports = ports();
        let lease = ports.lease(far_end(4000)).unwrap();
        assert_eq!(lease.socket.port % 2, 0);
        let rtcp = lease.socket.rtcp.local_addr().unwrap().port();
        assert_eq!(rtcp, lease.socket.port + 1);
    }

    #[test]
    fn the_number_of_sockets_is_limited() {
        let mut ports = ports();
        assert!((1..=MAX_PAIRS).contains(&ports.max), "{}", ports.max);
        ports.max = 2;
        let leases = [4000, 4000].map(|port| ports.lease(far_end(port)).unwrap());
        let error = ports.lease(far_end(4000)).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        // Another far end can still use them.
        assert!(ports.lease(far_end(4002)).is_ok());
        drop(leases);
        assert!(ports.lease(far_end(4000)).is_ok());
    }

    #[test]
    fn a_far_end_without_calls_leaves_no_entries() {
        let mut ports = ports();
        ports.max = 130;
        let leases: Vec<_> = (0..130).map(|_| ports.lease(far_end(4000)).unwrap()).collect();
        assert_eq!(locked(&ports.state).sockets.len(), 130);
        drop(leases);
        assert!(locked(&ports.state).used_by.is_empty());
        let last = ports.lease(far_end(9)).unwrap();
        assert_eq!(last.socket.index, 0);
    }
}
