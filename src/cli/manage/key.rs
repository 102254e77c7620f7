//! `nexo key`.

use anyhow::Context;
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::account::client_ip::parse_entry;
use nexo_domain::ids::KeyId;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::api_keys::{Key, NewKey};
use rand::Rng;
use serde_json::json;

use crate::cli::output::{Answer, table};
use crate::cli::{args, database};
use crate::config::Config;

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key; it is shown this once
    Create {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// What tells it from the account's other keys
        #[arg(long, value_parser = args::name)]
        name: String,
        /// A key that reaches the sandbox carrier only, for nothing
        #[arg(long)]
        test: bool,
        /// An address or CIDR range from which it may be used; may be repeated [default: any]
        #[arg(long, value_name = "CIDR", value_parser = allow)]
        allow: Vec<String>,
    },
    /// List keys
    List {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
    },
    /// Revoke a key; it stops working within a second
    Revoke {
        /// The id that `nexo key list` shows
        id: KeyId,
    },
}

/// An allowlist entry, as it is kept.
fn allow(text: &str) -> Result<String, String> {
    let entry = parse_entry(text).map_err(|error| error.to_string())?;
    Ok(entry.to_string())
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    match command {
        Command::Create {
            account,
            name,
            test,
            allow,
        } => create(&store, &account, &name, test, &allow).await,
        Command::List { account } => list(&store, account.as_deref()).await,
        Command::Revoke { id } => revoke(&store, id).await,
    }
}

async fn create(
    store: &Store,
    email: &str,
    name: &str,
    test: bool,
    allowlist: &[String],
) -> anyhow::Result<Answer> {
    let account = database::open_account(store, email).await?;
    let mode = if test { KeyMode::Test } else { KeyMode::Live };
    let mut random = [0; 96];
    rand::rng().fill_bytes(&mut random);
    let key = ApiKey::from_random(mode, &random)?;
    let id = store
        .create_key(NewKey {
            account_id: account.id,
            name,
            hash: key.hash(),
            hint: key.hint(),
            test,
            allowlist,
            created_at_ms: unix_ms(),
        })
        .await?;
    let from = match allowlist.is_empty() {
        true => "any address".to_owned(),
        false => allowlist.join(", "),
    };
    let text = format!(
        "Made the key {name:?} of {email}, to be used from {from}. It is shown this once:\n\n  {}\n\n\
         Revoke it with:  nexo key revoke {id}",
        key.reveal()
    );
    Ok(Answer::new(text, json!({ "id": id, "key": key.reveal() })))
}

async fn list(store: &Store, email: Option<&str>) -> anyhow::Result<Answer> {
    let account = match email {
        None => None,
        Some(email) => Some(database::account(store, email).await?.id),
    };
    let keys = store.keys(account).await?;
    let emails = database::emails(store).await?;
    let email_of = |key: &Key| emails.get(&key.account_id).cloned().unwrap_or_default();
    let list: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "id": key.id,
                "account": email_of(key),
                "name": key.name,
                "hint": key.hint,
                "test": key.test,
                "allowlist": key.allowlist,
                "created_at": rfc3339(key.created_at_ms),
                "last_used_at": key.last_used_at_ms.map(rfc3339),
                "revoked_at": key.revoked_at_ms.map(rfc3339),
            })
        })
        .collect();
    let rows: Vec<_> = keys.iter().map(|key| row(key, email_of(key))).collect();
    let text = match rows.is_empty() {
        true => "No key yet: nexo key create --account EMAIL --name NAME".to_owned(),
        false => table(
            ["ACCOUNT", "NAME", "KEY", "STATE", "FROM", "LAST USED", "ID"],
            &rows,
        ),
    };
    Ok(Answer::new(text, json!({ "keys": list })))
}

fn row(key: &Key, email: String) -> [String; 7] {
    let kind = if key.test { "sk_test_" } else { "sk_live_" };
    let state = match key.revoked_at_ms {
        None => "active".to_owned(),
        Some(at) => format!("revoked {}", rfc3339(at)),
    };
    let from = match key.allowlist.is_empty() {
        true => "any".to_owned(),
        false => key.allowlist.join(", "),
    };
    [
        email,
        key.name.clone(),
        format!("{kind}…{}", key.hint),
        state,
        from,
        key.last_used_at_ms.map_or("never".to_owned(), rfc3339),
        key.id.to_string(),
    ]
}

async fn revoke(store: &Store, id: KeyId) -> anyhow::Result<Answer> {
    let now = store.revoke_key(id, None, unix_ms()).await?;
    let text = match now {
        true => format!("Revoked the key {id}. Requests with it are refused within a second."),
        false => {
            store
                .keys(None)
                .await?
                .into_iter()
                .find(|key| key.id == id)
                .with_context(|| {
                    format!("there is no key {id}: `nexo key list` shows those that are there")
                })?;
            format!("The key {id} was revoked before.")
        }
    };
    Ok(Answer::new(text, json!({ "id": id, "revoked": true })))
}
