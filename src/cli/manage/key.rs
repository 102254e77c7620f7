//! `nexo key`: creates, lists and revokes API keys. A key is shown once, when it is created.

use anyhow::Context;
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::KeyMode;
use nexo_domain::account::client_ip::parse_entry;
use nexo_domain::ids::KeyId;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::api_keys::{Key, NewKey};
use serde_json::json;

use crate::cli::output::CommandOutput;
use crate::cli::{args, database};
use crate::config::Config;
use crate::secrets::new_api_key;

/// The subcommands of `nexo key`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a key; it is shown only once
    Create {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// A name to distinguish it from the account's other keys
        #[arg(long, value_parser = args::name)]
        name: String,
        /// Create a test key: it calls only the sandbox carrier, free of charge
        #[arg(long)]
        test: bool,
        /// An address or CIDR range that may use the key; repeatable [default: any]
        #[arg(long, value_name = "CIDR", value_parser = allow)]
        allow: Vec<String>,
    },
    /// List keys
    List {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
    },
    /// Revoke a key: it stops working within a second
    Revoke {
        /// The key's id, as shown by `nexo key list`
        id: KeyId,
    },
}

/// Parses an allowlist entry and normalizes it.
fn allow(text: &str) -> Result<String, String> {
    let entry = parse_entry(text).map_err(|error| error.to_string())?;
    Ok(entry.to_string())
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    match command {
        Command::Create { account, name, test, allow } => {
            create(&store, &account, &name, test, &allow).await
        }
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
) -> anyhow::Result<CommandOutput> {
    let account = database::open_account(store, email).await?;
    let mode = if test { KeyMode::Test } else { KeyMode::Live };
    let key = new_api_key(mode)?;
    let id = store
        .accounts()
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
        "Created key {name:?} for {email}, valid from {from}. It is shown only once:\n\n  {}\n\n\
         Revoke it with:  nexo key revoke {id}",
        key.reveal()
    );
    Ok(CommandOutput::new(text, json!({ "id": id, "key": key.reveal() })))
}

async fn list(store: &Store, email: Option<&str>) -> anyhow::Result<CommandOutput> {
    let account = database::account_filter(store, email).await?;
    let keys = store.accounts().keys(account).await?;
    let emails = database::emails(store).await?;
    let email_of = |key: &Key| emails.get(&key.account_id).cloned().unwrap_or_default();
    Ok(CommandOutput::list(
        "keys",
        &keys,
        "No keys yet. Create one: nexo key create --account EMAIL --name NAME",
        ["ACCOUNT", "NAME", "KEY", "STATE", "FROM", "LAST USED", "ID"],
        |key| row(key, email_of(key)),
        |key| {
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
        },
    ))
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

async fn revoke(store: &Store, id: KeyId) -> anyhow::Result<CommandOutput> {
    let revoked = store.accounts().revoke_key(id, None, unix_ms()).await?;
    let text = match revoked {
        true => format!("Revoked key {id}. It stops working within a second."),
        false => {
            store
                .accounts()
                .keys(None)
                .await?
                .into_iter()
                .find(|key| key.id == id)
                .with_context(|| format!("no key {id}; `nexo key list` shows all keys"))?;
            format!("Key {id} was already revoked.")
        }
    };
    Ok(CommandOutput::new(text, json!({ "id": id, "revoked": true })))
}
