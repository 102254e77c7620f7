//! A client's connection: it ends if a request's head arrives too slowly, or if the client does not read its answer.
//! The bodies of requests are limited where they are read.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::ConnectionPermit;

/// How long an idle connection stays open. Longer than the pools of common HTTP clients (5 s in httpx), so that the
/// server does not close a connection just as the client sends a request on it.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long the head of a request may take from its first byte. actix-web answers the first request of a connection
/// with 408 after 5 s; this also ends later ones.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the client may read nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// actix-web closes idle connections after [`KEEP_ALIVE`], but not if a part of the next head came with the last
/// request. These end a little later.
const IDLE_TIMEOUT: Duration = KEEP_ALIVE.saturating_add(Duration::from_secs(5));

/// What a connection waits for. Shared by the connection and its requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity(Rc<Cell<State>>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing has arrived. actix-web ends such a connection.
    #[default]
    New,
    /// A part of a request's head has arrived.
    Head { until: Instant },
    /// The head is complete, and its answer is not yet sent.
    Handling,
    /// The answer is sent, and nothing has arrived since.
    Idle { until: Instant },
}

impl Activity {
    /// Records that a request's head is complete.
    pub fn head_complete(&self) {
        self.0.set(State::Handling);
    }

    /// Records that the answer to a request is sent.
    pub fn answered(&self, now: Instant) {
        let until = now + IDLE_TIMEOUT;
        self.0.set(State::Idle { until });
    }

    fn bytes_arrived(&self, now: Instant) {
        if let State::New | State::Idle { .. } = self.0.get() {
            let until = now + HEAD_TIMEOUT;
            self.0.set(State::Head { until });
        }
    }

    /// When the connection ends, and the reason in the metrics.
    fn deadline(&self) -> Option<(Instant, &'static str)> {
        match self.0.get() {
            State::Head { until } => Some((until, "slow_request")),
            State::Idle { until } => Some((until, "idle")),
            State::New | State::Handling => None,
        }
    }
}

/// A connection that was admitted.
pub(super) struct ClientStream {
    stream: TcpStream,
    activity: Activity,
    read_timer: Timer,
    write_timer: Timer,
    _permit: ConnectionPermit,
}

/// A timer that exists while it runs.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether `deadline` has passed. Otherwise wakes the task then.
    fn has_passed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).is_ready()
    }

    /// The deadline of the running timer. Starts it if it does not run.
    fn deadline(&self, timeout: Duration) -> Instant {
        match &self.0 {
            Some(timer) => timer.deadline(),
            None => Instant::now() + timeout,
        }
    }

    fn stop(&mut self) {
        self.0 = None;
    }
}

impl ClientStream {
    pub fn new(stream: TcpStream, permit: ConnectionPermit) -> ClientStream {
        ClientStream {
            stream,
            activity: Activity::default(),
            read_timer: Timer::default(),
            write_timer: Timer::default(),
            _permit: permit,
        }
    }

    pub fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Ends the connection if the client has read nothing for too long.
    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timer.stop();
            return written;
        }
        let deadline = self.write_timer.deadline(WRITE_TIMEOUT);
        match self.write_timer.has_passed(deadline, cx) {
            true => Poll::Ready(Err(timed_out("slow_reader"))),
            false => Poll::Pending,
        }
    }
}

fn timed_out(reason: &'static str) -> io::Error {
    metrics::counter!("nexo_http_connections_closed_total", "reason" => reason).increment(1);
    io::ErrorKind::TimedOut.into()
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.activity.bytes_arrived(Instant::now());
        }
        if read.is_ready() {
            return read;
        }
        match this.activity.deadline() {
            Some((deadline, reason)) if this.read_timer.has_passed(deadline, cx) => {
                Poll::Ready(Err(timed_out(reason)))
            }
            Some(_) | None => Poll::Pending,
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watch_write(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_ends_only_while_it_waits_for_the_client() {
        let (activity, now) = (Activity::default(), Instant::now());
        let later = now + Duration::from_secs(3);
        assert_eq!(activity.deadline(), None);
        activity.bytes_arrived(now);
        let slow = (now + HEAD_TIMEOUT, "slow_request");
        assert_eq!(activity.deadline(), Some(slow));
        // Further bytes of the same head give it no more time.
        activity.bytes_arrived(later);
        assert_eq!(activity.deadline(), Some(slow));
        activity.head_complete();
        assert_eq!(activity.deadline(), None);
        // The body of the request, or a part of the next one.
        activity.bytes_arrived(later);
        assert_eq!(activity.deadline(), None);
        activity.answered(later);
        let idle = (later + IDLE_TIMEOUT, "idle");
        assert_eq!(activity.deadline(), Some(idle));
        activity.bytes_arrived(later);
        let slow = (later + HEAD_TIMEOUT, "slow_request");
        assert_eq!(activity.deadline(), Some(slow));
    }
}
