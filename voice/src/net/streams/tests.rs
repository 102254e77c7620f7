use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::tls::TlsFiles;
use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

struct Scene {
    streams: Streams,
    news: Receiver<StreamEvent>,
    listen: SocketAddr,
}

fn free_address() -> SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

impl Scene {
    fn new() -> Scene {
        let listen = free_address();
        let (tell, news) = channel();
        let tell = Mutex::new(tell);
        let events = move |event| {
            let _ = tell.lock().unwrap().send(event);
        };
        let streams = Streams::start(listen, Box::new(events)).unwrap();
        streams.set_peers([IpAddr::from([127, 0, 0, 1])].into());
        Scene {
            streams,
            news,
            listen,
        }
    }

    fn send(&self, to: Hop, token: u64) {
        let bytes = message(&format!("{token}")).into();
        self.streams.send(to, Some(token), bytes);
    }

    fn next(&self) -> StreamEvent {
        self.news.recv_timeout(PATIENCE).expect("news")
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
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read(stream: &mut impl Read, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn one_connection_carries_everything_both_ways_and_leaves_from_our_port() {
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

#[test]
fn a_connection_that_was_closed_is_opened_anew_and_nothing_is_sent_twice() {
    let scene = Scene::new();
    let (listener, hop) = far_end();
    for token in 1..=3 {
        scene.send(hop, token);
        let mut stream = accept(&listener);
        let expected = message(&format!("{token}"));
        assert_eq!(read(&mut stream, expected.len()), expected);
        drop(stream);
        // Its end is seen before the next message: what was written into a closed one would be lost.
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn what_cannot_be_sent_is_told_once_with_its_token() {
    let scene = Scene::new();
    let address = free_address();
    let transport = Transport::Tcp;
    scene.send(Hop { transport, address }, 7);
    assert_eq!(scene.failed(), Some(7));
    let transport = Transport::Tls;
    scene.send(Hop { transport, address }, 8);
    assert_eq!(
        scene.failed(),
        Some(8),
        "nobody said how TLS is spoken there"
    );
    assert!(scene.news.recv_timeout(Duration::from_millis(200)).is_err());
}

#[test]
fn garbage_closes_the_connection_and_the_next_message_opens_another() {
    let scene = Scene::new();
    let (listener, hop) = far_end();
    scene.send(hop, 1);
    let mut stream = accept(&listener);
    assert_eq!(read(&mut stream, message("1").len()), message("1"));
    stream
        .write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\nhello")
        .unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "then it was closed");
    scene.send(hop, 2);
    assert_eq!(
        read(&mut accept(&listener), message("2").len()),
        message("2")
    );
}

#[test]
fn gateways_may_call_us_and_strangers_may_not() {
    let scene = Scene::new();
    let mut gateway = std::net::TcpStream::connect(scene.listen).unwrap();
    gateway.set_read_timeout(Some(PATIENCE)).unwrap();
    gateway.write_all(&message("hello")).unwrap();
    let (from, text) = scene.received();
    assert_eq!(from.address, gateway.local_addr().unwrap());
    assert_eq!(text, message("hello"));
    // Its answer goes back the way it came.
    scene.send(from, 1);
    assert_eq!(read(&mut gateway, message("1").len()), message("1"));

    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let stranger: SocketAddr = "127.0.0.2:0".parse().unwrap();
    socket.bind(&stranger.into()).unwrap();
    socket.connect(&scene.listen.into()).unwrap();
    let mut stranger: std::net::TcpStream = socket.into();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stranger.write_all(&message("hello"));
    assert!(matches!(stranger.read(&mut [0; 10]), Ok(0) | Err(_)));
    assert!(scene.news.recv_timeout(Duration::from_millis(100)).is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let (listener, hop) = far_end();
    let error = Streams::start(hop.address, Box::new(|_| {})).unwrap_err();
    assert!(
        matches!(error, StreamsError::AddressInUse { .. }),
        "{error}"
    );
    assert!(error.to_string().contains(&hop.address.to_string()));
    drop(listener);
}

/// An authority, and what it has signed.
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

    /// A far end with a certificate for `name`, which wants one of ours where it says so.
    fn server(&self, name: &str, wants_client: bool) -> Arc<ServerConfig> {
        let (certificate, key) = self.sign(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match wants_client {
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

/// Sends one message by TLS; what the far end has read, or nothing where it came to no connection.
fn over_tls(server: Arc<ServerConfig>, profile: TlsProfile) -> Option<Vec<u8>> {
    let scene = Scene::new();
    let (listener, hop) = far_end();
    let hop = Hop {
        transport: Transport::Tls,
        ..hop
    };
    scene
        .streams
        .set_tls([(hop.address, Arc::new(profile))].into());
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
fn tls_is_spoken_to_the_gateway_of_the_right_name_alone() {
    let authority = Authority::new();
    for (certified, named, is_right) in [
        ("sbc.example.vn", "sbc.example.vn", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("other.example.vn", "sbc.example.vn", false),
    ] {
        let profile = TlsProfile::build(named, &authority.files()).unwrap();
        let read = over_tls(authority.server(certified, false), profile);
        assert_eq!(read.is_some(), is_right, "{certified} for {named}");
    }
    let unknown = TlsProfile::build("sbc.example.vn", &Authority::new().files()).unwrap();
    assert_eq!(
        over_tls(authority.server("sbc.example.vn", false), unknown),
        None
    );
}

#[test]
fn a_gateway_that_wants_to_know_who_we_are_is_told() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign("nexo.example.vn");
    let files = TlsFiles {
        certificate: Some(authority.file("client.pem", &certificate.pem())),
        key: Some(authority.file("client.key", &key.serialize_pem())),
        ..authority.files()
    };
    let server = || authority.server("sbc.example.vn", true);
    let profile = TlsProfile::build("sbc.example.vn", &files).unwrap();
    assert!(over_tls(server(), profile).is_some());
}

#[test]
fn a_file_that_is_none_is_named() {
    let authority = Authority::new();
    let empty = authority.file("empty.pem", "");
    let missing = authority.folder.path().join("missing.pem");
    for path in [&empty, &missing] {
        let files = TlsFiles {
            authority: Some(path.clone()),
            ..TlsFiles::default()
        };
        let error = TlsProfile::build("x", &files).unwrap_err().to_string();
        assert!(error.contains("holds no certificate"), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    let half = TlsFiles {
        key: Some(empty.clone()),
        ..authority.files()
    };
    let error = TlsProfile::build("x", &half).unwrap_err().to_string();
    assert!(error.contains("both a certificate and its key"), "{error}");
    let named = TlsProfile::build("not a name", &authority.files()).unwrap_err();
    assert!(matches!(named, tls::TlsError::Name { .. }));
}
