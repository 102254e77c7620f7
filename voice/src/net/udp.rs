//! UDP in batches: many datagrams for each system call, without allocations once a batch exists.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};

/// The maximum number of datagrams for each system call.
pub const MAX_BATCH: usize = 64;
/// Enough for the packets of 2,000 calls while the receiving thread is busy.
const BUFFER_BYTES: usize = 4 << 20;

/// Opens a non-blocking UDP socket with large buffers. On an unspecified IPv6 address it is dual-stack.
///
/// # Errors
/// If the address cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The system may limit the size; smaller buffers work too.
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The address to pass to a socket of this family: an IPv6 socket needs IPv4 addresses mapped.
pub fn mapped(to: SocketAddr, socket_is_v6: bool) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) if socket_is_v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => to,
    }
}

/// The address without the IPv4 mapping of an IPv6 socket.
pub fn unmapped(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}

/// The address that the kernel reported, unless it is of another family.
pub(super) fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::from(*address));
    let address =
        v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::from(*address)));
    address.map(unmapped)
}

/// How often a call is repeated that may have returned the error of an earlier datagram. Such an error is
/// returned once, but the next one may have arrived. If nothing is received, packets from before a call
/// could count for it, so receiving tries longer.
const SEND_RETRIES: usize = 2;
const RECEIVE_RETRIES: usize = 8;

/// Whether an error may be that of an earlier datagram (see [`super::refusals`]), so that the same call
/// may succeed now.
fn may_be_earlier(error: Errno) -> bool {
    matches!(
        error,
        Errno::ECONNREFUSED
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::EACCES
            | Errno::ENOPROTOOPT
            | Errno::EPROTO
            | Errno::EMSGSIZE
    )
}

/// Sends datagrams, up to [`MAX_BATCH`] for each system call.
pub struct Sender {
    headers: MultiHeaders<SockaddrStorage>,
}

impl Default for Sender {
    fn default() -> Self {
        Sender { headers: MultiHeaders::preallocate(MAX_BATCH, None) }
    }
}

impl Sender {
    /// Sends each datagram, given as slices, to the address with the same index. Calls `failed` with the
    /// index of each datagram that cannot be sent, and continues with the next one.
    pub fn send<const SLICES: usize>(
        &mut self,
        socket: &UdpSocket,
        datagrams: &[[IoSlice<'_>; SLICES]],
        addresses: &[Option<SockaddrStorage>],
        mut failed: impl FnMut(usize, Errno),
    ) {
        let (mut next, mut errors) = (0, 0);
        while next < datagrams.len() {
            let end = datagrams.len().min(next + MAX_BATCH);
            let sent = sendmmsg(
                socket.as_raw_fd(),
                &mut self.headers,
                &datagrams[next..end],
                &addresses[next..end],
                [],
                MsgFlags::MSG_DONTWAIT,
            )
            .map(Iterator::count);
            match sent {
                // If fewer were sent, the next one failed. Sending it again returns its error.
                Ok(sent) if sent > 0 => (next, errors) = (next + sent, 0),
                Err(Errno::EINTR) => {}
                Ok(_) => (next, errors) = (skip(next, Errno::EAGAIN, &mut failed), 0),
                Err(error) if may_be_earlier(error) && errors < SEND_RETRIES => errors += 1,
                Err(error) => (next, errors) = (skip(next, error, &mut failed), 0),
            }
        }
    }
}

fn skip(index: usize, error: Errno, failed: &mut impl FnMut(usize, Errno)) -> usize {
    failed(index, error);
    index + 1
}

/// Receives datagrams, up to [`MAX_BATCH`] for each system call.
pub struct Receiver {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Vec<u8>,
    max_bytes: usize,
    received: Vec<(usize, SocketAddr)>,
}

impl Receiver {
    /// A receiver that truncates datagrams longer than `max_bytes`.
    pub fn new(max_bytes: usize) -> Receiver {
        Receiver {
            headers: MultiHeaders::preallocate(MAX_BATCH, None),
            buffers: vec![0; MAX_BATCH * max_bytes],
            max_bytes,
            received: Vec::with_capacity(MAX_BATCH),
        }
    }

    /// Receives without waiting, and returns the number of datagrams. At [`MAX_BATCH`] there may be more.
    pub fn receive(&mut self, socket: &UdpSocket) -> usize {
        self.received.clear();
        for _ in 0..=RECEIVE_RETRIES {
            match self.receive_batch(socket) {
                Err(error) if error == Errno::EINTR || may_be_earlier(error) => {}
                // Otherwise nothing has arrived.
                Ok(()) | Err(_) => break,
            }
        }
        self.received.len()
    }

    fn receive_batch(&mut self, socket: &UdpSocket) -> Result<(), Errno> {
        let mut buffers = self.buffers.chunks_exact_mut(self.max_bytes);
        let mut slices: [[IoSliceMut<'_>; 1]; MAX_BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            &mut slices,
            MsgFlags::MSG_DONTWAIT,
            None,
        )?;
        for message in received {
            let from = message.address.and_then(|from: SockaddrStorage| socket_address(&from));
            let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
            self.received.push((message.bytes, from.unwrap_or(unknown)));
        }
        Ok(())
    }

    /// The datagrams of the last [`Receiver::receive`], with their sources.
    pub fn datagrams(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let buffers = self.buffers.chunks_exact(self.max_bytes);
        buffers
            .zip(&self.received)
            .map(|(buffer, (length, from))| (&buffer[..(*length).min(buffer.len())], *from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn socket() -> UdpSocket {
        bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
    }

    #[test]
    fn many_datagrams_arrive_complete_and_in_order() {
        let (from, to) = (socket(), socket());
        let texts: Vec<String> = (0..150).map(|n| format!("datagram {n}")).collect();
        let datagrams: Vec<[IoSlice<'_>; 2]> =
            texts.iter().map(|text| [IoSlice::new(b"> "), IoSlice::new(text.as_bytes())]).collect();
        let address = Some(to.local_addr().unwrap().into());
        let addresses = vec![address; datagrams.len()];
        Sender::default()
            .send(&from, &datagrams, &addresses, |index, error| panic!("{index}: {error}"));
        let mut receiver = Receiver::new(100);
        let mut received = Vec::new();
        while receiver.receive(&to) > 0 {
            for (bytes, source) in receiver.datagrams() {
                assert_eq!(source, from.local_addr().unwrap());
                received.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
        }
        let expected: Vec<String> = texts.iter().map(|text| format!("> {text}")).collect();
        assert_eq!(received, expected);
    }

    #[test]
    fn a_datagram_that_cannot_be_sent_does_not_block_others() {
        let (from, to) = (socket(), socket());
        to.set_nonblocking(false).unwrap();
        to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let good = Some(SockaddrStorage::from(to.local_addr().unwrap()));
        // Nothing can be sent to port 0.
        let bad = Some(SockaddrStorage::from(SocketAddr::from(([127, 0, 0, 1], 0))));
        let slices = [b"a", b"b", b"c", b"d"].map(|text| [IoSlice::new(text)]);
        let mut failed = Vec::new();
        Sender::default().send(&from, &slices, &[good, bad, bad, good], |index, error| {
            failed.push((index, error));
        });
        assert_eq!(failed, [(1, Errno::EINVAL), (2, Errno::EINVAL)]);
        let mut buffer = [0; 10];
        assert_eq!(to.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], b'a');
        assert_eq!(to.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], b'd');
    }

    #[test]
    fn a_dual_stack_socket_sends_to_ipv4_and_reports_ipv4_sources() {
        let Ok(both) = bind("[::]:0".parse().unwrap()) else {
            // A machine without IPv6 cannot run this test.
            return;
        };
        let four = socket();
        let to = mapped(four.local_addr().unwrap(), true);
        both.send_to(b"x", to).unwrap();
        let mut receiver = Receiver::new(10);
        assert_eq!(receiver.receive(&four), 1);
        let (_, from) = receiver.datagrams().next().unwrap();
        four.send_to(b"y", from).unwrap();
        let mut receiver = Receiver::new(10);
        assert_eq!(receiver.receive(&both), 1);
        let (bytes, from) = receiver.datagrams().next().unwrap();
        assert_eq!((bytes, from), (&b"y"[..], four.local_addr().unwrap()));
    }
}
