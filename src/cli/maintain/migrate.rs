//! `nexo migrate`.

use anyhow::Context;
use clap::Subcommand;
use nexo_entities::store::Store;
use nexo_migration::MigrationStatus;
use serde_json::json;

use crate::cli::database;
use crate::cli::output::{Answer, table};
use crate::config::Config;

/// What can be done with the schema.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create the database where there is none, and apply the steps that it lacks
    Up,
    /// Take the last step back, with the data in its tables
    Down {
        /// How many steps
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
    },
    /// List the steps
    Status,
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    match command {
        Command::Up => up(config).await,
        Command::Down { steps } => down(config, steps).await,
        Command::Status => status(config).await,
    }
}

async fn up(config: &Config) -> anyhow::Result<Answer> {
    let store = database::connect(config).await?;
    let before = steps(&store).await?;
    nexo_migration::up(store.connection())
        .await
        .context("the schema was left as it was")?;
    let applied: Vec<String> = names(&before, false).collect();
    let url = config.database.masked_url();
    let text = match applied.is_empty() {
        true => format!("The database {url} has the current schema."),
        false => format!("Applied to {url}: {}.", applied.join(", ")),
    };
    Ok(Answer::new(text, json!({ "applied": applied })))
}

async fn down(config: &Config, count: u32) -> anyhow::Result<Answer> {
    let store = database::present(config).await?;
    let before = steps(&store).await?;
    nexo_migration::down(store.connection(), count)
        .await
        .context("the schema was left as it was")?;
    let after: Vec<String> = names(&steps(&store).await?, true).collect();
    let taken: Vec<String> = names(&before, true)
        .filter(|name| !after.contains(name))
        .collect();
    let text = match taken.is_empty() {
        true => "There was no step to take back.".to_owned(),
        false => format!(
            "Took back: {}. `nexo migrate up` applies it again, without the data.",
            taken.join(", ")
        ),
    };
    Ok(Answer::new(text, json!({ "reverted": taken })))
}

async fn status(config: &Config) -> anyhow::Result<Answer> {
    let store = database::present(config).await?;
    let steps = steps(&store).await?;
    let state = |step: &MigrationStatus| if step.applied { "applied" } else { "missing" };
    let rows: Vec<_> = steps
        .iter()
        .map(|step| [step.name.clone(), state(step).to_owned()])
        .collect();
    let mut text = table(["STEP", "STATE"], &rows);
    if steps.iter().any(|step| !step.applied) {
        text.push_str("\n\nApply what is missing:  nexo migrate up");
    }
    let list: Vec<_> = steps
        .iter()
        .map(|step| json!({ "name": step.name, "applied": step.applied }))
        .collect();
    Ok(Answer::new(text, json!({ "migrations": list })))
}

async fn steps(store: &Store) -> anyhow::Result<Vec<MigrationStatus>> {
    nexo_migration::status(store.connection())
        .await
        .context("the schema's steps cannot be read")
}

fn names(steps: &[MigrationStatus], applied: bool) -> impl Iterator<Item = String> {
    steps
        .iter()
        .filter(move |step| step.applied == applied)
        .map(|step| step.name.clone())
}
