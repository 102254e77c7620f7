//! The configured database, for commands that work on what is in it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use nexo_domain::ids::AccountId;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::accounts::Account;

use crate::config::Config;

/// A command works alone.
const LANES: u32 = 1;

/// Opens the database, which must be there and have the current schema.
///
/// # Errors
/// In one line, with the command that mends it.
pub async fn open(config: &Config) -> anyhow::Result<Store> {
    let store = present(config).await?;
    store
        .migrations_current(&nexo_migration::names())
        .await
        .with_context(|| format!("the database {} is not ready", config.database.masked_url()))?;
    Ok(store)
}

/// Opens the database, which must be there, whatever its schema.
///
/// # Errors
/// In one line, with the command that mends it.
pub async fn present(config: &Config) -> anyhow::Result<Store> {
    if let Some(file) = config.database.sqlite_file()
        && !Path::new(file).exists()
    {
        bail!("there is no database {file}: run `nexo migrate up`, or start `nexo serve`");
    }
    connect(config).await
}

/// Opens the database, creating an SQLite file where there is none.
///
/// # Errors
/// In one line, with what mends it.
pub async fn connect(config: &Config) -> anyhow::Result<Store> {
    crate::database::connect(&config.database, LANES).await
}

/// The account of this e-mail address, closed or not.
///
/// # Errors
/// When there is none.
pub async fn account(store: &Store, email: &str) -> anyhow::Result<Account> {
    let account = store.account_by_email(email).await?;
    account.with_context(|| {
        format!("there is no account {email}: `nexo account list` shows those that are there")
    })
}

/// The account of this e-mail address, which must not be closed.
///
/// # Errors
/// When there is none, or it is closed.
pub async fn open_account(store: &Store, email: &str) -> anyhow::Result<Account> {
    let account = account(store, email).await?;
    match account.closed_at_ms {
        None => Ok(account),
        Some(_) => bail!("the account {email} is closed: create another one"),
    }
}

/// Every account's e-mail address.
///
/// # Errors
/// What the database fails with.
pub async fn emails(store: &Store) -> anyhow::Result<HashMap<AccountId, String>> {
    let accounts = store.accounts().await?;
    Ok(accounts.into_iter().map(|a| (a.id, a.email)).collect())
}
