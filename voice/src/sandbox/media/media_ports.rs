//! Local RTP ports: a few sockets that many calls share.
//!
//! A socket serves any number of calls as long as each has another far end, which is how packets
//! are told apart. Callers who use one media address for all their calls get a socket a call.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::resource::{Resource, getrlimit};

use crate::rtp::send::ports::bind;

/// Tries to find an even port whose odd neighbour is free too.
const PAIR_TRIES: usize = 32;
/// The most pairs, however many files the process may open.
const MOST_PAIRS: usize = 4096;
/// A pair for so many files that the process may open: a quarter of them, as a pair is two.
const FILES_A_PAIR: u64 = 8;

/// An even RTP port and, above it, its RTCP port (RFC 3550 §11). Neither blocks.
pub(in crate::sandbox) struct MediaSocket {
    pub index: usize,
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub port: u16,
}

impl MediaSocket {
    /// Forgets what came while no call used it.
    fn discard_all(&self) {
        let mut datagram = [0; 1];
        for socket in [&self.rtp, &self.rtcp] {
            while socket.recv_from(&mut datagram).is_ok() {}
        }
    }
}

/// The sockets and who uses them. Grows as calls need it, never shrinks.
pub(in crate::sandbox) struct MediaPorts {
    ip: IpAddr,
    most: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    sockets: Vec<Arc<MediaSocket>>,
    /// How many calls use each socket.
    users: Vec<usize>,
    /// One bit a socket: set while a call with this far end uses it.
    used_by: HashMap<SocketAddr, Vec<u64>>,
}

/// One call's claim on a socket, given back when dropped.
pub(in crate::sandbox) struct MediaLease {
    pub socket: Arc<MediaSocket>,
    pub remote: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl MediaPorts {
    pub fn new(ip: IpAddr) -> MediaPorts {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
        let most = usize::try_from(files / FILES_A_PAIR).unwrap_or(MOST_PAIRS);
        MediaPorts {
            ip,
            most: most.clamp(1, MOST_PAIRS),
            state: Arc::default(),
        }
    }

    /// A socket that no other call with the same `remote` uses, opened where there is none.
    ///
    /// # Errors
    /// When the system gives no more sockets, or as many are open as are good for the process:
    /// whatever else it does needs files too.
    pub fn lease(&self, remote: SocketAddr) -> io::Result<MediaLease> {
        let mut state = locked(&self.state);
        let free = first_free(state.used_by.get(&remote));
        if free == state.sockets.len() {
            if free == self.most {
                return Err(io::Error::from(io::ErrorKind::QuotaExceeded));
            }
            let socket = Arc::new(open_pair(self.ip, free)?);
            state.sockets.push(socket);
            state.users.push(0);
        }
        if state.users[free] == 0 {
            state.sockets[free].discard_all();
        }
        state.users[free] += 1;
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
        state.users[index] -= 1;
        if let Some(words) = state.used_by.get_mut(&self.remote) {
            words[index / 64] &= !(1 << (index % 64));
            if words.iter().all(|word| *word == 0) {
                state.used_by.remove(&self.remote);
            }
        }
    }
}

/// No code panics while it holds this lock half-way through a change.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lowest clear bit. At most one above the highest socket ever used with this far end.
fn first_free(words: Option<&Vec<u64>>) -> usize {
    let words = words.map_or(&[][..], Vec::as_slice);
    words
        .iter()
        .position(|word| *word != u64::MAX)
        .map_or(words.len() * 64, |at| {
            at * 64 + words[at].trailing_ones() as usize
        })
}

fn open_pair(ip: IpAddr, index: usize) -> io::Result<MediaSocket> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    // An odd port from the system is kept until the end, or it would be given out again.
    let mut odd = Vec::new();
    for _ in 0..PAIR_TRIES {
        let rtp = bind(ip, 0)?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 1 {
            odd.push(rtp);
            continue;
        }
        match bind(ip, port + 1) {
            Ok(rtcp) => {
                return Ok(MediaSocket {
                    index,
                    rtp,
                    rtcp,
                    port,
                });
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
    fn calls_of_different_far_ends_share_a_socket_and_of_the_same_never() {
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
    fn what_came_between_two_calls_is_not_heard_in_the_second() {
        let ports = ports();
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let lease = ports.lease(far_end(4000)).unwrap();
        let address = lease.socket.rtp.local_addr().unwrap();
        drop(lease);
        stranger.send_to(b"late", address).unwrap();
        let lease = ports.lease(far_end(4000)).unwrap();
        stranger.send_to(b"early", address).unwrap();
        // What comes while the socket is in use stays, also when another call joins.
        let _other = ports.lease(far_end(4002)).unwrap();
        let mut datagram = [0; 10];
        let (length, _) = lease.socket.rtp.recv_from(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"early");
    }

    #[test]
    fn a_socket_has_an_even_port_and_its_neighbour() {
        let ports = ports();
        let lease = ports.lease(far_end(4000)).unwrap();
        assert_eq!(lease.socket.port % 2, 0);
        let rtcp = lease.socket.rtcp.local_addr().unwrap().port();
        assert_eq!(rtcp, lease.socket.port + 1);
    }

    #[test]
    fn no_more_sockets_are_opened_than_are_good_for_the_process() {
        let mut ports = ports();
        assert!((1..=MOST_PAIRS).contains(&ports.most), "{}", ports.most);
        ports.most = 2;
        let leases = [4000, 4000].map(|port| ports.lease(far_end(port)).unwrap());
        let error = ports.lease(far_end(4000)).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        // Another far end still finds its place.
        assert!(ports.lease(far_end(4002)).is_ok());
        drop(leases);
        assert!(ports.lease(far_end(4000)).is_ok());
    }

    #[test]
    fn a_far_end_without_calls_leaves_nothing_behind() {
        let mut ports = ports();
        ports.most = 130;
        let leases: Vec<_> = (0..130)
            .map(|_| ports.lease(far_end(4000)).unwrap())
            .collect();
        assert_eq!(locked(&ports.state).sockets.len(), 130);
        drop(leases);
        assert!(locked(&ports.state).used_by.is_empty());
        let last = ports.lease(far_end(9)).unwrap();
        assert_eq!(last.socket.index, 0);
    }
}
