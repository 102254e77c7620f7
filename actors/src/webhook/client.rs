//! Sends one signed POST to one endpoint, if the endpoint's address is allowed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nexo_domain::ids::{DeliveryId, WebhookAttemptId};
use nexo_domain::webhook::HashedSecret;
use nexo_domain::webhook::target::is_public;
use nexo_voice::net::shortage::Shortage;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use thiserror::Error;
use url::{Host, Url};
use uuid::Uuid;

use crate::clock;
use crate::dns::{DnsError, Resolver};

/// The most bytes of a response body that are read.
pub const MAX_READ: usize = 64 * 1024;
/// The most bytes of a response body that are stored with the attempt.
pub const MAX_STORED: usize = 1024;
const USER_AGENT: &str = "NEXO-ROUTE/1.0";
/// Connections kept open for the next webhook to the same host, and for how long.
const MAX_IDLE_PER_HOST: usize = 4;
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Which targets are allowed in addition to `https` on public addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TargetRules {
    pub allow_private: bool,
    pub allow_http: bool,
}

/// Why a target is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    #[error("the URL is not absolute, such as https://example.com/hooks")]
    Malformed,
    #[error("the URL must be https (webhooks.allow_http allows http for development)")]
    NotHttps,
    #[error("the URL carries a user name or password")]
    Credentials,
    #[error(
        "the host is not on a public address (webhooks.allow_private allows others for development)"
    )]
    NotPublic,
    #[error(transparent)]
    Dns(#[from] DnsError),
}

impl TargetRules {
    /// Checks the URL itself: its scheme, and its host if that is an IP address.
    pub fn check(self, url: &str) -> Result<Url, TargetError> {
        let url = Url::parse(url).map_err(|_| TargetError::Malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ => return Err(TargetError::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        let literal = match url.host() {
            None => return Err(TargetError::Malformed),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        };
        match literal {
            Some(address) if !self.allows(address) => Err(TargetError::NotPublic),
            Some(_) | None => Ok(url),
        }
    }

    /// Checks the URL, and every address that its host name currently resolves to.
    pub async fn check_resolved(self, url: &str, resolver: &Resolver) -> Result<Url, TargetError> {
        let url = self.check(url)?;
        if let Some(Host::Domain(name)) = url.host() {
            let addresses = resolver.lookup(name).await?;
            if !addresses.iter().all(|address| self.allows(*address)) {
                return Err(TargetError::NotPublic);
            }
        }
        Ok(url)
    }

    fn allows(self, address: IpAddr) -> bool {
        self.allow_private || is_public(address)
    }
}

/// Resolves a name to the addresses that are allowed. The connection uses exactly these addresses, which prevents
/// DNS rebinding between the check and the connection.
struct CheckedResolver {
    rules: TargetRules,
    resolver: Resolver,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, resolver) = (self.rules, self.resolver.clone());
        Box::pin(async move {
            let found = resolver.lookup(name.as_str()).await?;
            let allowed = found.iter().filter(|address| rules.allows(**address));
            // The port is that of the URL.
            let found: Vec<SocketAddr> = allowed.map(|ip| SocketAddr::new(*ip, 0)).collect();
            if found.is_empty() {
                return Err(TargetError::NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// One webhook to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub attempt_id: WebhookAttemptId,
    pub delivery_id: DeliveryId,
    /// The same for all attempts of an event, so that a receiver recognises one that it has had.
    pub event_id: Uuid,
    pub url: String,
    pub secret: HashedSecret,
    /// The previous secret, for a receiver that still uses it.
    pub old_secret: Option<HashedSecret>,
    pub event_type: String,
    /// The exact bytes that are signed and sent.
    pub body: String,
}

/// The result of one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub status_code: Option<u16>,
    pub duration: Duration,
    /// The first [`MAX_STORED`] bytes of the response body, as text.
    pub head: Option<String>,
    /// Why there is no response, or no successful one.
    pub error: Option<String>,
    /// What this host lacked for the connection. Nothing was sent then, and the POST must be repeated later.
    pub shortage: Option<Shortage>,
}

impl Sent {
    /// Whether the receiver answered with a 2xx status.
    pub fn is_delivered(&self) -> bool {
        self.error.is_none()
    }
}

/// Sends webhooks. Cheap to clone. Clones share the connections.
#[derive(Clone)]
pub struct WebhookClient {
    http: Client,
    rules: TargetRules,
    timeout: Duration,
}

/// The HTTP client could not be created: no usable TLS roots.
#[derive(Debug, Error)]
#[error("the webhook client could not be created")]
pub struct ClientError(#[from] reqwest::Error);

impl WebhookClient {
    /// `timeout` covers name resolution, connecting, TLS and the response head.
    pub fn new(
        rules: TargetRules,
        timeout: Duration,
        resolver: Resolver,
    ) -> Result<Self, ClientError> {
        // Another part of the process may have installed the same provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(CheckedResolver { rules, resolver }))
            // An idle connection occupies a descriptor.
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()?;
        Ok(Self { http, rules, timeout })
    }

    /// Sends once. The result includes all errors.
    pub async fn send(&self, outgoing: &Outgoing) -> Sent {
        let started = Instant::now();
        let sent = |status_code, head, error: Option<String>| Sent {
            status_code,
            duration: started.elapsed(),
            head,
            error,
            shortage: None,
        };
        let url = match self.rules.check(&outgoing.url) {
            Ok(url) => url,
            Err(error) => return sent(None, None, Some(error.to_string())),
        };
        let deadline = tokio::time::Instant::from_std(started + self.timeout);
        let request = self.request(url, outgoing);
        let response = match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                // Only a request without a connection has certainly not been sent.
                let shortage = error.is_connect().then(|| Shortage::of(&error)).flatten();
                let sent = sent(None, None, Some(describe(&error)));
                return Sent { shortage, ..sent };
            }
            Err(_) => {
                let error = format!("no answer within {} ms", self.timeout.as_millis());
                return sent(None, None, Some(error));
            }
        };
        let status = response.status();
        let duration = started.elapsed();
        // The status decides. The body is read only for the record, for at most the same time again.
        let read_until = tokio::time::Instant::now() + self.timeout;
        let head = read_head(response, read_until).await;
        let error = (!status.is_success()).then(|| match status.is_redirection() {
            true => "redirects are not followed".to_owned(),
            false => format!("answered {}", status.as_u16()),
        });
        Sent { duration, ..sent(Some(status.as_u16()), Some(head), error) }
    }

    fn request(&self, url: Url, outgoing: &Outgoing) -> reqwest::RequestBuilder {
        let body = outgoing.body.as_bytes();
        let id = outgoing.event_id.to_string();
        let timestamp = clock::unix_ms() / 1000;
        let secrets = [Some(&outgoing.secret), outgoing.old_secret.as_ref()];
        // Standard Webhooks: one valid signature of the list is enough.
        let standard: Vec<String> = secrets
            .into_iter()
            .flatten()
            .map(|secret| secret.sign_standard(&id, timestamp, body))
            .map(|signature| format!("v1,{}", STANDARD.encode(signature)))
            .collect();
        let mut request = self.http.post(url);
        if let Some(old) = &outgoing.old_secret {
            request = request.header("X-NEXO-Signature-Previous", old.sign(body));
        }
        request
            .header("Content-Type", "application/json")
            .header("X-NEXO-Signature", outgoing.secret.sign(body))
            .header("X-NEXO-Event-Type", &outgoing.event_type)
            .header("X-NEXO-Delivery-Id", outgoing.delivery_id.to_string())
            .header("X-NEXO-Attempt-Id", outgoing.attempt_id.to_string())
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", standard.join(" "))
            .body(outgoing.body.clone())
    }
}

async fn read_head(mut response: Response, until: tokio::time::Instant) -> String {
    let mut kept = Vec::new();
    let mut read = 0;
    while read < MAX_READ {
        match tokio::time::timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                read += chunk.len();
                let room = MAX_STORED - kept.len();
                kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            Ok(Ok(None) | Err(_)) | Err(_) => break,
        }
    }
    // PostgreSQL's text type cannot hold NUL.
    String::from_utf8_lossy(&kept).replace('\0', "\u{fffd}")
}

/// The cause in a few words, without the URL, which may contain secrets of the customer.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match error.is_connect() {
        true => format!("could not connect: {cause}"),
        false => format!("the connection failed: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: TargetRules = TargetRules { allow_private: false, allow_http: false };

    #[test]
    fn only_https_on_public_addresses_is_allowed() {
        for (url, error) in [
            ("hooks", TargetError::Malformed),
            ("http://example.com/", TargetError::NotHttps),
            ("ftp://example.com/", TargetError::NotHttps),
            ("https://user:pw@example.com/", TargetError::Credentials),
            ("https://127.0.0.1/", TargetError::NotPublic),
            ("https://2130706433/", TargetError::NotPublic),
            ("https://0x7f.1/", TargetError::NotPublic),
            ("https://[::ffff:127.0.0.1]/", TargetError::NotPublic),
            ("https://169.254.169.254/latest", TargetError::NotPublic),
            ("https://10.1.2.3/", TargetError::NotPublic),
            ("https://[fe80::1]/", TargetError::NotPublic),
        ] {
            assert_eq!(CLOSED.check(url), Err(error), "{url}");
        }
        assert!(CLOSED.check("https://example.com:8443/hooks?x=1").is_ok());
        assert!(CLOSED.check("https://8.8.8.8/").is_ok());
    }

    #[test]
    fn development_settings_allow_exactly_what_they_name() {
        let http = TargetRules { allow_http: true, ..CLOSED };
        assert!(http.check("http://example.com/").is_ok());
        assert_eq!(http.check("http://127.0.0.1/"), Err(TargetError::NotPublic));
        let private = TargetRules { allow_private: true, ..CLOSED };
        assert!(private.check("https://127.0.0.1/").is_ok());
        assert_eq!(private.check("http://127.0.0.1/"), Err(TargetError::NotHttps));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_loopback_is_not_sent_to() {
        let resolver = Resolver::start(&[]).unwrap();
        let client = WebhookClient::new(CLOSED, Duration::from_secs(5), resolver).unwrap();
        let outgoing = Outgoing {
            attempt_id: uuid::Uuid::new_v4().into(),
            delivery_id: uuid::Uuid::new_v4().into(),
            event_id: uuid::Uuid::new_v4(),
            url: "https://localhost:9/".into(),
            secret: HashedSecret::of("whsec_test"),
            old_secret: None,
            event_type: "otp.delivered".into(),
            body: "{}".into(),
        };
        let sent = client.send(&outgoing).await;
        assert!(!sent.is_delivered());
        assert!(sent.error.unwrap().contains("not on a public address"));
    }
}
