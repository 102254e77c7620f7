//! The listening sockets of a gateway.

use std::net::{SocketAddr, TcpListener};

use crate::config::Config;

/// The HTTP and metrics sockets, bound before anything else is touched.
pub struct Ports {
    pub(super) http: TcpListener,
    pub(super) metrics: TcpListener,
}

impl Ports {
    /// Binds both sockets.
    ///
    /// # Errors
    /// Names the address that is in use, and the configuration key to change.
    pub fn bind(config: &Config) -> anyhow::Result<Ports> {
        Ok(Ports {
            http: listen(config.server.listen, "server.listen")?,
            metrics: listen(config.metrics.listen, "metrics.listen")?,
        })
    }
}

fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {address} is in use: stop the process that listens there, or change {key}"
        ),
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("port {address} needs more privileges: set {key} to a port above 1023")
        }
        _ => anyhow::anyhow!(
            "cannot listen on {address} ({error}): set {key} to an address of this machine"
        ),
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
