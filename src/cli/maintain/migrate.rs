//! `nexo migrate`: applies, reverts and lists the migrations of the database schema.

use anyhow::Context;
use clap::Subcommand;
use nexo_entities::store::Store;
use nexo_migration::MigrationStatus;
use serde_json::json;

use crate::cli::database;
use crate::cli::output::{CommandOutput, table};
use crate::config::Config;

/// The subcommands of `nexo migrate`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Apply all missing migrations; creates an SQLite database that does not exist
    Up,
    /// Revert the last migration and delete the data in its tables
    Down {
        /// Number of migrations to revert
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
    },
    /// List the migrations
    Status,
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    match command {
        Command::Up => up(config).await,
        Command::Down { steps } => down(config, steps).await,
        Command::Status => status(config).await,
    }
}

async fn up(config: &Config) -> anyhow::Result<CommandOutput> {
    let store = database::open_or_create(config).await?;
    let before = migrations(&store).await?;
    nexo_migration::up(store.connection()).await.context("the schema is unchanged")?;
    let applied: Vec<String> = names(&before, false).collect();
    let url = config.database.masked_url();
    let text = match applied.is_empty() {
        true => format!("The schema of {url} is up to date."),
        false => format!("Applied to {url}: {}.", applied.join(", ")),
    };
    Ok(CommandOutput::new(text, json!({ "applied": applied })))
}

async fn down(config: &Config, count: u32) -> anyhow::Result<CommandOutput> {
    let store = database::open_any_schema(config).await?;
    let before = migrations(&store).await?;
    nexo_migration::down(store.connection(), count).await.context("the schema is unchanged")?;
    let after: Vec<String> = names(&migrations(&store).await?, true).collect();
    let reverted: Vec<String> = names(&before, true).filter(|name| !after.contains(name)).collect();
    let text = match reverted.is_empty() {
        true => "No migrations to revert.".to_owned(),
        false => format!(
            "Reverted: {}. `nexo migrate up` applies them again, without the data.",
            reverted.join(", ")
        ),
    };
    Ok(CommandOutput::new(text, json!({ "reverted": reverted })))
}

async fn status(config: &Config) -> anyhow::Result<CommandOutput> {
    let store = database::open_any_schema(config).await?;
    let migrations = migrations(&store).await?;
    let state = |m: &MigrationStatus| if m.applied { "applied" } else { "missing" };
    let rows: Vec<_> = migrations.iter().map(|m| [m.name.clone(), state(m).to_owned()]).collect();
    let mut text = table(["MIGRATION", "STATE"], &rows);
    if migrations.iter().any(|m| !m.applied) {
        text.push_str("\n\nApply missing migrations: nexo migrate up");
    }
    let list: Vec<_> =
        migrations.iter().map(|m| json!({ "name": m.name, "applied": m.applied })).collect();
    Ok(CommandOutput::new(text, json!({ "migrations": list })))
}

async fn migrations(store: &Store) -> anyhow::Result<Vec<MigrationStatus>> {
    nexo_migration::status(store.connection())
        .await
        .context("cannot read the migrations of the database")
}

/// The names of the migrations that are applied, or of those that are not.
fn names(migrations: &[MigrationStatus], applied: bool) -> impl Iterator<Item = String> {
    let matching = migrations.iter().filter(move |m| m.applied == applied);
    matching.map(|m| m.name.clone())
}
