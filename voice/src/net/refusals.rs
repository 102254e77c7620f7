//! The datagrams that were refused: their host, network or port cannot be reached (ICMP, RFC 1122 §4.1.3.3).
//!
//! An unconnected socket learns of it only if it asks the kernel to keep the errors.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};

use super::udp;

/// How many errors are read at a time. Further ones are read the next time.
const MAX_READ: usize = 64;
/// Enough for an error and the address of the host that reported it.
const CONTROL_BYTES: usize = 128;

/// Makes the kernel keep the errors of a socket, for [`RefusalReader`].
///
/// # Errors
/// If the socket does not support it.
pub fn keep_errors(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv6() {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
    }
    // Also on an IPv6 socket, for mapped addresses.
    setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
    Ok(())
}

/// Reads the errors of sockets.
pub struct RefusalReader {
    control: [u8; CONTROL_BYTES],
}

impl Default for RefusalReader {
    fn default() -> Self {
        RefusalReader { control: [0; CONTROL_BYTES] }
    }
}

impl RefusalReader {
    /// Calls `refused` with the destination of each refused datagram since the last time. Afterwards the
    /// next call on the socket does not return their errors.
    pub fn read(&mut self, socket: &UdpSocket, mut refused: impl FnMut(SocketAddr)) {
        for _ in 0..MAX_READ {
            match self.next(socket) {
                Err(Errno::EINTR) | Ok(None) => {}
                Ok(Some(destination)) => refused(destination),
                Err(_) => return,
            }
        }
    }

    /// Reads one error. `None`: it is no refusal.
    fn next(&mut self, socket: &UdpSocket) -> Result<Option<SocketAddr>, Errno> {
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        // The beginning of the refused datagram is not needed.
        let mut slices = [IoSliceMut::new(&mut [])];
        let control = Some(&mut self.control[..]);
        let error = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, control, flags)?;
        let is_refusal = error.cmsgs()?.any(|control| match control {
            ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _) => is_refusal(&error),
            _ => false,
        });
        Ok(error.address.filter(|_| is_refusal).and_then(|to| udp::socket_address(&to)))
    }
}

fn is_refusal(error: &libc::sock_extended_err) -> bool {
    let is_icmp = matches!(error.ee_origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6);
    is_icmp
        && matches!(
            Errno::from_raw(error.ee_errno as i32),
            Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EACCES
        )
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::net::udp::{MAX_BATCH, Receiver, Sender, bind, mapped};

    /// A port without a socket.
    fn closed_port() -> SocketAddr {
        bind(([127, 0, 0, 1], 0).into()).unwrap().local_addr().unwrap()
    }

    fn refusals(socket: &UdpSocket, count: usize) -> Vec<SocketAddr> {
        let (mut reader, mut found) = (RefusalReader::default(), Vec::new());
        let deadline = Instant::now() + Duration::from_secs(5);
        while found.len() < count && Instant::now() < deadline {
            reader.read(socket, |to| found.push(to));
            std::thread::yield_now();
        }
        found
    }

    #[test]
    fn the_destination_of_a_refused_datagram_is_found_on_both_families() {
        for local in ["127.0.0.1:0", "[::]:0"] {
            let Ok(socket) = bind(local.parse().unwrap()) else {
                // A machine without IPv6.
                continue;
            };
            keep_errors(&socket).unwrap();
            let closed = closed_port();
            let is_v6 = local.starts_with('[');
            socket.send_to(b"x", mapped(closed, is_v6)).unwrap();
            assert_eq!(refusals(&socket, 1), [closed], "{local}");
            assert_eq!(refusals(&socket, 0), [], "it is reported once");
        }
    }

    #[test]
    fn a_refused_datagram_costs_no_other_datagram() {
        let (socket, good) =
            (bind(([127, 0, 0, 1], 0).into()).unwrap(), bind(([127, 0, 0, 1], 0).into()).unwrap());
        keep_errors(&socket).unwrap();
        let closed = closed_port();
        let to_good = Some(SockaddrStorage::from(good.local_addr().unwrap()));
        let to_closed = Some(SockaddrStorage::from(closed));
        let datagrams = [b"a", b"b", b"c", b"d", b"e", b"f"].map(|text| [IoSlice::new(text)]);
        let addresses = [to_closed, to_good, to_closed, to_closed, to_good, to_good];
        for _ in 0..10 {
            Sender::default()
                .send(&socket, &datagrams, &addresses, |index, error| panic!("{index}: {error}"));
        }
        good.set_nonblocking(false).unwrap();
        good.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for n in 0..30 {
            let mut buffer = [0; 10];
            good.recv(&mut buffer).unwrap();
            assert_eq!(buffer[0], b"bef"[n % 3]);
        }
        // Datagrams that have arrived are received although errors are pending.
        let from_good = good.send_to(b"reply", socket.local_addr().unwrap());
        from_good.unwrap();
        socket.send_to(b"x", closed).unwrap();
        let mut receiver = Receiver::new(10);
        assert!(receiver.receive(&socket) < MAX_BATCH);
        assert_eq!(receiver.datagrams().next().unwrap().0, b"reply");
        assert!(refusals(&socket, 1).iter().all(|refused| *refused == closed));
    }
}
