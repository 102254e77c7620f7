//! Opens the configured database for a command, and looks up accounts by e-mail address.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use nexo_domain::ids::AccountId;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::Account;

use crate::config::Config;

/// A command needs one writing transaction at a time.
const LANES: u32 = 1;

/// Opens the database.
///
/// # Errors
/// If the database does not exist or its schema is not current; the message names the command to run.
pub async fn open(config: &Config) -> anyhow::Result<Store> {
    let store = open_any_schema(config).await?;
    store
        .check_migrations(&nexo_migration::names())
        .await
        .with_context(|| format!("the database {} is not ready", config.database.masked_url()))?;
    Ok(store)
}

/// Opens the database whatever its schema.
///
/// # Errors
/// If the database does not exist; the message names the command to run.
pub async fn open_any_schema(config: &Config) -> anyhow::Result<Store> {
    if let Some(file) = config.database.sqlite_file()
        && !Path::new(file).exists()
    {
        bail!("database {file} does not exist: run `nexo migrate up`, or start `nexo serve`");
    }
    open_or_create(config).await
}

/// Opens the database. Creates an SQLite file if it does not exist.
///
/// # Errors
/// If the database cannot be opened or created.
pub async fn open_or_create(config: &Config) -> anyhow::Result<Store> {
    crate::database::connect(&config.database, LANES).await
}

/// Returns the account with this e-mail address, closed or not.
///
/// # Errors
/// If there is none.
pub async fn account(store: &Store, email: &str) -> anyhow::Result<Account> {
    let account = store.accounts().by_email(email).await?;
    account.with_context(|| format!("no account {email}; `nexo account list` shows all accounts"))
}

/// Returns the account with this e-mail address.
///
/// # Errors
/// If there is none, or it is closed.
pub async fn open_account(store: &Store, email: &str) -> anyhow::Result<Account> {
    let account = account(store, email).await?;
    match account.closed_at_ms {
        None => Ok(account),
        Some(_) => bail!("account {email} is closed; create another one"),
    }
}

/// Returns the id of an optional account filter.
///
/// # Errors
/// If there is no such account.
pub async fn account_filter(
    store: &Store,
    email: Option<&str>,
) -> anyhow::Result<Option<AccountId>> {
    match email {
        None => Ok(None),
        Some(email) => Ok(Some(account(store, email).await?.id)),
    }
}

/// Returns the e-mail address of each account.
///
/// # Errors
/// If the database cannot be read.
pub async fn emails(store: &Store) -> anyhow::Result<HashMap<AccountId, String>> {
    let accounts = store.accounts().all().await?;
    Ok(accounts.into_iter().map(|a| (a.id, a.email)).collect())
}
