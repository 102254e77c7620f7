//! The state that all pages share: the store, the gateway's parts, mail, payments and sign-in limits.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, web};
use nexo_actors::clock::unix_ms;
use nexo_actors::dispatch::Dispatcher;
use nexo_actors::dispatch::live_deliveries::LiveDeliveries;
use nexo_actors::dns::Resolver;
use nexo_actors::supervision::handle::Handle;
use nexo_actors::webhook::WebhookActor;
use nexo_actors::webhook::client::TargetRules;
use nexo_domain::account::client_ip::TrustedSources;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::sign_up::SignUpOffer;

use super::public_url::PublicUrl;
use crate::api::otp::routing::Routing;
use crate::config::Config;
use crate::dashboard::auth::hashing::PasswordHasher;
use crate::dashboard::auth::limits::Throttle;
use crate::dashboard::mail::{Email, Mailer};
use crate::deposits::TopUps;
use crate::quotas::Quotas;
use crate::read_limits::ReadLimits;
use crate::terms::Terms;

/// How often expired sessions and idle throttle entries are removed.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(300);

/// A session expires after this long without a request.
const SESSION_IDLE_MS: i64 = 14 * 24 * 3_600_000;

/// The extractor of the site's state.
pub type Site = web::Data<SiteState>;

/// The extractor of the id in a page's path.
pub type Id = web::Path<String>;

/// What the pages share.
pub struct SiteState {
    pub store: Store,
    pub public_url: PublicUrl,
    pub trusted_sources: TrustedSources,
    /// Whether Strict-Transport-Security covers subdomains.
    pub hsts_include_subdomains: bool,
    /// The price of an OTP, the free credit of a new account, and how a code is read.
    pub terms: Arc<Terms>,
    /// The limits of free actions.
    pub quotas: Arc<Quotas>,
    pub routing: Arc<Routing>,
    pub webhook_rules: TargetRules,
    /// Woken after a webhook attempt is queued here.
    pub webhooks: Handle<WebhookActor>,
    /// The calls in progress in this process.
    pub live_deliveries: Arc<LiveDeliveries>,
    /// The carriers, for operators.
    pub dispatcher: Arc<Dispatcher>,
    /// Resolves the names of webhook receivers.
    pub resolver: Resolver,
    pub mailer: Mailer,
    pub top_ups: TopUps,
    pub hasher: PasswordHasher,
    pub throttle: Throttle,
    pub read_limits: Arc<ReadLimits>,
}

/// The parts of the running gateway that the pages use.
pub struct SiteServices {
    pub store: Store,
    pub terms: Arc<Terms>,
    pub quotas: Arc<Quotas>,
    pub routing: Arc<Routing>,
    pub webhooks: Handle<WebhookActor>,
    pub live_deliveries: Arc<LiveDeliveries>,
    pub dispatcher: Arc<Dispatcher>,
    pub read_limits: Arc<ReadLimits>,
    pub resolver: Resolver,
}

impl SiteState {
    /// Builds the state from the configuration.
    ///
    /// # Errors
    /// If the mail transport cannot be built.
    pub fn new(config: &Config, services: SiteServices) -> anyhow::Result<SiteState> {
        Ok(SiteState {
            store: services.store,
            public_url: PublicUrl::of(&config.server.public_url),
            trusted_sources: config.server.trusted_sources(),
            hsts_include_subdomains: config.server.hsts_include_subdomains,
            terms: services.terms,
            quotas: services.quotas,
            routing: services.routing,
            webhook_rules: TargetRules {
                allow_private: config.webhooks.allow_private,
                allow_http: config.webhooks.allow_http,
            },
            webhooks: services.webhooks,
            live_deliveries: services.live_deliveries,
            dispatcher: services.dispatcher,
            mailer: Mailer::new(&config.mail, services.resolver.clone())?,
            resolver: services.resolver,
            top_ups: TopUps::of(&config.deposits),
            hasher: PasswordHasher::new(),
            throttle: Throttle::new(),
            read_limits: services.read_limits,
        })
    }

    /// The state of the site that received the request.
    pub fn of(request: &HttpRequest) -> &SiteState {
        request.app_data::<Site>().expect("the application has the site's state")
    }

    /// What a new account receives now.
    pub fn sign_up_offer(&self) -> SignUpOffer {
        self.quotas.sign_up_offer(self.terms.current().free_credit)
    }

    /// Sends an e-mail, unless its mailbox has received all e-mails that it may receive this day. Not for notices
    /// about the account's security, which must arrive.
    pub async fn send_within_quota(&self, email: Email) {
        match self.quotas.take_email(&email.to).await {
            Ok(()) => self.mailer.send(email),
            Err(error) => tracing::warn!(%error, "an e-mail was not sent"),
        }
    }

    /// When a session of this age ends, if it is not used after `now_ms`.
    pub fn session_expiry(&self, created_at_ms: i64, now_ms: i64) -> i64 {
        let last = created_at_ms.saturating_add(self.terms.current().session_max_ms);
        last.min(now_ms + SESSION_IDLE_MS)
    }

    /// The number of OTPs that the free credit of a new account pays for.
    pub fn free_otps(&self) -> i64 {
        let terms = self.terms.current();
        terms.free_credit.get() / terms.price.get().max(1)
    }
}

/// Removes expired sessions and idle throttle entries periodically, until the process ends.
pub async fn remove_expired(site: Arc<SiteState>) {
    let mut interval = tokio::time::interval(CLEANUP_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        site.throttle.remove_idle();
        if let Err(error) = site.store.accounts().delete_expired(unix_ms()).await {
            tracing::warn!(%error, "expired sessions could not be removed");
        }
    }
}
