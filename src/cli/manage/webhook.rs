//! `nexo webhook`: adds and lists webhook endpoints, and sends an attempt again.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_actors::dns::Resolver;
use nexo_actors::webhook::client::{TargetRules, WebhookClient};
use nexo_actors::webhook::{finished, outgoing};
use nexo_domain::ids::WebhookAttemptId;
use nexo_domain::timestamp::rfc3339;
use nexo_domain::webhook::HashedSecret;
use nexo_domain::webhook::events::EventFilter;
use nexo_entities::store::ledger::posting::NodeEpoch;
use nexo_entities::store::webhooks::endpoints::NewEndpoint;
use nexo_entities::store::{Conflict, Store, StoreError};
use serde_json::json;

use crate::cli::output::CommandOutput;
use crate::cli::{args, database};
use crate::config::Config;
use crate::secrets::new_webhook_secret;

/// How often a replay that the running gateway claimed is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The time for the running gateway to start a replay it has claimed, and to store its result.
const GATEWAY_GRACE: Duration = Duration::from_secs(5);

/// The subcommands of `nexo webhook`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add an endpoint; its signing secret is shown only once
    Add {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// An https URL with a public address
        #[arg(long)]
        url: String,
        /// The events that it receives, separated by commas: otp.* and verification.*, or single ones such as otp.failed
        #[arg(long, value_name = "LIST", default_value = "otp.*")]
        events: EventFilter,
    },
    /// List endpoints
    List {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
    },
    /// Send an attempt's bytes again to the same endpoint and wait for the response
    Replay {
        /// The attempt's id, from its X-NEXO-Attempt-Id header
        attempt: WebhookAttemptId,
    },
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    match command {
        Command::Add { account, url, events } => add(config, &store, &account, &url, events).await,
        Command::List { account } => list(&store, account.as_deref()).await,
        Command::Replay { attempt } => replay(config, &store, attempt).await,
    }
}

async fn add(
    config: &Config,
    store: &Store,
    email: &str,
    url: &str,
    events: EventFilter,
) -> anyhow::Result<CommandOutput> {
    let account = database::open_account(store, email).await?;
    let resolver = Resolver::start(&config.dns.servers)?;
    let url = rules(config)
        .check_resolved(url.trim(), &resolver)
        .await
        .with_context(|| format!("{url} is not a valid webhook endpoint"))?;
    let secret = new_webhook_secret();
    let id = store
        .webhooks()
        .add_endpoint(NewEndpoint {
            account_id: account.id,
            url: url.as_str(),
            secret: HashedSecret::of(&secret),
            events,
            created_at_ms: unix_ms(),
        })
        .await?;
    let text = format!(
        "Added endpoint {url} for {email} ({id}), which receives {events}.\n\
         Its signing secret is shown only once:\n\n  {secret}"
    );
    Ok(CommandOutput::new(text, json!({ "id": id, "secret": secret })))
}

fn rules(config: &Config) -> TargetRules {
    TargetRules {
        allow_private: config.webhooks.allow_private,
        allow_http: config.webhooks.allow_http,
    }
}

async fn list(store: &Store, email: Option<&str>) -> anyhow::Result<CommandOutput> {
    let account = database::account_filter(store, email).await?;
    let endpoints = store.webhooks().endpoints(account).await?;
    let emails = database::emails(store).await?;
    let email_of = |account| emails.get(&account).cloned().unwrap_or_default();
    Ok(CommandOutput::list(
        "webhooks",
        &endpoints,
        "No endpoints yet. Add one: nexo webhook add --account EMAIL --url URL",
        ["ACCOUNT", "URL", "EVENTS", "STATE", "CREATED", "ID"],
        |endpoint| {
            let state = endpoint.paused_at_ms.map_or("active", |_| "paused");
            [
                email_of(endpoint.account_id),
                endpoint.url.clone(),
                endpoint.events.to_string(),
                state.to_owned(),
                rfc3339(endpoint.created_at_ms),
                endpoint.id.to_string(),
            ]
        },
        |endpoint| {
            json!({
                "id": endpoint.id,
                "account": email_of(endpoint.account_id),
                "url": endpoint.url,
                "events": endpoint.events.patterns().collect::<Vec<_>>(),
                "created_at": rfc3339(endpoint.created_at_ms),
                "paused_at": endpoint.paused_at_ms.map(rfc3339),
            })
        },
    ))
}

/// The result of a replay.
struct Replayed {
    status_code: Option<u16>,
    duration_ms: i64,
    /// `None` if the receiver accepted it.
    error: Option<String>,
}

async fn replay(
    config: &Config,
    store: &Store,
    id: WebhookAttemptId,
) -> anyhow::Result<CommandOutput> {
    let replay = match store.webhooks().replay(id, None, unix_ms()).await {
        Err(StoreError::Conflict(Conflict::UnknownAttempt)) => {
            bail!("no webhook attempt {id}; use the id of its X-NEXO-Attempt-Id header")
        }
        replay => replay?,
    };
    let replayed = match send(config, store, replay).await? {
        Some(replayed) => replayed,
        None => sent_by_gateway(config, store, replay).await?,
    };
    let json = json!({ "attempt_id": replay, "status_code": replayed.status_code });
    Ok(match (replayed.error, replayed.status_code) {
        (None, Some(code)) => {
            let ms = replayed.duration_ms;
            let text = format!("Sent again as attempt {replay}: status {code} in {ms} ms.");
            CommandOutput::new(text, json)
        }
        (error, _) => {
            let error = error.unwrap_or_else(|| "no response".to_owned());
            let text = format!("Sent again as attempt {replay}.");
            let failure = format!("the receiver did not accept it: {error}");
            CommandOutput::new(text, json).failed(Some(failure))
        }
    })
}

/// Sends the replay from this process. Returns `None` if the running gateway claimed it first.
async fn send(
    config: &Config,
    store: &Store,
    id: WebhookAttemptId,
) -> anyhow::Result<Option<Replayed>> {
    // If this process dies now, the node's next start marks the attempt as unknown.
    let node = NodeEpoch { node: config.cluster.node_name().into(), epoch: 0 };
    let Some(claimed) = store.webhooks().claim_one(&node, id, unix_ms()).await? else {
        return Ok(None);
    };
    let timeout = Duration::from_millis(config.webhooks.timeout_ms);
    let resolver = Resolver::start(&config.dns.servers)?;
    let client = WebhookClient::new(rules(config), timeout, resolver)?;
    let outgoing = outgoing(claimed);
    let sent = client.send(&outgoing).await;
    if let Some(shortage) = sent.shortage {
        let name = node.node.as_ref();
        store.webhooks().release(&[(id, name)]).await?;
        bail!("attempt {id} is not sent yet: {shortage}; the running gateway sends it");
    }
    let end = finished(&outgoing, sent);
    store.webhooks().finish(std::slice::from_ref(&end)).await?;
    Ok(Some(Replayed {
        status_code: end.status_code,
        duration_ms: end.duration_ms,
        error: end.error,
    }))
}

/// Waits until the running gateway has sent the replay.
async fn sent_by_gateway(
    config: &Config,
    store: &Store,
    id: WebhookAttemptId,
) -> anyhow::Result<Replayed> {
    // The timeout applies to the response head, and once more to its body.
    let timeout = Duration::from_millis(config.webhooks.timeout_ms) * 2 + GATEWAY_GRACE;
    let finished = async {
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        loop {
            poll.tick().await;
            let attempt = store.webhooks().attempt(id).await?;
            let attempt = attempt.filter(|attempt| attempt.finished_at_ms.is_some());
            if let Some(attempt) = attempt {
                return anyhow::Ok(attempt);
            }
        }
    };
    let Ok(attempt) = tokio::time::timeout(timeout, finished).await else {
        bail!(
            "the running gateway has claimed attempt {id} but not finished it; check again later"
        );
    };
    let attempt = attempt?;
    let error = match attempt.status.as_str() {
        "delivered" => None,
        _ => Some(attempt.error.unwrap_or(attempt.status)),
    };
    Ok(Replayed {
        status_code: attempt.status_code.and_then(|code| u16::try_from(code).ok()),
        duration_ms: attempt.duration_ms.unwrap_or(0),
        error,
    })
}
