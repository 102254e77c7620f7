//! A webhook receiver in the test's own process. It outlives every kill and counts the POSTs received.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The maximum response time, so that kills interrupt POSTs in progress.
const MAX_RESPONSE_MS: u64 = 150;

/// The number of POSTs received per attempt and per delivery.
#[derive(Clone, Default)]
pub struct Posts {
    pub by_attempt: HashMap<String, usize>,
    pub by_delivery: HashMap<String, usize>,
}

pub struct Receiver {
    address: SocketAddr,
    posts: Arc<Mutex<Posts>>,
}

impl Receiver {
    pub fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let posts = Arc::new(Mutex::new(Posts::default()));
        let counted = Arc::clone(&posts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let posts = Arc::clone(&counted);
                // A connection closed by the gateway's death ends the loop; POSTs already received stay
                // counted.
                std::thread::spawn(move || while handle_post(&stream, &posts).is_some() {});
            }
        });
        Receiver { address, posts }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn posts(&self) -> Posts {
        self.posts.lock().unwrap().clone()
    }
}

/// Reads one POST and answers it. Returns `None` if the connection is closed.
fn handle_post(mut stream: &TcpStream, posts: &Mutex<Posts>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut attempt, mut delivery, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.trim().split_once(':') else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-nexo-attempt-id" => value.trim().clone_into(&mut attempt),
            "x-nexo-delivery-id" => value.trim().clone_into(&mut delivery),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    let mut hasher = DefaultHasher::new();
    attempt.hash(&mut hasher);
    {
        let mut posts = posts.lock().unwrap();
        *posts.by_attempt.entry(attempt).or_default() += 1;
        *posts.by_delivery.entry(delivery).or_default() += 1;
    }
    std::thread::sleep(Duration::from_millis(hasher.finish() % MAX_RESPONSE_MS));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()
}
