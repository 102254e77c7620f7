//! One connection, from its opening to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::framing::{Frame, Framer};
use super::last_errors::Troubles;
use super::tls::{TlsProfile, handshake_failed};
use super::{OnStreamEvent, StreamEvent, shared_socket};
use crate::sip::message::hop::{Hop, Transport};

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(4);
/// A gateway that reads nothing for so long is as good as gone.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// RFC 5626 §4.4.1: keeps the way through a NAT open, and shows when it is not.
const PING_EVERY: Duration = Duration::from_secs(30);
/// A connection that nothing uses is closed.
const LONGEST_IDLE: Duration = Duration::from_secs(600);
const READ_BYTES: usize = 16 << 10;

/// A message that is to be written.
pub(super) struct Outgoing {
    pub token: Option<u64>,
    pub bytes: Arc<[u8]>,
}

/// One connection's task.
pub(super) struct Connection {
    hop: Hop,
    waiting: mpsc::Receiver<Outgoing>,
    events: Arc<OnStreamEvent>,
    troubles: Troubles,
    /// Whether anything came by it yet.
    works: bool,
}

impl Connection {
    pub fn new(
        hop: Hop,
        waiting: mpsc::Receiver<Outgoing>,
        events: Arc<OnStreamEvent>,
        troubles: Troubles,
    ) -> Connection {
        Connection {
            hop,
            waiting,
            events,
            troubles,
            works: false,
        }
    }

    /// Opens the connection and serves it to its end. `local` is where it leaves from, if it can.
    pub async fn dial(mut self, local: SocketAddr, profile: Option<Arc<TlsProfile>>) -> Hop {
        let end = self.dial_and_run(local, profile).await;
        if let Err(error) = &end {
            tracing::warn!(gateway = %self.hop, %error, "the connection to the gateway failed");
            self.troubles.note(self.hop, &error.to_string());
        }
        self.close()
    }

    /// Serves a connection that the gateway has opened.
    pub async fn serve(mut self, stream: TcpStream) -> Hop {
        // Who opened it keeps it alive.
        let _ = self.run(stream, false).await;
        self.close()
    }

    async fn dial_and_run(
        &mut self,
        local: SocketAddr,
        profile: Option<Arc<TlsProfile>>,
    ) -> io::Result<()> {
        let stream = timeout(CONNECT_WITHIN, connect(local, self.hop.address)).await??;
        stream.set_nodelay(true)?;
        let (Transport::Tls, Some(profile)) = (self.hop.transport, profile) else {
            return self.run(stream, true).await;
        };
        let connector = TlsConnector::from(Arc::clone(&profile.config));
        let handshake = connector.connect(profile.server_name.clone(), stream);
        let stream = timeout(HANDSHAKE_WITHIN, handshake)
            .await?
            .map_err(handshake_failed)?;
        self.run(stream, true).await
    }

    /// Reads and writes until either side ends it.
    async fn run(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        pings: bool,
    ) -> io::Result<()> {
        let gauge =
            metrics::gauge!("nexo_sip_connections", "transport" => self.hop.transport.name());
        gauge.increment(1.0);
        let (mut reader, mut writer) = tokio::io::split(stream);
        let end = self.pass(&mut reader, &mut writer, pings).await;
        gauge.decrement(1.0);
        // The far end may be gone already.
        let _ = timeout(Duration::from_secs(1), writer.shutdown()).await;
        end
    }

    async fn pass(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        pings: bool,
    ) -> io::Result<()> {
        let mut framer = Framer::default();
        let mut buffer = vec![0; READ_BYTES];
        let mut used_at = Instant::now();
        let mut ping = tokio::time::interval_at(used_at + PING_EVERY, PING_EVERY);
        loop {
            tokio::select! {
                outgoing = self.waiting.recv() => {
                    let Some(outgoing) = outgoing else {
                        return Ok(());
                    };
                    used_at = Instant::now();
                    if let Err(error) = write(writer, &outgoing.bytes).await {
                        self.failed(&outgoing);
                        return Err(error);
                    }
                }
                length = reader.read(&mut buffer) => {
                    match length? {
                        0 => return Ok(()),
                        length => framer.take(&buffer[..length]),
                    }
                    while let Some(frame) = framer.next_frame().map_err(unreadable)? {
                        match frame {
                            Frame::Ping => write(writer, b"\r\n").await?,
                            Frame::Message(message) => {
                                used_at = Instant::now();
                                if !std::mem::replace(&mut self.works, true) {
                                    self.troubles.are_over(self.hop);
                                }
                                let from = self.hop;
                                (self.events)(StreamEvent::Received { from, message });
                            }
                        }
                    }
                }
                _ = ping.tick() => {
                    if used_at.elapsed() > LONGEST_IDLE {
                        return Ok(());
                    }
                    if pings {
                        write(writer, b"\r\n\r\n").await?;
                    }
                }
            }
        }
    }

    fn failed(&self, outgoing: &Outgoing) {
        (self.events)(StreamEvent::Failed {
            token: outgoing.token,
        });
    }

    /// Nothing that still waits will be written: each message is told so.
    fn close(mut self) -> Hop {
        self.waiting.close();
        while let Ok(outgoing) = self.waiting.try_recv() {
            self.failed(&outgoing);
        }
        self.hop
    }
}

fn unreadable(error: super::framing::FramingError) -> io::Error {
    metrics::counter!("nexo_sip_framing_errors_total").increment(1);
    io::Error::new(io::ErrorKind::InvalidData, error)
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let written = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    timeout(WRITE_WITHIN, written).await?
}

/// Connects from our own SIP port, so that the gateway knows the connection by our Contact address; from
/// any other where the last connection has not quite ended yet.
async fn connect(local: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
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
