//! `nexo webhook`.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_actors::webhook::client::{TargetRules, WebhookClient};
use nexo_actors::webhook::{finished, outgoing};
use nexo_domain::ids::WebhookAttemptId;
use nexo_domain::timestamp::rfc3339;
use nexo_domain::webhook::HashedSecret;
use nexo_entities::store::ledger::posting::NodeEpoch;
use nexo_entities::store::webhooks::endpoints::NewEndpoint;
use nexo_entities::store::{Conflict, Store, StoreError};
use rand::Rng;
use serde_json::json;

use crate::cli::output::{Answer, table};
use crate::cli::{args, database};
use crate::config::Config;

/// How often is looked whether the running gateway has sent a replay.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the running gateway may take to begin a replay that it has claimed, and to write its end.
const GATEWAY_GRACE: Duration = Duration::from_secs(5);

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add an endpoint; its secret is shown this once
    Add {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// An https URL on a public address
        #[arg(long)]
        url: String,
    },
    /// List endpoints
    List {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
    },
    /// Send the same bytes to the same endpoint once more, and wait for its answer
    Replay {
        /// The id that came as X-NEXO-Attempt-Id
        attempt: WebhookAttemptId,
    },
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    match command {
        Command::Add { account, url } => add(config, &store, &account, &url).await,
        Command::List { account } => list(&store, account.as_deref()).await,
        Command::Replay { attempt } => replay(config, &store, attempt).await,
    }
}

/// A new endpoint's secret, to be shown once: `whsec_` and Base64 of 24 random bytes.
pub fn new_secret() -> String {
    let mut random = [0; 24];
    rand::rng().fill_bytes(&mut random);
    format!("whsec_{}", STANDARD.encode(random))
}

async fn add(config: &Config, store: &Store, email: &str, url: &str) -> anyhow::Result<Answer> {
    let account = database::open_account(store, email).await?;
    let url = rules(config)
        .check_resolved(url.trim())
        .await
        .with_context(|| format!("{url} cannot be a webhook endpoint"))?;
    let secret = new_secret();
    let id = store
        .add_endpoint(NewEndpoint {
            account_id: account.id,
            url: url.as_str(),
            secret: HashedSecret::of(&secret),
            created_at_ms: unix_ms(),
        })
        .await?;
    let text = format!(
        "Added the endpoint {url} of {email} ({id}).\n\
         The secret that its events are signed with is shown this once:\n\n  {secret}"
    );
    Ok(Answer::new(text, json!({ "id": id, "secret": secret })))
}

fn rules(config: &Config) -> TargetRules {
    TargetRules {
        allow_private: config.webhooks.allow_private,
        allow_http: config.webhooks.allow_http,
    }
}

async fn list(store: &Store, email: Option<&str>) -> anyhow::Result<Answer> {
    let account = match email {
        None => None,
        Some(email) => Some(database::account(store, email).await?.id),
    };
    let endpoints = store.endpoints(account).await?;
    let emails = database::emails(store).await?;
    let email_of = |account| emails.get(&account).cloned().unwrap_or_default();
    let list: Vec<_> = endpoints
        .iter()
        .map(|endpoint| {
            json!({
                "id": endpoint.id,
                "account": email_of(endpoint.account_id),
                "url": endpoint.url,
                "created_at": rfc3339(endpoint.created_at_ms),
                "paused_at": endpoint.paused_at_ms.map(rfc3339),
            })
        })
        .collect();
    let rows: Vec<_> = endpoints
        .iter()
        .map(|endpoint| {
            let state = endpoint.paused_at_ms.map_or("active", |_| "paused");
            [
                email_of(endpoint.account_id),
                endpoint.url.clone(),
                state.to_owned(),
                rfc3339(endpoint.created_at_ms),
                endpoint.id.to_string(),
            ]
        })
        .collect();
    let text = match rows.is_empty() {
        true => "No endpoint yet: nexo webhook add --account EMAIL --url URL".to_owned(),
        false => table(["ACCOUNT", "URL", "STATE", "CREATED", "ID"], &rows),
    };
    Ok(Answer::new(text, json!({ "webhooks": list })))
}

/// What came of a replay.
struct Replayed {
    status_code: Option<u16>,
    duration_ms: i64,
    /// Why the receiver did not take it.
    error: Option<String>,
}

async fn replay(config: &Config, store: &Store, id: WebhookAttemptId) -> anyhow::Result<Answer> {
    let replay = match store.replay_webhook(id, None, unix_ms()).await {
        Err(StoreError::Conflict(Conflict::AttemptUnknown)) => {
            bail!("there is no webhook attempt {id}: its id came as X-NEXO-Attempt-Id")
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
            let text = format!("Sent again as attempt {replay}: answered {code} in {ms} ms.");
            Answer::new(text, json)
        }
        (error, _) => {
            let why = error.unwrap_or_else(|| "there was no answer".to_owned());
            let text = format!("Sent again as attempt {replay}.");
            let failure = format!("the receiver did not take it: {why}");
            Answer::new(text, json).failed(Some(failure))
        }
    })
}

/// Sends the replay from here, unless the running gateway was first to claim it.
async fn send(
    config: &Config,
    store: &Store,
    id: WebhookAttemptId,
) -> anyhow::Result<Option<Replayed>> {
    // Should this process die now, the node's next start marks the attempt as unknown.
    let node = NodeEpoch {
        node: config.cluster.node_name().into(),
        epoch: 0,
    };
    let Some(claimed) = store.claim_webhook(&node, id, unix_ms()).await? else {
        return Ok(None);
    };
    let timeout = Duration::from_millis(config.webhooks.timeout_ms);
    let client = WebhookClient::new(rules(config), timeout)?;
    let outgoing = outgoing(claimed);
    let sent = client.send(&outgoing).await;
    let end = finished(&outgoing, sent);
    store.finish_webhooks(std::slice::from_ref(&end)).await?;
    Ok(Some(Replayed {
        status_code: end.status_code,
        duration_ms: end.duration_ms,
        error: end.error,
    }))
}

async fn sent_by_gateway(
    config: &Config,
    store: &Store,
    id: WebhookAttemptId,
) -> anyhow::Result<Replayed> {
    // The answer's head may take the timeout, and its body once more.
    let patience = Duration::from_millis(config.webhooks.timeout_ms) * 2 + GATEWAY_GRACE;
    let ended = async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let attempt = store.webhook_attempt(id).await?;
            let ended = attempt.filter(|attempt| attempt.finished_at_ms.is_some());
            if let Some(attempt) = ended {
                return anyhow::Ok(attempt);
            }
        }
    };
    let Ok(attempt) = tokio::time::timeout(patience, ended).await else {
        bail!(
            "the running gateway has claimed the attempt {id} but not ended it: look again later"
        );
    };
    let attempt = attempt?;
    let error = match attempt.status.as_str() {
        "delivered" => None,
        _ => Some(attempt.error.unwrap_or(attempt.status)),
    };
    Ok(Replayed {
        status_code: attempt
            .status_code
            .and_then(|code| u16::try_from(code).ok()),
        duration_ms: attempt.duration_ms.unwrap_or(0),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_new_and_holds_24_random_bytes() {
        let secret = new_secret();
        let encoded = secret.strip_prefix("whsec_").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap().len(), 24);
        assert_ne!(new_secret(), secret);
    }
}
