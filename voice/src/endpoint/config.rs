//! The settings of an endpoint, and the errors of its start.

use std::io;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use crate::net::locate::Locator;
use crate::net::streams::StreamsError;
use crate::rtp::send::ports::{PortRange, PortsError};
use crate::sip::user_agent::transaction::Timers;

/// The settings of an endpoint.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    pub listen_udp: SocketAddr,
    pub rtp_ports: PortRange,
    /// Our public address behind NAT, for Contact and SDP.
    pub public_ip: Option<IpAddr>,
    /// Whether SIP over TCP and TLS is enabled. TCP listens on `listen_udp` too.
    pub has_tcp_and_tls: bool,
    /// The value of the User-Agent field.
    pub user_agent: String,
    pub timers: Timers,
    /// Resolves the host names that far ends give, as the next hop of a dialog or as the address of their media.
    /// `None`: such requests go to the gateway, and such media cannot be used.
    pub locator: Option<Locator>,
}

impl Default for EndpointConfig {
    /// All IPv4 addresses of this machine, any free ports, and the timers of RFC 3261.
    fn default() -> Self {
        EndpointConfig {
            listen_udp: SocketAddr::from(([0, 0, 0, 0], 0)),
            rtp_ports: PortRange::ephemeral(),
            public_ip: None,
            has_tcp_and_tls: false,
            user_agent: concat!("NEXO-ROUTE/", env!("CARGO_PKG_VERSION")).to_owned(),
            timers: Timers::default(),
            locator: None,
        }
    }
}

/// Why an endpoint cannot be started.
#[derive(Debug, Error)]
pub enum EndpointError {
    #[error(
        "UDP {address} is in use: stop the program that listens there, or change sip.listen_udp"
    )]
    AddressInUse { address: SocketAddr },
    #[error("cannot listen on UDP {address}: set sip.listen_udp to an address of this machine")]
    Address { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Ports(#[from] PortsError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
    #[error("the SIP thread cannot be started")]
    Thread(#[source] io::Error),
}
