//! The TCP sockets, which share our SIP port.
//!
//! Outgoing connections leave from the listening port, so that a gateway that connects to our Contact
//! address finds the connection that exists.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Listens on `address`; outgoing connections may use the port too.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = shared_socket(address)?;
    socket.bind(address)?;
    socket.listen(64)
}

/// Connects from `local`. Uses another port if `local` is still taken by a closing connection to the same
/// address.
pub(super) async fn connect(local: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    if local.is_ipv4() == to.is_ipv4() && local.port() != 0 {
        let socket = shared_socket(local)?;
        if socket.bind(local).is_ok() {
            match socket.connect(to).await {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                    ) => {}
                other => return other,
            }
        }
    }
    TcpStream::connect(to).await
}

fn shared_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    Ok(socket)
}
