//! A client of the HTTP API, and the answers that it receives.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// An HTTP response with the parts that tests check.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn error(&self) -> &str {
        self.json["error"].as_str().unwrap_or("")
    }
}

/// One customer of a gateway, with an API key.
#[derive(Clone)]
pub struct Customer {
    pub key: String,
    pub key_id: String,
    pub api: String,
    pub http: reqwest::Client,
}

impl Customer {
    pub async fn send(&self, phone: &str, code: &str) -> Answer {
        self.post(&json!({ "phone": phone, "code": code }).to_string()).await
    }

    pub async fn post(&self, body: &str) -> Answer {
        answer(self.otp_request(body)).await
    }

    /// Builds the POST of an OTP without sending it.
    pub fn otp_request(&self, body: &str) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}/send-otp", self.api))
            .bearer_auth(&self.key)
            .header("Content-Type", "application/json")
            .body(body.to_owned())
    }

    pub async fn get(&self, path: &str) -> Answer {
        let url = format!("{}/{path}", self.api);
        answer(self.http.get(url).bearer_auth(&self.key)).await
    }

    /// The wallet's cash and total, as written by the API.
    pub async fn balance(&self) -> (String, String) {
        let answer = self.get("balance").await;
        (number(&answer.text, "balance"), number(&answer.text, "total"))
    }

    /// Waits until the delivery is in a final state. The product guarantees that within a minute.
    pub async fn terminal(&self, id: &str) -> Answer {
        let deadline = Instant::now() + Duration::from_secs(62);
        loop {
            let answer = self.get(&format!("deliveries/{id}")).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            if answer.json["status"] != "sent" {
                return answer;
            }
            assert!(Instant::now() < deadline, "still sent after 62 s");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A number in a JSON text, exactly as written.
pub fn number(json: &str, key: &str) -> String {
    let start = json.find(&format!("\"{key}\":")).unwrap() + key.len() + 3;
    json[start..].split([',', '}']).next().unwrap().trim().to_owned()
}

/// Sends a request and reads the whole response.
pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    read_answer(request.send().await.unwrap()).await
}

/// Reads a whole response.
pub async fn read_answer(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        // The server may close a connection that is idle for longer while the client reuses it.
        .pool_idle_timeout(Duration::from_secs(2))
        .build()
        .unwrap()
}
