//! The customer of the demo: an HTTP client, the bodies it receives, and its webhook receiver.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use actix_web::{App as WebApp, HttpRequest, HttpResponse, HttpServer, web};
use nexo_domain::money::Micros;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// The customer's HTTP client.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: format!("http://{address}/api/v1"),
            key: key.to_owned(),
        }
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Body> {
        let url = format!("{}/{path}", self.base);
        let response = self.http.get(url).bearer_auth(&self.key).send().await?;
        Body::parse(&response.bytes().await?)
    }

    pub async fn send_otp(&self, phone: &str, code: &str) -> anyhow::Result<(u16, Body)> {
        let response = self
            .http
            .post(format!("{}/send-otp", self.base))
            .bearer_auth(&self.key)
            .header("Content-Type", "application/json")
            .body(serde_json::to_string(&OtpRequest { phone, code })?)
            .send()
            .await?;
        let status = response.status().as_u16();
        Ok((status, Body::parse(&response.bytes().await?)?))
    }
}

/// The body of the request.
#[derive(Serialize)]
pub(super) struct OtpRequest<'a> {
    pub phone: &'a str,
    pub code: &'a str,
}

/// A JSON object as it was received: with its order of keys and the digits of its amounts.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Body(Box<RawValue>);

impl Body {
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Body> {
        Ok(Body(serde_json::from_slice(bytes)?))
    }

    /// The value of a key; null if there is none.
    pub fn field(&self, name: &str) -> Value {
        let value: Value = serde_json::from_str(self.0.get()).unwrap_or_default();
        value[name].clone()
    }

    pub fn amount(&self, name: &str) -> Option<Micros> {
        self.field(name).to_string().parse().ok()
    }

    /// An amount as the API writes amounts.
    pub fn exact(&self, name: &str) -> String {
        let amount = self.amount(name);
        amount.map_or_else(|| self.field(name).to_string(), |amount| amount.to_string())
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get())
    }
}

/// A received webhook.
pub(super) struct Webhook {
    pub signature: String,
    pub body: Vec<u8>,
}

/// Starts a webhook receiver on a free port. Returns the received webhooks and its URL.
pub(super) fn start_receiver() -> anyhow::Result<(mpsc::UnboundedReceiver<Webhook>, String)> {
    let (received, webhooks) = mpsc::unbounded_channel();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/webhooks/nexo", listener.local_addr()?);
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(web::Data::new(received.clone()))
            .route("/webhooks/nexo", web::post().to(receive))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    actix_web::rt::spawn(server);
    Ok((webhooks, url))
}

async fn receive(
    request: HttpRequest,
    body: web::Bytes,
    received: web::Data<mpsc::UnboundedSender<Webhook>>,
) -> HttpResponse {
    let signature = request
        .headers()
        .get("X-NEXO-Signature")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    // The demo may have ended.
    let _ = received.send(Webhook { signature, body: body.to_vec() });
    HttpResponse::Ok().finish()
}
