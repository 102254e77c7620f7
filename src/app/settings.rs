//! What the parts of a gateway take from the configuration.

use std::time::Duration;

use nexo_actors::dispatch::DispatchSettings;
use nexo_actors::dns::Resolver;
use nexo_actors::jobs::reviews::ReviewSettings;
use nexo_actors::webhook::client::{TargetRules, WebhookClient};
use nexo_domain::call::CallLimits;
use nexo_voice::endpoint::EndpointConfig;
use nexo_voice::sip::user_agent::transaction::Timers;

use crate::config::Config;
use crate::config::telephony::calls::MAX_CALL;
use crate::trunks;

const USER_AGENT: &str = concat!("NEXO-ROUTE/", env!("CARGO_PKG_VERSION"));

/// The configuration of the SIP endpoint.
///
/// # Errors
/// If the system's DNS configuration cannot be read.
pub fn endpoint_config(config: &Config) -> anyhow::Result<EndpointConfig> {
    Ok(EndpointConfig {
        listen_udp: config.sip.listen_udp,
        rtp_ports: config.sip.rtp_ports,
        public_ip: config.sip.public_ip,
        has_tcp_and_tls: config.uses_tcp_or_tls(),
        user_agent: USER_AGENT.to_owned(),
        timers: Timers::default(),
        locator: Some(trunks::locator(config)?),
    })
}

pub(super) fn webhook_client(
    config: &Config,
    resolver: &Resolver,
) -> anyhow::Result<WebhookClient> {
    let rules = TargetRules {
        allow_private: config.webhooks.allow_private,
        allow_http: config.webhooks.allow_http,
    };
    if rules.allow_private || rules.allow_http {
        tracing::warn!(
            allow_private = rules.allow_private,
            allow_http = rules.allow_http,
            "webhooks may go to private addresses or over plain HTTP: for development only"
        );
    }
    let timeout = Duration::from_millis(config.webhooks.timeout_ms);
    Ok(WebhookClient::new(rules, timeout, resolver.clone())?)
}

/// The settings of the dispatcher.
pub(crate) fn dispatch_settings(config: &Config) -> DispatchSettings {
    DispatchSettings {
        dispatch_timeout: Duration::from_millis(config.calls.dispatch_timeout_ms),
        limits: CallLimits {
            ring_timeout: Duration::from_secs(config.calls.ring_timeout_seconds),
            max_call: MAX_CALL,
            require_keypress: config.calls.require_keypress,
        },
        media_timeout: Duration::from_secs(config.calls.media_timeout_seconds),
        refund: config.billing.refund,
    }
}

pub(super) fn review_settings(config: &Config) -> Option<ReviewSettings> {
    let reviews = &config.reviews;
    (!reviews.window.is_zero()).then_some(ReviewSettings {
        window: reviews.window,
        settle: reviews.settle,
        limits: reviews.limits,
    })
}
