//! An open loop: each request starts at its due time, independently of the responses.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::customer::Phones;

pub struct Load {
    pub url: String,
    pub key: String,
    /// Requests per second.
    pub rate: u32,
    pub seconds: u32,
    /// How many phones are left out, because earlier requests called them.
    pub skip: u32,
}

/// The results of the requests.
pub struct Sent {
    pub accepted: u64,
    pub refused: u64,
    took: Duration,
    /// Measured from each request's due time, sorted.
    latencies: Vec<Duration>,
}

impl Sent {
    pub fn per_second(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    /// The latency that this share of the requests does not exceed, in milliseconds.
    pub fn latency_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.latencies.get(index).map_or(0.0, |l| l.as_secs_f64() * 1e3)
    }
}

/// An HTTP client for loopback, without a proxy.
pub fn client() -> anyhow::Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

impl Load {
    pub async fn run(&self) -> anyhow::Result<Sent> {
        let client = client()?;
        let mut phones = Phones::new();
        phones.skip(self.skip);
        let every = Duration::from_secs(1) / self.rate;
        let started = Instant::now();
        let mut requests = JoinSet::new();
        for number in 0..self.rate * self.seconds {
            let due = started + every * number;
            tokio::time::sleep_until(due.into()).await;
            let body = format!(r#"{{"phone":"{}","code":"482917"}}"#, phones.take());
            let request = client
                .post(&self.url)
                .bearer_auth(&self.key)
                .header("Content-Type", "application/json")
                .body(body);
            requests.spawn(async move {
                let response = request.send().await?;
                let status = response.status();
                response.bytes().await?;
                Ok::<_, reqwest::Error>((status == 202, due.elapsed()))
            });
        }
        let took = started.elapsed();
        let (mut accepted, mut refused, mut latencies) = (0, 0, Vec::new());
        while let Some(answer) = requests.join_next().await {
            match answer? {
                Ok((true, latency)) => {
                    accepted += 1;
                    latencies.push(latency);
                }
                Ok((false, _)) | Err(_) => refused += 1,
            }
        }
        latencies.sort_unstable();
        Ok(Sent { accepted, refused, took, latencies })
    }
}
