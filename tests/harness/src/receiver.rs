//! A receiver of webhooks.

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// A received webhook.
#[derive(Clone, Debug)]
pub struct Hook {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Hook {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A webhook receiver on a free port that answers 200 to everything.
pub struct Receiver {
    pub address: SocketAddr,
    holds_answers: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    hooks: std::sync::mpsc::Receiver<Hook>,
}

impl Receiver {
    pub fn start() -> Receiver {
        let listener = TcpListener::bind((IpAddr::from([127, 0, 0, 1]), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, hooks) = std::sync::mpsc::channel();
        let holds_answers = Arc::new(AtomicBool::new(false));
        let thread_holds = Arc::clone(&holds_answers);
        let connections = Arc::new(Mutex::new(Vec::new()));
        let opened = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                opened.lock().unwrap().push(stream.try_clone().unwrap());
                let (sender, holds_answers) = (sender.clone(), Arc::clone(&thread_holds));
                std::thread::spawn(move || receive(stream, &sender, &holds_answers));
            }
        });
        Receiver { address, holds_answers, connections, hooks }
    }

    /// Sets whether webhooks from now on get no response.
    pub fn hold_answers(&self, hold: bool) {
        self.holds_answers.store(hold, Ordering::Relaxed);
    }

    /// Closes all connections.
    pub fn close_connections(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn next(&self) -> Hook {
        self.hooks.recv_timeout(Duration::from_secs(70)).expect("a webhook within 70 s")
    }

    pub fn try_next(&self) -> Option<Hook> {
        self.hooks.try_recv().ok()
    }
}

fn receive(
    mut stream: std::net::TcpStream,
    sender: &std::sync::mpsc::Sender<Hook>,
    holds_answers: &AtomicBool,
) {
    use std::io::Write;

    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut headers = Vec::new();
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim().split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
                None => break,
            }
        }
        let mut hook = Hook { headers, body: String::new() };
        let length: usize = hook.header("content-length").parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        hook.body = String::from_utf8(body).unwrap();
        if !holds_answers.load(Ordering::Relaxed) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        if sender.send(hook).is_err() {
            return;
        }
    }
}
