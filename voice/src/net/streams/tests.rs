use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::tls::TlsFiles;
use super::*;
use crate::net::shortage::had_trunk_shortage;

const TIMEOUT: Duration = Duration::from_secs(10);

struct Scene {
    streams: Streams,
    events: Receiver<StreamEvent>,
    listen: SocketAddr,
}

fn free_address() -> SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

impl Scene {
    fn new() -> Scene {
        let listen = free_address();
        let (sender, events) = channel();
        let sender = Mutex::new(sender);
        let on_event = move |event| {
            let _ = sender.lock().unwrap().send(event);
        };
        let streams = Streams::start(listen, Box::new(on_event)).unwrap();
        streams.set_peers([IpAddr::from([127, 0, 0, 1])].into());
        Scene { streams, events, listen }
    }

    fn send(&self, to: Hop, token: u64) {
        let bytes = message(&format!("{token}")).into();
        self.streams.send(to, Some(token), bytes);
    }

    fn next(&self) -> StreamEvent {
        self.events.recv_timeout(TIMEOUT).expect("an event")
    }

    fn received(&self) -> (Hop, Vec<u8>) {
        match self.next() {
            StreamEvent::Received { from, message } => (from, message),
            StreamEvent::Failed { token } => panic!("{token:?} failed"),
        }
    }

    fn failed(&self) -> Option<u64> {
        match self.next() {
            StreamEvent::Failed { token } => token,
            StreamEvent::Received { .. } => panic!("a message"),
        }
    }
}

fn message(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("BYE sip:x SIP/2.0\r\nVia: x\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn far_end() -> (std::net::TcpListener, Hop) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let transport = Transport::Tcp;
    (listener, Hop { transport, address })
}

fn accept(listener: &std::net::TcpListener) -> std::net::TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

fn read(stream: &mut impl Read, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn one_connection_from_our_port_carries_messages_in_both_directions() {
    let scene = Scene::new();
    let (listener, hop) = far_end();
    for token in 1..=3 {
        scene.send(hop, token);
    }
    let mut stream = accept(&listener);
    assert_eq!(stream.peer_addr().unwrap(), scene.listen);
    for token in 1..=3 {
        let expected = message(&format!("{token}"));
        assert_eq!(read(&mut stream, expected.len()), expected);
    }
    stream.write_all(&message("back")).unwrap();
    assert_eq!(scene.received(), (hop, message("back")));
    stream.write_all(b"\r\n\r\n").unwrap();
    assert_eq!(read(&mut stream, 2), b"\r\n", "a pong");
}

/// Limits the open files of this process. nextest runs each test in a process of its own.
fn limit_files(soft: u64) -> u64 {
    let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    before
}

#[test]
fn a_message_waits_while_this_host_has_no_descriptor() {
    let scene = Scene::new();
    let (listener, hop) = far_end();
    let before = limit_files(3);
    scene.send(hop, 1);
    let deadline = std::time::Instant::now() + TIMEOUT;
    while !had_trunk_shortage(TIMEOUT) {
        assert!(std::time::Instant::now() < deadline, "no shortage");
        thread::sleep(Duration::from_millis(1));
    }
    limit_files(before);
    let mut stream = accept(&listener);
    let expected = message("1");
    assert_eq!(read(&mut stream, expected.len()), expected);
    assert!(scene.events.try_recv().is_err(), "reported as failed");
}

#[test]
fn a_lasting_shortage_fails_the_message_and_is_no_fault_of_the_gateway() {
    let scene = Scene::new();
    let (listener, hop) = far_end();
    let before = limit_files(3);
    scene.send(hop, 7);
    assert_eq!(scene.failed(), Some(7));
    assert!(had_trunk_shortage(TIMEOUT));
    limit_files(before);
    drop(listener);
}

#[test]
fn a_closed_connection_is_reopened_and_nothing_is_sent_twice() {
    let scene = Scene::new();
    let (listener, hop) = far_end();
    for token in 1..=3 {
        scene.send(hop, token);
        let mut stream = accept(&listener);
        let expected = message(&format!("{token}"));
        assert_eq!(read(&mut stream, expected.len()), expected);
        drop(stream);
        // The end must be noticed before the next message, which would be lost otherwise.
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_message_that_cannot_be_sent_is_reported_once_with_its_token() {
    let scene = Scene::new();
    let address = free_address();
    let transport = Transport::Tcp;
    scene.send(Hop { transport, address }, 7);
    assert_eq!(scene.failed(), Some(7));
    let transport = Transport::Tls;
    scene.send(Hop { transport, address }, 8);
    assert_eq!(scene.failed(), Some(8), "there is no TLS profile for this gateway");
    assert!(scene.events.recv_timeout(Duration::from_millis(200)).is_err());
}

#[test]
fn garbage_closes_the_connection_and_the_next_message_opens_another() {
    let scene = Scene::new();
    let (listener, hop) = far_end();
    scene.send(hop, 1);
    let mut stream = accept(&listener);
    assert_eq!(read(&mut stream, message("1").len()), message("1"));
    stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\nhello").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "the connection is closed");
    scene.send(hop, 2);
    assert_eq!(read(&mut accept(&listener), message("2").len()), message("2"));
}

#[test]
fn only_gateways_may_connect_to_us() {
    let scene = Scene::new();
    let mut gateway = std::net::TcpStream::connect(scene.listen).unwrap();
    gateway.set_read_timeout(Some(TIMEOUT)).unwrap();
    gateway.write_all(&message("hello")).unwrap();
    let (from, text) = scene.received();
    assert_eq!(from.address, gateway.local_addr().unwrap());
    assert_eq!(text, message("hello"));
    // The response uses the same connection.
    scene.send(from, 1);
    assert_eq!(read(&mut gateway, message("1").len()), message("1"));

    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let stranger: SocketAddr = "127.0.0.2:0".parse().unwrap();
    socket.bind(&stranger.into()).unwrap();
    socket.connect(&scene.listen.into()).unwrap();
    let mut stranger: std::net::TcpStream = socket.into();
    stranger.set_read_timeout(Some(TIMEOUT)).unwrap();
    let _ = stranger.write_all(&message("hello"));
    assert!(matches!(stranger.read(&mut [0; 10]), Ok(0) | Err(_)));
    assert!(scene.events.recv_timeout(Duration::from_millis(100)).is_err());
}

#[tokio::test]
async fn a_port_in_use_is_named_in_the_error() {
    let (listener, hop) = far_end();
    let error = Streams::start(hop.address, Box::new(|_| {})).unwrap_err();
    assert!(matches!(error, StreamsError::AddressInUse { .. }), "{error}");
    assert!(error.to_string().contains(&hop.address.to_string()));
    drop(listener);
}

/// A certificate authority with the files it issued.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Authority {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            authority: Some(self.file("ca.pem", &self.issuer.pem())),
            certificate: None,
            key: None,
        }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// The configuration of a server with a certificate for `name`.
    fn server(&self, name: &str, requires_client_certificate: bool) -> Arc<ServerConfig> {
        let (certificate, key) = self.sign(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match requires_client_certificate {
            false => builder.with_no_client_auth(),
            true => {
                let mut roots = RootCertStore::empty();
                roots.add(self.issuer.der().clone()).unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                    roots.into(),
                    provider,
                );
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![certificate.der().clone()];
        builder.with_single_cert(chain, key).unwrap().into()
    }
}

/// Sends one message over TLS. Returns what the far end read, or `None` if the handshake failed.
fn send_over_tls(server: Arc<ServerConfig>, profile: TlsProfile) -> Option<Vec<u8>> {
    let scene = Scene::new();
    let (listener, hop) = far_end();
    let hop = Hop { transport: Transport::Tls, ..hop };
    scene.streams.set_tls([(hop.address, Arc::new(profile))].into());
    scene.send(hop, 1);
    let stream = accept(&listener);
    let mut stream = StreamOwned::new(ServerConnection::new(server).unwrap(), stream);
    let mut bytes = vec![0; message("1").len()];
    let read = stream.read_exact(&mut bytes);
    match read {
        Ok(()) => {
            stream.write_all(&message("2")).unwrap();
            assert_eq!(scene.received(), (hop, message("2")));
            Some(bytes)
        }
        Err(_) => {
            assert_eq!(scene.failed(), Some(1));
            None
        }
    }
}

#[test]
fn tls_connects_only_if_the_certificate_is_trusted_and_has_the_right_name() {
    let authority = Authority::new();
    for (certified, named, is_right) in [
        ("sbc.example.vn", "sbc.example.vn", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("other.example.vn", "sbc.example.vn", false),
    ] {
        let profile = TlsProfile::build(named, &authority.files()).unwrap();
        let read = send_over_tls(authority.server(certified, false), profile);
        assert_eq!(read.is_some(), is_right, "{certified} for {named}");
    }
    let unknown = TlsProfile::build("sbc.example.vn", &Authority::new().files()).unwrap();
    assert_eq!(send_over_tls(authority.server("sbc.example.vn", false), unknown), None);
}

#[test]
fn a_gateway_that_requires_a_client_certificate_receives_it() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("nexo.example.vn");
    let files = TlsFiles {
        certificate: Some(authority.file("client.pem", &certificate.pem())),
        key: Some(authority.file("client.key", &key.serialize_pem())),
        ..authority.files()
    };
    let server = || authority.server("sbc.example.vn", true);
    let profile = TlsProfile::build("sbc.example.vn", &files).unwrap();
    assert!(send_over_tls(server(), profile).is_some());
}

#[test]
fn an_invalid_file_is_named_in_the_error() {
    let authority = Authority::new();
    let empty = authority.file("empty.pem", "");
    let missing = authority.folder.path().join("missing.pem");
    for (path, reason) in [(&empty, "contains no certificate"), (&missing, "cannot read ")] {
        let files = TlsFiles { authority: Some(path.clone()), ..TlsFiles::default() };
        let error = TlsProfile::build("x", &files).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    let half = TlsFiles { key: Some(empty.clone()), ..authority.files() };
    let error = TlsProfile::build("x", &half).unwrap_err().to_string();
    assert!(error.contains("both the certificate and its key"), "{error}");
    let named = TlsProfile::build("not a name", &authority.files()).unwrap_err();
    assert!(matches!(named, tls::TlsError::Name { .. }));
}
