//! The site: public pages, signing in, the dashboard. Rendered here, on the server.
//!
//! A page's file has its handlers, and what they draw. [`who`] says who asks, [`form`] reads what is posted
//! and checks that it came from a page of ours, [`page`] puts what a handler drew into the common frame, and
//! [`refused`] is every answer that is no page. Each string is in `texts`, in both languages.
//!
//! | to be added | by |
//! |---|---|
//! | a page | a file here with `routes`, an entry in [`web::navigation::Place`], its texts in `texts/` |
//! | a form | a handler that takes [`web::form::Posted`] of whom it is for |

use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{ServiceConfig, resource, scope, to};
use ipnet::IpNet;
use nexo_actors::clock::unix_ms;
use nexo_actors::dispatch::DispatchDesk;
use nexo_actors::dispatch::live_deliveries::Live;
use nexo_actors::supervision::supervisor::Handle;
use nexo_actors::webhook::WebhookDesk;
use nexo_actors::webhook::client::TargetRules;
use nexo_entities::store::Store;
use url::form_urlencoded;

pub mod account;
pub(crate) mod auth;
pub(crate) mod developer;
pub(crate) mod public;
pub mod texts;
pub mod web;

pub(crate) mod mail;
mod operators;

pub use mail::{Letter, Mailer};
pub use web::public_url::PublicUrl;

use crate::api::otp::routing::Routing;
use crate::config::Config;
use crate::deposits::TopUps;
use crate::terms::Terms;
use auth::hashing::Hashing;
use auth::throttle::Throttle;

/// What the pages share.
pub struct Site {
    pub store: Store,
    pub public_url: PublicUrl,
    pub trusted_proxies: Vec<IpNet>,
    /// What an OTP costs, what a new account's wallet holds, and how a code is read.
    pub terms: Arc<Terms>,
    pub routing: Arc<Routing>,
    pub webhook_rules: TargetRules,
    /// To be woken when a webhook attempt was queued here.
    pub webhooks: Handle<WebhookDesk>,
    /// The calls that this process is making.
    pub live: Arc<Live>,
    /// The carriers, for operators.
    pub desk: Arc<DispatchDesk>,
    pub mailer: Mailer,
    pub top_ups: TopUps,
    hashing: Hashing,
    throttle: Throttle,
}

/// What the running gateway lends to its pages.
pub struct SiteParts {
    pub store: Store,
    pub terms: Arc<Terms>,
    pub routing: Arc<Routing>,
    pub webhooks: Handle<WebhookDesk>,
    pub live: Arc<Live>,
    pub desk: Arc<DispatchDesk>,
}

impl Site {
    /// The site as it is configured.
    ///
    /// # Errors
    /// When the mail transport cannot be made.
    pub fn new(config: &Config, parts: SiteParts) -> anyhow::Result<Site> {
        Ok(Site {
            store: parts.store,
            public_url: PublicUrl::of(&config.server.public_url),
            trusted_proxies: config.server.trusted_proxies.clone(),
            terms: parts.terms,
            routing: parts.routing,
            webhook_rules: TargetRules {
                allow_private: config.webhooks.allow_private,
                allow_http: config.webhooks.allow_http,
            },
            webhooks: parts.webhooks,
            live: parts.live,
            desk: parts.desk,
            mailer: Mailer::of(&config.mail)?,
            top_ups: TopUps::of(&config.deposits),
            hashing: Hashing::new(),
            throttle: Throttle::new(),
        })
    }
}

/// How often what has run out is forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(300);

/// Forgets sessions that have run out, and who has long not tried to sign in, until the process ends.
pub async fn tidy(site: Arc<Site>) {
    let mut due = tokio::time::interval(TIDY_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        site.throttle.tidy();
        if let Err(error) = site.store.trim_expired(unix_ms()).await {
            tracing::warn!(%error, "sessions that have run out could not be forgotten");
        }
    }
}

/// A link to `path` with these pairs that are not empty, and one more.
pub fn cursor_link(path: &str, pairs: &[(&str, &str)], name: &str, value: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let given = pairs.iter().copied().chain([(name, value)]);
    for (name, value) in given.filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    match query.finish().as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Adds every page to an actix-web application.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            scope("/assets")
                .wrap(from_fn(web::headers::guard))
                .configure(web::assets::routes),
        )
        .service(
            scope("/auth")
                .wrap(from_fn(web::headers::guard))
                .configure(auth::sign_in::routes)
                .configure(auth::sign_up::routes)
                .configure(auth::confirmation::routes)
                .configure(auth::sign_out::routes)
                .configure(auth::password_reset::routes)
                .default_service(to(web::error::no_page)),
        )
        .service(
            scope("/docs")
                .wrap(from_fn(web::headers::guard))
                .configure(developer::docs::routes)
                .configure(developer::openapi_page::routes)
                .default_service(to(web::error::no_page)),
        )
        .service(
            scope("/dashboard")
                .wrap(from_fn(web::headers::guard))
                .configure(account::overview::routes)
                .configure(account::wallet::routes)
                .configure(account::top_up::routes)
                .configure(account::referrals::routes)
                .configure(operators::routes)
                .configure(account::deliveries::routes)
                .configure(developer::api_keys::routes)
                .configure(developer::allowlist::routes)
                .configure(developer::webhooks::routes)
                .configure(account::settings::routes)
                .configure(auth::totp_pages::routes)
                .configure(developer::docs::member_routes)
                .default_service(to(web::error::no_page)),
        );
    for path in ["/", "/en", "/vi"] {
        config.service(
            resource(path)
                .wrap(from_fn(web::headers::guard))
                .get(public::landing::show),
        );
    }
}
