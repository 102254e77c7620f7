//! The listening sockets of a gateway.

use std::io;
use std::net::{SocketAddr, TcpListener};

use thiserror::Error;

use crate::config::Config;

/// The HTTP and metrics sockets, bound before anything else is touched.
pub struct Ports {
    pub(super) http: TcpListener,
    pub(super) metrics: TcpListener,
}

/// Why an address cannot be used. Each names the configuration key to change.
#[derive(Debug, Error)]
pub enum ListenError {
    #[error("port {address} is in use: stop the process that listens there, or change {key}")]
    InUse { address: SocketAddr, key: &'static str },
    #[error("port {address} needs more privileges: set {key} to a port above 1023")]
    Privileged { address: SocketAddr, key: &'static str },
    #[error("cannot listen on {address} ({source}): set {key} to an address of this machine")]
    Address { address: SocketAddr, key: &'static str, source: io::Error },
}

impl Ports {
    /// Binds both sockets.
    ///
    /// # Errors
    /// Names the address that is in use, and the configuration key to change.
    pub fn bind(config: &Config) -> Result<Ports, ListenError> {
        let [http, metrics] = addresses(config);
        Ok(Ports { http: listen(http)?, metrics: listen(metrics)? })
    }

    /// Checks that both addresses are of this machine. One that is in use may be so by a gateway that runs with this
    /// configuration.
    ///
    /// # Errors
    /// As [`Ports::bind`], except for addresses in use.
    pub fn check(config: &Config) -> Result<(), ListenError> {
        for address in addresses(config) {
            match listen(address) {
                Ok(_) | Err(ListenError::InUse { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn addresses(config: &Config) -> [(SocketAddr, &'static str); 2] {
    [(config.server.listen, "server.listen"), (config.metrics.listen, "metrics.listen")]
}

fn listen((address, key): (SocketAddr, &'static str)) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, key },
        io::ErrorKind::PermissionDenied => ListenError::Privileged { address, key },
        _ => ListenError::Address { address, key, source },
    })
}
