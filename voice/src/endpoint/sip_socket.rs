//! The SIP socket of the event loop: batched sending and receiving, waiting, and our address towards a gateway.

use std::collections::HashMap;
use std::io::{IoSlice, PipeReader, Read};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockaddrStorage;

use super::config::EndpointConfig;
use crate::net::udp::{self, MAX_BATCH, Receiver, Sender};
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::Transmit;

/// The maximum size of a UDP datagram.
const MAX_DATAGRAM_BYTES: usize = 65_535;
/// Timers may be late by this much, which avoids most wake-ups of a thread with thousands of timers.
const TIMER_GRANULARITY: Duration = Duration::from_millis(5);
/// Our address towards a gateway is cached for this long, because routes change.
const ROUTE_TTL: Duration = Duration::from_secs(60);
const MAX_ROUTES: usize = 1024;

pub(super) struct SipSocket<'a> {
    socket: &'a UdpSocket,
    waker: &'a PipeReader,
    local: SocketAddr,
    sender: Sender,
    receiver: Receiver,
    outgoing: Vec<Transmit>,
    addresses: Vec<Option<SockaddrStorage>>,
    /// For each gateway: our address towards it, and when it was determined.
    routes: HashMap<IpAddr, (IpAddr, Instant)>,
}

/// Why the event loop continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wakeup {
    /// Datagrams have arrived.
    Readable,
    /// It did not sleep, because there may be more datagrams.
    More,
    /// A command, a media event or a deadline.
    Other,
}

impl<'a> SipSocket<'a> {
    pub fn new(socket: &'a UdpSocket, waker: &'a PipeReader, local: SocketAddr) -> SipSocket<'a> {
        SipSocket {
            socket,
            waker,
            local,
            sender: Sender::default(),
            receiver: Receiver::new(MAX_DATAGRAM_BYTES),
            outgoing: Vec::with_capacity(MAX_BATCH),
            addresses: Vec::with_capacity(MAX_BATCH),
            routes: HashMap::new(),
        }
    }

    /// Waits for datagrams, the waker, or `until`.
    pub fn sleep(&self, until: Option<Instant>) -> Wakeup {
        let left =
            until.map(|at| at.saturating_duration_since(Instant::now()).max(TIMER_GRANULARITY));
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        let mut descriptors = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.waker.as_fd(), PollFlags::POLLIN),
        ];
        // An interruption by a signal is a spurious wakeup.
        let _ = poll(&mut descriptors, timeout);
        if descriptors[1].any().unwrap_or(false) {
            let mut waker = self.waker;
            let _ = waker.read(&mut [0; 16]);
        }
        match descriptors[0].any().unwrap_or(false) {
            true => Wakeup::Readable,
            false => Wakeup::Other,
        }
    }

    /// Receives a batch of datagrams. Returns whether there may be more.
    pub fn receive(&mut self) -> bool {
        self.receiver.receive(self.socket) == MAX_BATCH
    }

    /// The datagrams of the last [`SipSocket::receive`], with their sources.
    pub fn received(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        self.receiver.datagrams()
    }

    /// Queues a datagram.
    pub fn push(&mut self, transmit: Transmit) {
        let to = udp::mapped(transmit.to.address, self.local.is_ipv6());
        self.addresses.push(Some(to.into()));
        self.outgoing.push(transmit);
    }

    /// Sends the queued datagrams. Calls `failed` for each one that cannot be sent.
    pub fn flush(&mut self, mut failed: impl FnMut(&Transmit, Errno)) {
        let (outgoing, addresses) = (&self.outgoing, &self.addresses);
        for (batch, addresses) in outgoing.chunks(MAX_BATCH).zip(addresses.chunks(MAX_BATCH)) {
            let slices: [[IoSlice<'_>; 1]; MAX_BATCH] =
                std::array::from_fn(|n| [IoSlice::new(batch.get(n).map_or(&[], |t| &t.bytes))]);
            self.sender.send(self.socket, &slices[..batch.len()], addresses, |n, error| {
                failed(&batch[n], error);
            });
        }
        self.outgoing.clear();
        self.addresses.clear();
    }

    /// Our address and SIP port, as the gateway sees them.
    pub fn local_for(&mut self, gateway: Hop, config: &EndpointConfig) -> SocketAddr {
        let listen = self.local.ip();
        let ip = match config.public_ip {
            Some(public) => public,
            None if listen.is_unspecified() => self.source_ip_for(gateway.address.ip()),
            None => listen,
        };
        SocketAddr::new(ip, self.local.port())
    }

    /// The source address of packets to `peer`.
    fn source_ip_for(&mut self, peer: IpAddr) -> IpAddr {
        let now = Instant::now();
        if let Some((ip, known_at)) = self.routes.get(&peer)
            && now.saturating_duration_since(*known_at) < ROUTE_TTL
        {
            return *ip;
        }
        if self.routes.len() == MAX_ROUTES {
            self.routes.clear();
        }
        let ip = route_source_ip(peer).unwrap_or(self.local.ip());
        self.routes.insert(peer, (ip, now));
        ip
    }
}

/// The source address that the kernel chooses for `peer`. Connecting a UDP socket sends nothing.
fn route_source_ip(peer: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => [0; 4].into(),
        IpAddr::V6(_) => [0; 16].into(),
    };
    let probe = UdpSocket::bind((any, 0)).ok()?;
    probe.connect((peer, 5060)).ok()?;
    probe.local_addr().ok().map(|local| local.ip())
}
