//! The SIP socket: whole batches in and out, and a sleep until there is something to do.

use std::collections::HashMap;
use std::io::{IoSlice, PipeReader, Read};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockaddrStorage;

use super::EndpointConfig;
use crate::net::udp;
use crate::net::udp::{BATCH, Receiver, Sender};
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::Transmit;

/// No SIP message over UDP is longer.
const DATAGRAM_BYTES: usize = 65_535;
/// Timers may come so much late, which spares a thread with thousands of them most wake-ups.
const GRAIN: Duration = Duration::from_millis(5);
/// Routes change: how long our address towards a gateway is taken as known.
const ROUTE_KEPT: Duration = Duration::from_secs(60);
const ROUTES_KEPT: usize = 1024;

pub(super) struct Wire<'a> {
    socket: &'a UdpSocket,
    bell: &'a PipeReader,
    local: SocketAddr,
    sender: Sender,
    receiver: Receiver,
    outgoing: Vec<Transmit>,
    addresses: Vec<Option<SockaddrStorage>>,
    routes: HashMap<IpAddr, (IpAddr, Instant)>,
}

/// What a sleep brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Woken {
    /// Datagrams have come.
    Readable,
    /// There was no sleep: more datagrams wait than were taken.
    More,
    /// An order has come, or a deadline.
    Otherwise,
}

impl<'a> Wire<'a> {
    pub fn new(socket: &'a UdpSocket, bell: &'a PipeReader, local: SocketAddr) -> Wire<'a> {
        Wire {
            socket,
            bell,
            local,
            sender: Sender::default(),
            receiver: Receiver::new(DATAGRAM_BYTES),
            outgoing: Vec::with_capacity(BATCH),
            addresses: Vec::with_capacity(BATCH),
            routes: HashMap::new(),
        }
    }

    /// Waits for datagrams, the bell, or `until`.
    pub fn sleep(&self, until: Option<Instant>) -> Woken {
        let left = until.map(|at| at.saturating_duration_since(Instant::now()).max(GRAIN));
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        let mut watched = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.bell.as_fd(), PollFlags::POLLIN),
        ];
        // A signal only makes the thread look around.
        let _ = poll(&mut watched, timeout);
        if watched[1].any().unwrap_or(false) {
            let mut bell = self.bell;
            let _ = bell.read(&mut [0; 16]);
        }
        match watched[0].any().unwrap_or(false) {
            true => Woken::Readable,
            false => Woken::Otherwise,
        }
    }

    /// Takes a batch of datagrams; whether there may be more.
    pub fn receive(&mut self) -> bool {
        self.receiver.receive(self.socket) == BATCH
    }

    /// What was taken last, and where it came from.
    pub fn received(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        self.receiver.datagrams()
    }

    /// Puts a datagram with those that go out next.
    pub fn push(&mut self, transmit: Transmit) {
        let to = udp::mapped(transmit.to.address, self.local.is_ipv6());
        self.addresses.push(Some(to.into()));
        self.outgoing.push(transmit);
    }

    /// Sends what was pushed. Calls `failed` with what the kernel does not take.
    pub fn flush(&mut self, mut failed: impl FnMut(&Transmit, Errno)) {
        let (outgoing, addresses) = (&self.outgoing, &self.addresses);
        for (batch, addresses) in outgoing.chunks(BATCH).zip(addresses.chunks(BATCH)) {
            let slices: [[IoSlice<'_>; 1]; BATCH] =
                std::array::from_fn(|n| [IoSlice::new(batch.get(n).map_or(&[], |t| &t.bytes))]);
            self.sender.send(
                self.socket,
                &slices[..batch.len()],
                addresses,
                |n, error| {
                    failed(&batch[n], error);
                },
            );
        }
        self.outgoing.clear();
        self.addresses.clear();
    }

    /// Our address as the gateway is to see it, with the SIP port.
    pub fn local_for(&mut self, gateway: Hop, config: &EndpointConfig) -> SocketAddr {
        let listen = self.local.ip();
        let ip = match config.public_ip {
            Some(public) => public,
            None if listen.is_unspecified() => self.address_towards(gateway.address.ip()),
            None => listen,
        };
        SocketAddr::new(ip, self.local.port())
    }

    /// The address that packets to `peer` leave from.
    fn address_towards(&mut self, peer: IpAddr) -> IpAddr {
        let now = Instant::now();
        if let Some((ip, known_at)) = self.routes.get(&peer)
            && now.saturating_duration_since(*known_at) < ROUTE_KEPT
        {
            return *ip;
        }
        if self.routes.len() == ROUTES_KEPT {
            self.routes.clear();
        }
        let ip = route_to(peer).unwrap_or(self.local.ip());
        self.routes.insert(peer, (ip, now));
        ip
    }
}

/// Connecting a UDP socket sends nothing, but makes the kernel choose.
fn route_to(peer: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => [0; 4].into(),
        IpAddr::V6(_) => [0; 16].into(),
    };
    let probe = UdpSocket::bind((any, 0)).ok()?;
    probe.connect((peer, 5060)).ok()?;
    probe.local_addr().ok().map(|local| local.ip())
}
