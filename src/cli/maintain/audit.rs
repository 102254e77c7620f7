//! `nexo audit`: checks every invariant of the ledger. Changes nothing.

use nexo_actors::clock::unix_ms;
use serde_json::json;

use crate::cli::database;
use crate::cli::output::{CommandOutput, table};
use crate::config::Config;

/// Checks every invariant. A broken one gives a failed output, not an error.
///
/// # Errors
/// If the database cannot be read.
pub async fn run(config: &Config) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    let checks = store.ledger().audit(unix_ms()).await?;
    let broken: Vec<&str> = checks.iter().filter(|c| !c.ok).map(|c| c.name).collect();
    let rows: Vec<_> = checks
        .iter()
        .map(|check| {
            let mark = if check.ok { "ok" } else { "BROKEN" };
            [mark.to_owned(), check.name.to_owned(), check.detail.clone()]
        })
        .collect();
    let list: Vec<_> = checks
        .iter()
        .map(|check| json!({ "name": check.name, "ok": check.ok, "detail": check.detail }))
        .collect();
    let json = json!({ "ok": broken.is_empty(), "checks": list });
    let output = CommandOutput::new(table(["", "CHECK", "DETAILS"], &rows), json);
    Ok(match broken.is_empty() {
        true => output,
        false => output.failed(Some(format!(
            "broken: {}; stop the gateway and compare with a backup before crediting any account",
            broken.join(", ")
        ))),
    })
}
