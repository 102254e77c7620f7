//! Customers of a gateway in the test's own process, who send OTPs on and on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_domain::webhook::HashedSecret;
use nexo_entities::store::accounts::accounts::NewAccount;
use nexo_entities::store::accounts::api_keys::NewKey;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::webhooks::endpoints::NewEndpoint;
use nexo_route::app::App;
use rand::Rng;

pub struct Buyer {
    url: String,
    key: String,
}

impl Buyer {
    /// One with so many micro-dollars of cash, whose webhooks go there.
    pub async fn create(app: &App, email: &str, cash: i64, webhook: Option<&str>) -> Buyer {
        let (store, created_at_ms) = (&app.store, unix_ms());
        let account_id = store
            .create_account(NewAccount {
                email,
                password_hash: None,
                operator: false,
                language: None,
                page_language: None,
                created_at_ms,
            })
            .await
            .unwrap();
        let credit = Credit {
            account_id,
            bucket: Bucket::Balance,
            amount: Micros::new(cash),
            reference: "start",
            at_ms: created_at_ms,
        };
        store.credit_wallet(credit).await.unwrap();
        if let Some(url) = webhook {
            let endpoint = NewEndpoint {
                account_id,
                url,
                secret: HashedSecret::of("whsec_test"),
                created_at_ms,
            };
            store.add_endpoint(endpoint).await.unwrap();
        }
        let mut random = [0; 96];
        rand::rng().fill_bytes(&mut random);
        let key = ApiKey::from_random(KeyMode::Live, &random).unwrap();
        store
            .create_key(NewKey {
                account_id,
                name: "test",
                hash: key.hash(),
                hint: key.hint(),
                test: false,
                allowlist: &[],
                created_at_ms,
            })
            .await
            .unwrap();
        Buyer {
            url: format!("http://{}/api/v1/send-otp", app.http),
            key: key.reveal().to_owned(),
        }
    }

    /// Sends an OTP each `every`, to ever other phones of this prefix that end in these digits, until told to stop.
    pub fn keep_sending(
        &self,
        prefix: &'static str,
        last_two: u32,
        every: Duration,
        stop: &Arc<AtomicBool>,
    ) -> JoinHandle<()> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (url, key, stop) = (self.url.clone(), self.key.clone(), Arc::clone(stop));
        let http = crate::harness::client();
        actix_web::rt::spawn(async move {
            let mut due = tokio::time::interval(every);
            while !stop.load(Ordering::Relaxed) {
                due.tick().await;
                let n = NEXT.fetch_add(1, Ordering::Relaxed);
                let body = format!(r#"{{"phone":"{prefix}{n:05}{last_two:02}","code":"1234"}}"#);
                let sent = http.post(&url).bearer_auth(&key).body(body).send();
                let status = sent.await.unwrap().status().as_u16();
                assert!([202, 402, 502, 503].contains(&status), "{status}");
            }
        })
    }
}
