//! UDP by the batch: many datagrams a system call, and nothing allocated once a batch exists.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};

/// The most datagrams a system call.
pub const BATCH: usize = 64;
/// Enough for what 2,000 calls bring while their reader is busy.
const BUFFER_BYTES: usize = 4 << 20;

/// A non-blocking UDP socket with large buffers. One on an unspecified IPv6 address takes IPv4 too.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    // The system may allow less: a smaller buffer is no reason not to work.
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// `to` as a socket of this kind takes it: IPv4 is mapped where the socket is IPv6.
pub fn mapped(to: SocketAddr, socket_is_v6: bool) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(ip) if socket_is_v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => to,
    }
}

/// `from` without the mapping that an IPv6 socket gives to IPv4.
pub fn unmapped(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}

/// Hands datagrams to the kernel, up to [`BATCH`] a call. It stays on the thread that made it.
pub struct Sender {
    headers: MultiHeaders<SockaddrStorage>,
}

impl Default for Sender {
    fn default() -> Self {
        Sender {
            headers: MultiHeaders::preallocate(BATCH, None),
        }
    }
}

impl Sender {
    /// Sends `datagrams`, each from its slices, to the addresses at the same places. Calls `failed`
    /// with the place of each that the kernel does not take, and goes on with the next.
    pub fn send<const SLICES: usize>(
        &mut self,
        socket: &UdpSocket,
        datagrams: &[[IoSlice<'_>; SLICES]],
        addresses: &[Option<SockaddrStorage>],
        mut failed: impl FnMut(usize, Errno),
    ) {
        let mut next = 0;
        while next < datagrams.len() {
            let end = datagrams.len().min(next + BATCH);
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
                // Fewer than asked: the first that is left has failed, and says why when asked again.
                Ok(sent) if sent > 0 => next += sent,
                Err(Errno::EINTR) => {}
                Ok(_) => next = skip(next, Errno::EAGAIN, &mut failed),
                Err(error) => next = skip(next, error, &mut failed),
            }
        }
    }
}

fn skip(place: usize, error: Errno, failed: &mut impl FnMut(usize, Errno)) -> usize {
    failed(place, error);
    place + 1
}

/// Takes datagrams from the kernel, up to [`BATCH`] a call. It stays on the thread that made it.
pub struct Receiver {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Vec<u8>,
    room: usize,
    taken: Vec<(usize, SocketAddr)>,
}

impl Receiver {
    /// Datagrams longer than `room` bytes are cut.
    pub fn new(room: usize) -> Receiver {
        Receiver {
            headers: MultiHeaders::preallocate(BATCH, None),
            buffers: vec![0; BATCH * room],
            room,
            taken: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what is there, without waiting; how many there were. [`BATCH`] means: ask again.
    pub fn receive(&mut self, socket: &UdpSocket) -> usize {
        self.taken.clear();
        let mut buffers = self.buffers.chunks_exact_mut(self.room);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let received = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            &mut slices,
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        // An error is the network's news of an earlier datagram, or that nothing is there.
        for message in received.into_iter().flatten() {
            let from = message.address.and_then(|from: SockaddrStorage| {
                let v4 = from.as_sockaddr_in().map(|from| SocketAddr::from(*from));
                v4.or_else(|| from.as_sockaddr_in6().map(|from| SocketAddr::from(*from)))
            });
            let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
            self.taken
                .push((message.bytes, unmapped(from.unwrap_or(unknown))));
        }
        self.taken.len()
    }

    /// What was taken last, and where it came from.
    pub fn datagrams(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let buffers = self.buffers.chunks_exact(self.room);
        buffers
            .zip(&self.taken)
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
    fn many_datagrams_go_out_and_come_in_whole_and_in_order() {
        let (from, to) = (socket(), socket());
        let texts: Vec<String> = (0..150).map(|n| format!("datagram {n}")).collect();
        let datagrams: Vec<[IoSlice<'_>; 2]> = texts
            .iter()
            .map(|text| [IoSlice::new(b"> "), IoSlice::new(text.as_bytes())])
            .collect();
        let address = Some(to.local_addr().unwrap().into());
        let addresses = vec![address; datagrams.len()];
        Sender::default().send(&from, &datagrams, &addresses, |place, error| {
            panic!("{place}: {error}")
        });
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
    fn one_datagram_that_cannot_be_sent_holds_up_no_other() {
        let (from, to) = (socket(), socket());
        to.set_nonblocking(false).unwrap();
        to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let good = Some(SockaddrStorage::from(to.local_addr().unwrap()));
        // Nothing can be sent to port 0.
        let bad = Some(SockaddrStorage::from(SocketAddr::from(([127, 0, 0, 1], 0))));
        let slices = [b"a", b"b", b"c", b"d"].map(|text| [IoSlice::new(text)]);
        let mut failed = Vec::new();
        Sender::default().send(&from, &slices, &[good, bad, bad, good], |place, error| {
            failed.push((place, error));
        });
        assert_eq!(failed, [(1, Errno::EINVAL), (2, Errno::EINVAL)]);
        let mut buffer = [0; 10];
        assert_eq!(to.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], b'a');
        assert_eq!(to.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], b'd');
    }

    #[test]
    fn an_ipv6_socket_speaks_to_ipv4_and_names_it_as_such() {
        let Ok(both) = bind("[::]:0".parse().unwrap()) else {
            // A machine without IPv6 has nothing to map.
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
