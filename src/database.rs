//! Opening the configured database, and saying in one line what mends it when that fails.

use anyhow::anyhow;
use nexo_entities::store::{Store, StoreError};

use crate::config::database::DatabaseConfig;

const ANOTHER: &str = "or set database.url to another place";

/// Opens the database, creating an SQLite file and its directory where there is none.
///
/// `lanes` is how many transactions write at once on PostgreSQL.
///
/// # Errors
/// In one line, with the mend.
pub async fn connect(config: &DatabaseConfig, lanes: u32) -> anyhow::Result<Store> {
    Store::connect(&config.url, lanes).await.map_err(explain)
}

/// The store's own words, and the mend where they name none. What the driver adds says the same
/// several times over, so only its last word is kept.
fn explain(error: StoreError) -> anyhow::Error {
    match &error {
        StoreError::CannotCreateDirectory { source, .. } => anyhow!(
            "{error}: {source}; make the directory above it writable for this user, {ANOTHER}"
        ),
        StoreError::CannotOpen { source, .. } => {
            anyhow!("{error}: {}; mend that, {ANOTHER}", last_word(source))
        }
        StoreError::NotADatabase { .. } => anyhow!("{error}: move it away, {ANOTHER}"),
        StoreError::Unreachable {
            source: Some(source),
            ..
        } => anyhow!("{error}: {}; start it, {ANOTHER}", last_word(source)),
        StoreError::Unreachable { source: None, .. } => anyhow!("{error}; start it, {ANOTHER}"),
        _ => anyhow!("{error}"),
    }
}

fn last_word(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
