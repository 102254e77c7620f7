//! HTTP without a client library: exact bytes are sent, and exact bytes are received.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer as it was received.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// Everything behind the head.
    pub body: Vec<u8>,
}

impl RawAnswer {
    /// The value of a header; empty without one.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Sends these bytes to the server of a URL and reads until the server closes the connection.
pub fn exchange(url: &str, bytes: &[u8]) -> RawAnswer {
    let address = url.strip_prefix("http://").unwrap();
    let address = address.split('/').next().unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    let timeout = Duration::from_secs(30);
    connection.set_read_timeout(Some(timeout)).unwrap();
    // The server may refuse and close before it has read everything.
    let _ = connection.write_all(bytes);
    let mut received = Vec::new();
    let mut buffer = [0; 65_536];
    while let Ok(length) = connection.read(&mut buffer) {
        if length == 0 {
            break;
        }
        received.extend_from_slice(&buffer[..length]);
    }
    parse(&received)
}

/// Sends one request without a body, with these additional header lines.
pub fn request(url: &str, method: &str, path: &str, headers: &[String]) -> RawAnswer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
    for line in headers {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    exchange(url, head.as_bytes())
}

fn parse(received: &[u8]) -> RawAnswer {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n");
    let text = String::from_utf8_lossy(received);
    let end = end.unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    });
    RawAnswer {
        status: status.parse().unwrap(),
        headers: headers.collect(),
        body: received[end + 4..].to_vec(),
    }
}
