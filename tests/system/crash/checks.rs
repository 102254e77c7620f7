//! What must hold after each death, seen from outside and in the database.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use nexo_domain::money::Micros;
use nexo_entities::store::Store;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::Value;
use uuid::Uuid;

use super::gateway::{Life, Site};
use super::load::Told;
use harness::{Answer, answer, client, number};

/// Webhooks that wait are sent within so long.
const OUTBOX_WITHIN: Duration = Duration::from_secs(60);

/// What was broken, and what is known to be right.
#[derive(Default)]
pub struct Ledger {
    pub breaks: Vec<String>,
    /// How many of the accepted, and of the refunded, ids were looked at.
    seen: (usize, usize),
}

/// Figures of a whole run.
#[derive(Debug, Default)]
pub struct Figures {
    pub interrupted: i64,
    pub webhooks_delivered: usize,
    pub webhooks_unknown: usize,
}

impl Ledger {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.breaks.push(what());
        }
    }

    /// Right after a restart, before anybody sends anything.
    pub async fn after_restart(&mut self, site: &Site, life: &Life, told: &Told) {
        let audit = site.command(&["audit"]);
        self.check(audit["ok"] == true, || format!("audit: {audit}"));
        let http = client();
        let calls = Calls { site, life, http };
        for id in &told.accepted[self.seen.0..] {
            let answer = calls.get(&format!("deliveries/{id}")).await;
            let status = &answer.json["status"];
            self.check(*status == "delivered" || *status == "failed", || {
                format!("202 {id} is {}: {}", answer.status, answer.text)
            });
        }
        for id in &told.refunded[self.seen.1..] {
            let answer = calls.get(&format!("deliveries/{id}")).await;
            self.check(answer.json["error_code"] == "no_route", || {
                format!("502 {id} is {}: {}", answer.status, answer.text)
            });
        }
        self.seen = (told.accepted.len(), told.refunded.len());
        self.wallet(site, &calls).await;
    }

    /// What the API says is what the entries add up to. Nothing may be in motion.
    async fn wallet(&mut self, site: &Site, calls: &Calls<'_>) {
        let told = calls.get("balance").await.text;
        let sums = rows(
            site,
            "SELECT bucket, CAST(SUM(amount_micros) AS TEXT) FROM ledger_entries GROUP BY bucket",
        )
        .await;
        let keys = [
            ("free", "free_credit"),
            ("bonus", "bonus_credit"),
            ("balance", "balance"),
        ];
        for (bucket, key) in keys {
            let sum = sums.iter().find(|row| row[0] == bucket);
            let sum: i64 = sum.map_or(0, |row| row[1].parse().unwrap());
            let (told, held) = (number(&told, key), Micros::new(sum).to_string());
            self.check(told == held, || {
                format!("{bucket}: the API says {told}, the ledger {held}")
            });
        }
    }

    /// At the end of a run, once what waited was sent.
    pub async fn at_the_end(&mut self, site: &Site) -> Figures {
        self.outbox_empties(site).await;
        self.calls(site).await;
        let figures = self.webhooks(site).await;
        let interrupted = "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries \
                           WHERE error_code = 'interrupted'";
        Figures {
            interrupted: rows(site, interrupted).await[0][0].parse().unwrap(),
            ..figures
        }
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
                    .breaks
                    .push(format!("{left} webhooks not sent within {within:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One INVITE a delivery at most, and none without a delivery.
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

    /// One attempt for each delivery that a phone may have rung for; each POST once, and as it is recorded.
    async fn webhooks(&mut self, site: &Site) -> Figures {
        let attempts = attempts(site).await;
        let posts = site.receiver.posts();
        let mut figures = Figures::default();
        for (attempt, times) in &posts.by_attempt {
            self.check(attempts.contains_key(attempt), || {
                format!("attempt {attempt} was sent and is not known")
            });
            self.check(*times == 1, || format!("attempt {attempt}: {times} POSTs"));
        }
        for (delivery, times) in &posts.by_delivery {
            self.check(*times == 1, || format!("{delivery}: {times} webhooks"));
        }
        for (attempt, status) in &attempts {
            let came = posts.by_attempt.contains_key(attempt);
            match status.as_str() {
                "delivered" => figures.webhooks_delivered += 1,
                "unknown" => figures.webhooks_unknown += 1,
                _ => {}
            }
            let fits = match status.as_str() {
                "delivered" => came,
                // The receiver may have had it, or not.
                "unknown" => true,
                _ => false,
            };
            self.check(fits, || {
                format!("attempt {attempt} is {status}, and came: {came}")
            });
        }
        let wrong = rows(
            site,
            "SELECT CAST(COUNT(*) AS TEXT) FROM deliveries AS d WHERE \
             (SELECT COUNT(*) FROM webhook_attempts AS a WHERE a.delivery_id = d.id) <> \
             (CASE WHEN d.error_code = 'no_route' THEN 0 ELSE 1 END)",
        )
        .await;
        self.check(wrong[0][0] == "0", || {
            format!("{} deliveries without exactly their webhook", wrong[0][0])
        });
        figures
    }
}

struct Calls<'s> {
    site: &'s Site,
    life: &'s Life,
    http: reqwest::Client,
}

impl Calls<'_> {
    async fn get(&self, path: &str) -> Answer {
        let url = format!("{}/api/v1/{path}", self.life.url);
        answer(self.http.get(url).bearer_auth(&self.site.key)).await
    }
}

/// What a query of texts gives. On SQLite only while a gateway runs, so that the log stays as it left it.
async fn rows(site: &Site, sql: &str) -> Vec<Vec<String>> {
    query(site, sql, |row| {
        (0..)
            .map_while(|column| row.try_get_by_index(column).ok())
            .collect()
    })
    .await
}

async fn ids(site: &Site, sql: &str) -> HashSet<String> {
    let ids = query(site, sql, |row| {
        row.try_get_by_index::<Uuid>(0).unwrap().to_string()
    });
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

/// A page of the gateway's that needs no key.
pub async fn page(life: &Life, path: &str) -> (u16, Value) {
    let answer = answer(client().get(format!("{}/{path}", life.url))).await;
    (answer.status, answer.json)
}
