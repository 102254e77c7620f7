//! A mail server that stores every e-mail it receives.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// An e-mail: its recipient, and its text with headers.
#[derive(Debug, Clone)]
pub struct Email {
    pub to: String,
    pub text: String,
}

#[derive(Clone)]
pub struct Mailbox {
    address: SocketAddr,
    emails: Arc<Mutex<Vec<Email>>>,
}

impl Mailbox {
    pub fn start() -> Mailbox {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mailbox = Mailbox { address: listener.local_addr().unwrap(), emails: Arc::default() };
        let server = mailbox.clone();
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.serve(&stream));
            }
        });
        mailbox
    }

    /// The value of `[mail] smtp_url`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The part of SMTP (RFC 5321) that a sending client needs.
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
                    let email = Email { to: to.clone(), text: decoded(&text.join("\n")) };
                    self.emails.lock().unwrap().push(email);
                    say("250 kept").ok()?;
                }
                "QUIT" => return say("221 bye").ok(),
                _ => say("250 ok").ok()?,
            }
        }
    }

    /// All e-mails received so far.
    pub fn emails(&self) -> Vec<Email> {
        self.emails.lock().unwrap().clone()
    }

    /// Waits for an e-mail to this address that contains `text`, and returns the first one.
    pub async fn wait_for_text(&self, to: &str, text: &str) -> Email {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let emails = self.emails();
            let found = emails.iter().find(|email| email.to == to && email.text.contains(text));
            if let Some(email) = found {
                return email.clone();
            }
            assert!(Instant::now() < deadline, "no e-mail for {to} with {text:?}: {emails:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the e-mail number `count` to this address and returns it.
    pub async fn wait_for(&self, to: &str, count: usize) -> Email {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let emails = self.emails();
            let mut received = emails.iter().filter(|email| email.to == to);
            if let Some(email) = received.nth(count - 1) {
                return email.clone();
            }
            assert!(Instant::now() < deadline, "no e-mail for {to}: {emails:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Decodes the text of an e-mail: quoted-printable or Base64 (RFC 2045, sections 6.7 and 6.8).
fn decoded(text: &str) -> String {
    match text.split_once("\n\n") {
        Some((head, body)) if head.contains("Content-Transfer-Encoding: base64") => {
            let body = STANDARD.decode(body.replace('\n', "")).unwrap();
            let body = String::from_utf8(body).unwrap().replace("\r\n", "\n");
            format!("{head}\n\n{body}")
        }
        // Decodes only what links contain.
        _ => text.replace("=\n", "").replace("=3D", "="),
    }
}
