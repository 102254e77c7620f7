//! A mail server that keeps every letter it is given.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A letter: who it is for, and its text with its headers.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub to: String,
    pub text: String,
}

#[derive(Clone)]
pub struct Mailbox {
    address: SocketAddr,
    letters: Arc<Mutex<Vec<Arrived>>>,
}

impl Mailbox {
    pub fn start() -> Mailbox {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mailbox = Mailbox {
            address: listener.local_addr().unwrap(),
            letters: Arc::default(),
        };
        let its = mailbox.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let its = its.clone();
                std::thread::spawn(move || its.serve(&stream));
            }
        });
        mailbox
    }

    /// What `[mail] smtp_url` says.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// SMTP (RFC 5321) as far as a client that only delivers needs it.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream).lines();
        let say = |text: &str| (&mut &*stream).write_all(format!("{text}\r\n").as_bytes());
        say("220 mailbox").ok()?;
        let mut to = String::new();
        loop {
            let line = lines.next()?.ok()?;
            let verb = line.split([' ', ':']).next()?.to_ascii_uppercase();
            match verb.as_str() {
                "RCPT" => {
                    to = line.split(['<', '>']).nth(1)?.to_owned();
                    say("250 ok").ok()?;
                }
                "DATA" => {
                    say("354 go on").ok()?;
                    let body = lines.by_ref().map_while(Result::ok);
                    let text: Vec<String> = body.take_while(|line| line != ".").collect();
                    let letter = Arrived {
                        to: to.clone(),
                        text: decoded(&text.join("\n")),
                    };
                    self.letters.lock().unwrap().push(letter);
                    say("250 kept").ok()?;
                }
                "QUIT" => return say("221 bye").ok(),
                _ => say("250 ok").ok()?,
            }
        }
    }

    /// Everything that has come.
    pub fn letters(&self) -> Vec<Arrived> {
        self.letters.lock().unwrap().clone()
    }

    /// The latest letter for this address, once `count` have come for it.
    pub async fn wait_for(&self, to: &str, count: usize) -> Arrived {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let letters = self.letters();
            let mut its = letters.iter().filter(|letter| letter.to == to);
            if let Some(letter) = its.nth(count - 1) {
                return letter.clone();
            }
            assert!(Instant::now() < until, "no letter for {to}: {letters:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A letter's text, encoded for the way by either means of RFC 2045 (sections 6.7, 6.8).
fn decoded(text: &str) -> String {
    match text.split_once("\n\n") {
        Some((head, body)) if head.contains("Content-Transfer-Encoding: base64") => {
            let body = STANDARD.decode(body.replace('\n', "")).unwrap();
            let body = String::from_utf8(body).unwrap().replace("\r\n", "\n");
            format!("{head}\n\n{body}")
        }
        // As far as links need it.
        _ => text.replace("=\n", "").replace("=3D", "="),
    }
}
