//! Refusals by the HTTP parser, completed on the connection.
//!
//! actix-http answers a malformed head (400), a head that is too large (431) and a head that does not arrive in time
//! (408) by itself, without a body, and offers no hook for these answers. [`ErrorCompleter`] recognises them when they are
//! written, counts them, and adds the headers and the body that every other answer has. Only an answer that is written
//! alone is recognised: behind another answer of the same connection it stays as it is.

use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use actix_web::http::StatusCode;
use metrics::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The statuses that the parser answers with.
const STATUSES: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];
/// A bare refusal is shorter than this.
const MAX_REFUSAL_LENGTH: usize = 256;

/// Writes the body and the additional header lines, each ended by CRLF, of a refusal with this status.
pub type Complete = fn(StatusCode) -> ErrorAnswer;

/// What a refusal gets in addition to the parser's own headers.
pub struct ErrorAnswer {
    /// Complete header lines, without Content-Length.
    pub headers: String,
    pub body: String,
}

/// A client's connection, on which the parser's refusals are completed.
pub struct ErrorCompleter<S> {
    stream: S,
    complete: Complete,
    /// A completed refusal that is being written, and how much of it is written.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<S> ErrorCompleter<S> {
    pub fn new(stream: S, complete: Complete) -> ErrorCompleter<S> {
        ErrorCompleter { stream, complete, refusal: None }
    }

    pub fn stream(&self) -> &S {
        &self.stream
    }
}

/// The status, if these bytes are exactly one refusal by the parser.
fn refused_status(written: &[u8]) -> Option<StatusCode> {
    if written.len() > MAX_REFUSAL_LENGTH || !written.starts_with(b"HTTP/1.") {
        return None;
    }
    let head = std::str::from_utf8(written).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?;
    let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
    // The answers of handlers have an X-Request-Id.
    let mut is_empty = false;
    for line in lines {
        match line.split_once(": ")? {
            ("content-length", "0") => is_empty = true,
            ("connection" | "date", _) => {}
            _ => return None,
        }
    }
    (is_empty && STATUSES.contains(&status)).then_some(status)
}

/// The refusal with its headers and body.
fn completed(written: &[u8], refusal: &ErrorAnswer) -> Vec<u8> {
    let head = String::from_utf8_lossy(written);
    let mut answer = String::with_capacity(512);
    let kept = head.split("\r\n").filter(|line| {
        !line.is_empty() && !line.starts_with("content-length") && !line.starts_with("connection")
    });
    for line in kept {
        answer.push_str(line);
        answer.push_str("\r\n");
    }
    answer.push_str(&format!("content-length: {}\r\n", refusal.body.len()));
    answer.push_str("connection: close\r\n");
    answer.push_str(&refusal.headers);
    answer.push_str("\r\n");
    answer.push_str(&refusal.body);
    answer.into_bytes()
}

/// The counters of refusals, registered at first use, after the recorder.
fn counters() -> &'static [Counter; STATUSES.len()] {
    static COUNTERS: OnceLock<[Counter; STATUSES.len()]> = OnceLock::new();
    COUNTERS.get_or_init(|| {
        STATUSES.map(|status| {
            let status = status.as_str().to_owned();
            metrics::counter!("nexo_http_parse_errors_total", "status" => status)
        })
    })
}

fn count(status: StatusCode) {
    if let Some(index) = STATUSES.iter().position(|known| *known == status) {
        counters()[index].increment(1);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ErrorCompleter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ErrorCompleter<S> {
    /// Writes a refusal completely before it reports anything as written: the server closes the connection right
    /// after that.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.refusal.is_none() {
            let Some(status) = refused_status(buffer) else {
                return Pin::new(&mut this.stream).poll_write(context, buffer);
            };
            count(status);
            this.refusal = Some((completed(buffer, &(this.complete)(status)), 0));
        }
        while let Some((answer, written)) = &mut this.refusal {
            let rest = &answer[*written..];
            if rest.is_empty() {
                this.refusal = None;
                break;
            }
            match ready!(Pin::new(&mut this.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => *written += sent,
            }
        }
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Registers the counters at 0: Prometheus sees no increase from a missing series.
pub fn register_counters() {
    let _ = counters();
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: Mon, 30 Nov 2026 00:00:00 GMT\r\n\r\n";

    #[test]
    fn only_a_bare_refusal_is_recognised() {
        assert_eq!(refused_status(BARE.as_bytes()), Some(StatusCode::BAD_REQUEST));
        for other in [
            "",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-request-id: 1\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            &format!("{BARE}{BARE}"),
            &format!("x{BARE}"),
        ] {
            assert_eq!(refused_status(other.as_bytes()), None, "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_completed_and_everything_else_is_written_unchanged() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let complete: Complete = |status| ErrorAnswer {
            headers: "x-request-id: 1\r\n".to_owned(),
            body: format!("{{\"status\":{}}}", status.as_u16()),
        };
        // The pipe takes a few bytes at a time.
        let (ours, mut theirs) = tokio::io::duplex(7);
        let mut connection = ErrorCompleter::new(ours, complete);
        let writing = tokio::spawn(async move {
            connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            connection.write_all(BARE.as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
        });
        let mut received = String::new();
        theirs.read_to_string(&mut received).await.unwrap();
        writing.await.unwrap();
        assert_eq!(
            received,
            "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\n\
             date: Mon, 30 Nov 2026 00:00:00 GMT\r\ncontent-length: 14\r\nconnection: close\r\n\
             x-request-id: 1\r\n\r\n{\"status\":400}"
        );
    }
}
