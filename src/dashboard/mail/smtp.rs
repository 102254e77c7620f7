//! The configured mail server: resolves its name, and sends e-mails to it, a few at a time.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use nexo_actors::dns::Resolver;
use nexo_voice::net::shortage::Shortage;
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use url::Url;

const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// The most connections at a time. Each takes a file descriptor.
const MAX_CONNECTIONS: usize = 8;
/// The first delay after a shortage of this host. Doubles each time.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The most attempts, over about four minutes: the links in e-mails expire.
const MAX_ATTEMPTS: u32 = 9;

/// A mail server.
pub(super) struct SmtpServer {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    hello_name: Option<ClientId>,
    resolver: Resolver,
    connections: Semaphore,
}

impl SmtpServer {
    /// Reads a URL as lettre does: `smtps://USER:PASSWORD@HOST`, or `smtp://HOST:587?tls=required`.
    ///
    /// # Errors
    /// If the URL is not that of an SMTP server.
    pub fn new(url: &str, resolver: Resolver) -> anyhow::Result<SmtpServer> {
        let url = Url::parse(url)?;
        let host = url.host_str().context("the URL has no host")?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let tls = url.query_pairs().find(|(key, _)| key == "tls");
        let tls = tls.map(|(_, value)| value.into_owned());
        let parameters = || TlsParameters::new(host.clone());
        let (default_port, tls) = match (url.scheme(), tls.as_deref()) {
            ("smtp", None) => (25, Tls::None),
            ("smtp", Some("required")) => (587, Tls::Required(parameters()?)),
            ("smtp", Some("opportunistic")) => (587, Tls::Opportunistic(parameters()?)),
            ("smtps", _) => (465, Tls::Wrapper(parameters()?)),
            _ => bail!("the scheme is not smtp or smtps, or tls is not required or opportunistic"),
        };
        let decoded = |text: &str| -> anyhow::Result<String> {
            Ok(percent_decode_str(text).decode_utf8()?.into_owned())
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decoded(url.username())?, decoded(password)?)),
            None => None,
        };
        let name = url.path().trim_matches('/');
        Ok(SmtpServer {
            port: url.port().unwrap_or(default_port),
            tls,
            credentials,
            hello_name: (!name.is_empty()).then(|| ClientId::Domain(name.to_owned())),
            host,
            resolver,
            connections: Semaphore::new(MAX_CONNECTIONS),
        })
    }

    /// Sends an e-mail. Repeats the attempt while this host lacks a descriptor, port or memory for it.
    ///
    /// # Errors
    /// The error of the server or the connection.
    pub async fn send(&self, message: &Message) -> anyhow::Result<()> {
        let mut delay = MIN_RETRY_DELAY;
        for _ in 1..MAX_ATTEMPTS {
            match self.try_send(message).await {
                Err(error) => match Shortage::of(error.as_ref()) {
                    Some(shortage) => shortage.count("mail"),
                    None => return Err(error),
                },
                Ok(()) => return Ok(()),
            }
            tokio::time::sleep(delay).await;
            delay *= 2;
        }
        self.try_send(message).await
    }

    async fn try_send(&self, message: &Message) -> anyhow::Result<()> {
        let _connection = self.connections.acquire().await?;
        let addresses = self.resolver.lookup(&self.host).await?;
        let mut addresses = addresses.iter().peekable();
        while let Some(address) = addresses.next() {
            let sent = self.transport(*address).send(message.clone()).await;
            match sent {
                Ok(_) => return Ok(()),
                // The next address is tried only if there was no connection: the e-mail must not be sent twice.
                Err(error) if addresses.peek().is_some() && has_no_connection(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bail!("the mail server has no address")
    }

    /// The server by its address, so that lettre does not resolve the name. TLS still verifies the name.
    fn transport(&self, address: IpAddr) -> AsyncSmtpTransport<Tokio1Executor> {
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.to_string())
                .port(self.port)
                .tls(self.tls.clone())
                .timeout(Some(SEND_TIMEOUT));
        if let Some(credentials) = &self.credentials {
            transport = transport.credentials(credentials.clone());
        }
        if let Some(name) = &self.hello_name {
            transport = transport.hello_name(name.clone());
        }
        transport.build()
    }
}

/// Whether the error says that there was no connection.
fn has_no_connection(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let mut kinds = causes.filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    kinds.any(|kind| {
        matches!(
            kind,
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
        )
    })
}
