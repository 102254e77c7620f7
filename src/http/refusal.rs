//! The answer to a connection that is not admitted. Its request is not read as such, so it has no effect.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::limits::{Reason, Refusal};

/// How long a client may take to read the answer and close the connection.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The value of `Retry-After`, in seconds.
const RETRY_AFTER: u32 = 1;

/// Supabase repeats a request at once on any `Retry-After`, so its hooks never get one.
const WITHOUT_RETRY_AFTER: &[u8] = b"POST /api/v1/hooks/supabase/";
/// How long the first bytes of a request may take to arrive, to see whether it is such a hook.
const PEEK_TIMEOUT: Duration = Duration::from_millis(100);

/// Answers 503 and waits until the client has read it. Closes at once if there are too many refusals already.
pub(super) async fn answer(mut stream: TcpStream, refusal: &Refusal) {
    if !refusal.has_answer {
        return;
    }
    let text = response(refusal.reason, !is_supabase_hook(&stream).await);
    let exchange = async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with unread bytes resets the connection, and the client might lose the answer.
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    // The client may be gone.
    let _ = tokio::time::timeout(TIMEOUT, exchange).await;
}

/// Whether the request that has arrived is a hook of Supabase. Nothing of it is taken.
async fn is_supabase_hook(stream: &TcpStream) -> bool {
    let mut start = [0; WITHOUT_RETRY_AFTER.len()];
    let peeked = tokio::time::timeout(PEEK_TIMEOUT, stream.peek(&mut start)).await;
    matches!(peeked, Ok(Ok(_))) && start == WITHOUT_RETRY_AFTER
}

fn response(reason: Reason, has_retry_after: bool) -> String {
    let message = match reason {
        Reason::Total => "The gateway has too many open connections. Try again in a second.",
        Reason::Address => {
            "Your address has too many open connections. Reuse or close some, then try again."
        }
    };
    let body = json!({ "ok": false, "error": "overloaded", "message": message }).to_string();
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let retry_after = match has_retry_after {
        true => format!("Retry-After: {RETRY_AFTER}\r\n"),
        false => String::new(),
    };
    format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: application/json\r\n\
         Content-Length: {}\r\n\
         {retry_after}\
         X-Request-Id: {}\r\n\
         Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Connection: close\r\n\r\n{body}",
        body.len(),
        uuid::Uuid::new_v4(),
    )
}
