//! `nexo audit`.

use nexo_actors::clock::unix_ms;
use serde_json::json;

use crate::cli::database;
use crate::cli::output::{Answer, table};
use crate::config::Config;

/// Checks every invariant of the ledger.
///
/// # Errors
/// When the database cannot be read; a broken invariant is an answer that failed.
pub async fn run(config: &Config) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    let checks = store.audit(unix_ms()).await?;
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
    let answer = Answer::new(table(["", "CHECK", "FIGURES"], &rows), json);
    Ok(match broken.is_empty() {
        true => answer,
        false => answer.failed(Some(format!(
            "broken: {}; stop the gateway and compare with a backup before anything is credited",
            broken.join(", ")
        ))),
    })
}
