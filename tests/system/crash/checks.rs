//! Invariants that hold after each crash, checked through the API, the far end, the receiver and the
//! database.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use nexo_domain::money::Micros;
use nexo_entities::store::Store;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::Value;
use uuid::Uuid;

use super::gateway::{Process, Site};
use super::load::Responses;
use harness::{Answer, answer, client, number};

/// The time limit for sending all pending webhooks.
const OUTBOX_WITHIN: Duration = Duration::from_secs(60);

/// Collects violations and remembers which responses were checked.
#[derive(Default)]
pub struct Invariants {
    pub violations: Vec<String>,
    /// The number of accepted and of refunded ids already checked.
    checked: (usize, usize),
}

/// Totals of a whole run.
#[derive(Debug, Default)]
pub struct Summary {
    pub interrupted: i64,
    pub webhooks_delivered: usize,
    pub webhooks_unknown: usize,
}

impl Invariants {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(what());
        }
    }

    /// Checks the results known so far. Called right after a restart, before new requests.
    pub async fn after_restart(&mut self, site: &Site, process: &Process, responses: &Responses) {
        let audit = site.command(&["audit"]);
        self.check(audit["ok"] == true, || format!("audit: {audit}"));
        let http = client();
        let calls = Calls { site, process, http };
        for id in &responses.accepted[self.checked.0..] {
            let answer = calls.get(&format!("deliveries/{id}")).await;
            let status = &answer.json["status"];
            self.check(*status == "delivered" || *status == "failed", || {
                format!("202 {id} is {}: {}", answer.status, answer.text)
            });
        }
        for id in &responses.refunded[self.checked.1..] {
            let answer = calls.get(&format!("deliveries/{id}")).await;
            self.check(answer.json["error_code"] == "no_route", || {
                format!("502 {id} is {}: {}", answer.status, answer.text)
            });
        }
        self.checked = (responses.accepted.len(), responses.refunded.len());
        self.wallet(site, &calls).await;
    }

    /// The API's balances equal the sums of the ledger entries. No delivery may be in progress.
    async fn wallet(&mut self, site: &Site, calls: &Calls<'_>) {
        let balance = calls.get("balance").await.text;
        let sums = rows(
            site,
            "SELECT bucket, CAST(SUM(amount_micros) AS TEXT) FROM ledger_entries GROUP BY bucket",
        )
        .await;
        let keys = [("free", "free_credit"), ("bonus", "bonus_credit"), ("balance", "balance")];
        for (bucket, key) in keys {
            let sum = sums.iter().find(|row| row[0] == bucket);
            let sum: i64 = sum.map_or(0, |row| row[1].parse().unwrap());
            let (reported, held) = (number(&balance, key), Micros::new(sum).to_string());
            self.check(reported == held, || {
                format!("{bucket}: the API reports {reported}, the ledger {held}")
            });
        }
    }

    /// Checks calls and webhooks at the end of a run, once the outbox is empty.
    pub async fn at_end(&mut self, site: &Site) -> Summary {
        self.outbox_empties(site).await;
        self.calls(site).await;
        let summary = self.webhooks(site).await;
        let interrupted = "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries \
                           WHERE error_code = 'interrupted'";
        Summary { interrupted: rows(site, interrupted).await[0][0].parse().unwrap(), ..summary }
    }

    async fn outbox_empties(&mut self, site: &Site) {
        let open = "SELECT CAST(COUNT(*) AS TEXT) FROM webhook_attempts \
                    WHERE status IN ('pending', 'sending')";
        let give_up = Instant::now() + OUTBOX_WITHIN;
        loop {
            let left = rows(site, open).await.remove(0).remove(0);
            if left == "0" {
                return;
            }
            if Instant::now() >= give_up {
                let within = OUTBOX_WITHIN;
                return self
                    .violations
                    .push(format!("{left} webhooks still pending after {within:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// At most one INVITE per delivery, and none without a delivery.
    async fn calls(&mut self, site: &Site) {
        let known = ids(site, "SELECT id FROM deliveries").await;
        for far_end in [&site.far_end, &site.silent] {
            for (delivery, invites) in far_end.invites() {
                self.check(invites == 1, || format!("{delivery}: {invites} INVITEs"));
                self.check(known.contains(&delivery), || {
                    format!("{delivery}: an INVITE without a delivery")
                });
            }
        }
    }

    /// One attempt for each delivery whose phone may have rung. Each POST is sent once and matches its
    /// record.
    async fn webhooks(&mut self, site: &Site) -> Summary {
        let attempts = attempts(site).await;
        let posts = site.receiver.posts();
        let mut summary = Summary::default();
        for (attempt, times) in &posts.by_attempt {
            self.check(attempts.contains_key(attempt), || {
                format!("attempt {attempt} was sent but is not recorded")
            });
            self.check(*times == 1, || format!("attempt {attempt}: {times} POSTs"));
        }
        for (delivery, times) in &posts.by_delivery {
            self.check(*times == 1, || format!("{delivery}: {times} webhooks"));
        }
        for (attempt, status) in &attempts {
            let received = posts.by_attempt.contains_key(attempt);
            match status.as_str() {
                "delivered" => summary.webhooks_delivered += 1,
                "unknown" => summary.webhooks_unknown += 1,
                _ => {}
            }
            let matches = match status.as_str() {
                "delivered" => received,
                // The receiver may or may not have received it.
                "unknown" => true,
                _ => false,
            };
            self.check(matches, || format!("attempt {attempt} is {status}, received: {received}"));
        }
        let wrong = rows(
            site,
            "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries AS d WHERE \
             (SELECT COUNT(*) FROM webhook_attempts AS a WHERE a.delivery_id = d.id \
             AND a.verification_id IS NULL) <> \
             (CASE WHEN d.error_code = 'no_route' THEN 0 ELSE 1 END)",
        )
        .await;
        self.check(wrong[0][0] == "0", || {
            format!("{} deliveries without exactly one webhook", wrong[0][0])
        });
        summary
    }
}

struct Calls<'s> {
    site: &'s Site,
    process: &'s Process,
    http: reqwest::Client,
}

impl Calls<'_> {
    async fn get(&self, path: &str) -> Answer {
        let url = format!("{}/api/v1/{path}", self.process.url);
        answer(self.http.get(url).bearer_auth(&self.site.key)).await
    }
}

/// Rows of text columns. On SQLite a gateway must be running, so that closing does not checkpoint the log.
async fn rows(site: &Site, sql: &str) -> Vec<Vec<String>> {
    query(site, sql, |row| (0..).map_while(|column| row.try_get_by_index(column).ok()).collect())
        .await
}

async fn ids(site: &Site, sql: &str) -> HashSet<String> {
    let ids = query(site, sql, |row| row.try_get_by_index::<Uuid>(0).unwrap().to_string());
    ids.await.into_iter().collect()
}

async fn attempts(site: &Site) -> HashMap<String, String> {
    let attempts = query(site, "SELECT id, status FROM webhook_attempts", |row| {
        let id: Uuid = row.try_get_by_index(0).unwrap();
        (id.to_string(), row.try_get_by_index(1).unwrap())
    });
    attempts.await.into_iter().collect()
}

async fn query<T>(site: &Site, sql: &str, row: impl Fn(&sea_orm::QueryResult) -> T) -> Vec<T> {
    let store = Store::connect(&site.database.url, 1).await.unwrap();
    let connection = store.connection();
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let found = connection.query_all_raw(statement).await.unwrap();
    let found = found.iter().map(row).collect();
    store.close().await.unwrap();
    found
}

/// A page of the gateway that needs no key.
pub async fn page(process: &Process, path: &str) -> (u16, Value) {
    let answer = answer(client().get(format!("{}/{path}", process.url))).await;
    (answer.status, answer.json)
}
