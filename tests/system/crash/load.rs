//! Customers that send OTPs until the gateway is_dying, and record the responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// The number of concurrent customers.
const CUSTOMERS: u64 = 12;
/// The maximum pause between two OTPs of a customer.
const PAUSE_MS: u64 = 24;

/// The responses to customers, accumulated over all processes.
#[derive(Default)]
pub struct Responses {
    pub posts: usize,
    /// Ids from 202 responses.
    pub accepted: Vec<String>,
    /// Ids from 502 or 429 responses, which report a refund.
    pub refunded: Vec<String>,
    /// Responses that report that nothing was charged.
    pub refused: usize,
    /// 500 responses: the outcome is unknown.
    pub unknown: usize,
    /// Requests without a response because the gateway died.
    pub cut_off: usize,
    /// Responses that no customer may receive.
    pub violations: Vec<String>,
}

impl Responses {
    fn add(&mut self, other: Responses) {
        self.posts += other.posts;
        self.accepted.extend(other.accepted);
        self.refunded.extend(other.refunded);
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.cut_off += other.cut_off;
        self.violations.extend(other.violations);
    }
}

/// The load on one process.
pub struct Load {
    customers: Vec<tokio::task::JoinHandle<Responses>>,
    /// Set before the gateway is killed: from then on connection errors are expected.
    pub is_dying: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Sends at most `posts` OTPs, each to a different number.
    pub fn start(url: &str, key: &str, seed: u64, posts: u32, next: &Arc<AtomicU32>) -> Load {
        let (is_dying, stop) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let left = Arc::new(AtomicU32::new(posts));
        let customers = (0..CUSTOMERS).map(|customer| {
            let customer = Customer {
                url: format!("{url}/api/v1/send-otp"),
                key: key.to_owned(),
                random: StdRng::seed_from_u64(seed ^ (customer << 48)),
                next: Arc::clone(next),
                left: Arc::clone(&left),
                is_dying: Arc::clone(&is_dying),
                stop: Arc::clone(&stop),
            };
            tokio::spawn(customer.send())
        });
        Load { customers: customers.collect(), is_dying, stop }
    }

    /// Whether every request has a response.
    pub fn is_done(&self) -> bool {
        self.customers.iter().all(|customer| customer.is_finished())
    }

    /// Stops the load and adds its responses to `responses`.
    pub async fn end(self, responses: &mut Responses) {
        self.stop.store(true, Ordering::Relaxed);
        for customer in self.customers {
            responses.add(customer.await.unwrap());
        }
    }
}

struct Customer {
    url: String,
    key: String,
    random: StdRng,
    next: Arc<AtomicU32>,
    left: Arc<AtomicU32>,
    is_dying: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Customer {
    async fn send(mut self) -> Responses {
        let http = harness::client();
        let mut responses = Responses::default();
        while !self.stop.load(Ordering::Relaxed) && self.take_slot() {
            let body = json!({ "phone": self.phone(), "code": "482917" }).to_string();
            let request = http
                .post(&self.url)
                .bearer_auth(&self.key)
                .header("Content-Type", "application/json")
                .body(body);
            responses.posts += 1;
            let answer = match request.send().await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    response.text().await.map(|text| (status, text))
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok((status, text)) => record(&mut responses, status, &text),
                Err(error) => {
                    responses.cut_off += 1;
                    if !self.is_dying.load(Ordering::Relaxed) {
                        responses
                            .violations
                            .push(format!("the running gateway does not respond: {error}"));
                    }
                    return responses;
                }
            }
            let pause = Duration::from_millis(self.random.random_range(0..PAUSE_MS));
            tokio::time::sleep(pause).await;
        }
        responses
    }

    fn take_slot(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// A number not called before. Three in four reach the far end that answers, with a random behaviour.
    fn phone(&mut self) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let range = match self.random.random_range(0..4) {
            0 => "90",
            _ => "98",
        };
        let behaviour = self.random.random_range(0..100);
        format!("+84{range}{n:05}{behaviour:02}")
    }
}

fn record(responses: &mut Responses, status: u16, text: &str) {
    let json: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let id = json["id"].as_str().map(str::to_owned);
    match (status, id) {
        (202, Some(id)) => responses.accepted.push(id),
        (502 | 429, Some(id)) => responses.refunded.push(id),
        (429 | 503 | 502, None) => responses.refused += 1,
        (500, _) => responses.unknown += 1,
        _ => responses.violations.push(format!("unexpected response {status}: {text}")),
    }
}
