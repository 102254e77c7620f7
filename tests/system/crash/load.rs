//! Customers that send OTPs until the gateway dies, and remember what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Customers at a time.
const CUSTOMERS: u64 = 12;
/// Each takes up to so long between two OTPs.
const PAUSE_MS: u64 = 24;

/// What customers were told; adds up over all lives.
#[derive(Default)]
pub struct Told {
    pub posts: usize,
    /// The ids of 202.
    pub accepted: Vec<String>,
    /// The ids of a 502 or 429 that says that the price was given back.
    pub refunded: Vec<String>,
    /// Answers that say that nothing was spent.
    pub refused: usize,
    /// 500: what became of it is not known.
    pub unknown: usize,
    /// No answer at all: the gateway died.
    pub cut_off: usize,
    /// What no customer may be told.
    pub breaks: Vec<String>,
}

impl Told {
    fn add(&mut self, other: Told) {
        self.posts += other.posts;
        self.accepted.extend(other.accepted);
        self.refunded.extend(other.refunded);
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.cut_off += other.cut_off;
        self.breaks.extend(other.breaks);
    }
}

/// The load on one life.
pub struct Load {
    customers: Vec<tokio::task::JoinHandle<Told>>,
    /// Set before the gateway is killed: from then on a broken connection is no wonder.
    pub dies: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Sends at most `posts` OTPs, each to a number of its own.
    pub fn start(url: &str, key: &str, seed: u64, posts: u32, next: &Arc<AtomicU32>) -> Load {
        let (dies, stop) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let left = Arc::new(AtomicU32::new(posts));
        let customers = (0..CUSTOMERS).map(|customer| {
            let customer = Customer {
                url: format!("{url}/api/v1/send-otp"),
                key: key.to_owned(),
                random: StdRng::seed_from_u64(seed ^ (customer << 48)),
                next: Arc::clone(next),
                left: Arc::clone(&left),
                dies: Arc::clone(&dies),
                stop: Arc::clone(&stop),
            };
            tokio::spawn(customer.send())
        });
        Load {
            customers: customers.collect(),
            dies,
            stop,
        }
    }

    /// Whether everything that was to be sent was answered.
    pub fn is_done(&self) -> bool {
        self.customers.iter().all(|customer| customer.is_finished())
    }

    /// Ends it, and adds what it was told.
    pub async fn end(self, told: &mut Told) {
        self.stop.store(true, Ordering::Relaxed);
        for customer in self.customers {
            told.add(customer.await.unwrap());
        }
    }
}

struct Customer {
    url: String,
    key: String,
    random: StdRng,
    next: Arc<AtomicU32>,
    left: Arc<AtomicU32>,
    dies: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Customer {
    async fn send(mut self) -> Told {
        let http = harness::client();
        let mut told = Told::default();
        while !self.stop.load(Ordering::Relaxed) && self.take_one() {
            let body = json!({ "phone": self.phone(), "code": "482917" }).to_string();
            let request = http
                .post(&self.url)
                .bearer_auth(&self.key)
                .header("Content-Type", "application/json")
                .body(body);
            told.posts += 1;
            let answer = match request.send().await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    response.text().await.map(|text| (status, text))
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok((status, text)) => note(&mut told, status, &text),
                Err(error) => {
                    told.cut_off += 1;
                    if !self.dies.load(Ordering::Relaxed) {
                        told.breaks
                            .push(format!("a living gateway does not answer: {error}"));
                    }
                    return told;
                }
            }
            let pause = Duration::from_millis(self.random.random_range(0..PAUSE_MS));
            tokio::time::sleep(pause).await;
        }
        told
    }

    fn take_one(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// One that was never called: three in four of a far end that answers, each in its manner.
    fn phone(&mut self) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let range = match self.random.random_range(0..4) {
            0 => "90",
            _ => "98",
        };
        let manner = self.random.random_range(0..100);
        format!("+84{range}{n:05}{manner:02}")
    }
}

fn note(told: &mut Told, status: u16, text: &str) {
    let json: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let id = json["id"].as_str().map(str::to_owned);
    match (status, id) {
        (202, Some(id)) => told.accepted.push(id),
        (502 | 429, Some(id)) => told.refunded.push(id),
        (429 | 503 | 502, None) => told.refused += 1,
        (500, _) => told.unknown += 1,
        _ => told.breaks.push(format!("told {status}: {text}")),
    }
}
