//! One TCP or TLS connection, from connecting to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::event::{OnStreamEvent, StreamEvent};
use super::framing::{Frame, Framer, FramingError};
use super::last_errors::LastErrors;
use super::sockets;
use super::tls::TlsProfile;
use crate::net::shortage::{Shortage, record_trunk_shortage};
use crate::sip::message::hop::{Hop, Transport};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection that this host lacks the means for waits before it is tried again. Doubles each time.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(20);
/// The retries end this long before [`CONNECT_TIMEOUT`], so that the shortage is reported and not a timeout.
const RETRY_MARGIN: Duration = Duration::from_millis(200);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);
/// A gateway that does not read for this long is considered gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 5626 §4.4.1: keeps NAT bindings open, and detects broken connections.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Connections without messages for this long are closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
const READ_BUFFER_BYTES: usize = 16 << 10;

/// A message to write.
pub(super) struct Outgoing {
    pub token: Option<u64>,
    pub bytes: Arc<[u8]>,
}

/// The task of one connection.
pub(super) struct Connection {
    hop: Hop,
    outgoing: mpsc::Receiver<Outgoing>,
    events: Arc<OnStreamEvent>,
    last_errors: LastErrors,
    /// Whether a message has arrived.
    has_received: bool,
}

impl Connection {
    pub fn new(
        hop: Hop,
        outgoing: mpsc::Receiver<Outgoing>,
        events: Arc<OnStreamEvent>,
        last_errors: LastErrors,
    ) -> Connection {
        Connection { hop, outgoing, events, last_errors, has_received: false }
    }

    /// Connects, preferably from `local`, and serves the connection until it ends.
    pub async fn dial(mut self, local: SocketAddr, profile: Option<Arc<TlsProfile>>) -> Hop {
        let end = self.dial_and_run(local, profile).await;
        if let Err(error) = &end {
            tracing::warn!(gateway = %self.hop, %error, "connection to the gateway failed");
            self.last_errors.insert(self.hop, &error.to_string());
        }
        self.close()
    }

    /// Serves a connection that the gateway opened, until it ends.
    pub async fn serve(mut self, stream: TcpStream) -> Hop {
        // The side that opened the connection sends the pings.
        let _ = self.run(stream, false).await;
        self.close()
    }

    async fn dial_and_run(
        &mut self,
        local: SocketAddr,
        profile: Option<Arc<TlsProfile>>,
    ) -> io::Result<()> {
        let stream = timeout(CONNECT_TIMEOUT, connect(local, self.hop.address)).await??;
        stream.set_nodelay(true)?;
        let (Transport::Tls, Some(profile)) = (self.hop.transport, profile) else {
            return self.run(stream, true).await;
        };
        let connector = TlsConnector::from(Arc::clone(&profile.config));
        let handshake = connector.connect(profile.server_name.clone(), stream);
        let stream = timeout(HANDSHAKE_TIMEOUT, handshake).await?.map_err(invalid_data)?;
        self.run(stream, true).await
    }

    /// Reads and writes until either side closes the connection.
    async fn run(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        pings: bool,
    ) -> io::Result<()> {
        let gauge =
            metrics::gauge!("nexo_sip_connections", "transport" => self.hop.transport.name());
        gauge.increment(1.0);
        let (mut reader, mut writer) = tokio::io::split(stream);
        let end = self.exchange(&mut reader, &mut writer, pings).await;
        gauge.decrement(1.0);
        // Best effort: the far end may be gone.
        let _ = timeout(Duration::from_secs(1), writer.shutdown()).await;
        end
    }

    async fn exchange(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        pings: bool,
    ) -> io::Result<()> {
        let mut framer = Framer::default();
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        let mut used_at = Instant::now();
        let mut ping = tokio::time::interval_at(used_at + PING_INTERVAL, PING_INTERVAL);
        loop {
            tokio::select! {
                outgoing = self.outgoing.recv() => {
                    let Some(outgoing) = outgoing else {
                        return Ok(());
                    };
                    used_at = Instant::now();
                    if let Err(error) = write(writer, &outgoing.bytes).await {
                        self.report_failure(&outgoing);
                        return Err(error);
                    }
                }
                length = reader.read(&mut buffer) => {
                    match length? {
                        0 => return Ok(()),
                        length => framer.push(&buffer[..length]),
                    }
                    while let Some(frame) = framer.next_frame().map_err(framing_failed)? {
                        match frame {
                            Frame::Ping => write(writer, b"\r\n").await?,
                            Frame::Message(message) => {
                                used_at = Instant::now();
                                self.report_message(message);
                            }
                        }
                    }
                }
                _ = ping.tick() => {
                    if used_at.elapsed() > IDLE_TIMEOUT {
                        return Ok(());
                    }
                    if pings {
                        write(writer, b"\r\n\r\n").await?;
                    }
                }
            }
        }
    }

    fn report_message(&mut self, message: Vec<u8>) {
        if !std::mem::replace(&mut self.has_received, true) {
            self.last_errors.remove(self.hop);
        }
        let from = self.hop;
        (self.events)(StreamEvent::Received { from, message });
    }

    fn report_failure(&self, outgoing: &Outgoing) {
        (self.events)(StreamEvent::Failed { token: outgoing.token });
    }

    /// Reports each message that is still queued as failed.
    fn close(mut self) -> Hop {
        self.outgoing.close();
        while let Ok(outgoing) = self.outgoing.try_recv() {
            self.report_failure(&outgoing);
        }
        self.hop
    }
}

/// Connects from `local`. Repeats the attempt while this host lacks a descriptor or memory.
async fn connect(local: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let deadline = Instant::now() + CONNECT_TIMEOUT - RETRY_MARGIN;
    let mut delay = MIN_RETRY_DELAY;
    loop {
        let result = sockets::connect(local, to).await;
        // No local address may also mean that this host cannot reach the target at all: the next one is tried.
        let shortage = result.as_ref().err().and_then(Shortage::of_io);
        let Some(shortage) = shortage.filter(|shortage| shortage.is_general()) else {
            return result;
        };
        record_trunk_shortage(shortage);
        if Instant::now() + delay >= deadline {
            return result;
        }
        tokio::time::sleep(delay).await;
        delay *= 2;
    }
}

fn framing_failed(error: FramingError) -> io::Error {
    metrics::counter!("nexo_sip_framing_errors_total").increment(1);
    invalid_data(error)
}

fn invalid_data(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let written = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    timeout(WRITE_TIMEOUT, written).await?
}
