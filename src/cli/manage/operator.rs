//! `nexo operator`: the audit log of operators, and reviews of suspicious traffic.

use anyhow::bail;
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::Store;
use nexo_entities::store::operations::operator_log::Operator;
use serde_json::json;
use uuid::Uuid;

use crate::cli::output::CommandOutput;
use crate::cli::{args, database};
use crate::config::Config;

/// The maximum number of listed reviews.
const MAX_REVIEWS: u32 = 10_000;

/// The subcommands of `nexo operator`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Audit log: what operators have done, latest first
    Actions {
        /// Only actions on this account
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
        /// Maximum number of actions
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// List open reviews of suspicious traffic
    Reviews {
        /// Include closed reviews
        #[arg(long)]
        all: bool,
    },
    /// Close a review with a note
    CloseReview {
        /// The review's id, as shown by `nexo operator reviews`
        id: Uuid,
        /// The findings
        #[arg(long, value_parser = args::note)]
        note: String,
    },
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    match command {
        Command::Actions { account, limit } => actions(&store, account.as_deref(), limit).await,
        Command::Reviews { all } => reviews(&store, all).await,
        Command::CloseReview { id, note } => {
            let by = Operator::COMMAND_LINE;
            if !store.operations().close_review(by, id, &note, unix_ms()).await? {
                bail!("no open review {id}; `nexo operator reviews` shows them");
            }
            Ok(CommandOutput::new(
                format!("Closed review {id}."),
                json!({ "id": id, "note": note }),
            ))
        }
    }
}

async fn actions(store: &Store, email: Option<&str>, limit: u32) -> anyhow::Result<CommandOutput> {
    let account = database::account_filter(store, email).await?;
    let operations = store.operations();
    Ok(CommandOutput::list(
        "actions",
        &operations.operator_actions(account, None, limit).await?,
        "No actions yet.",
        ["AT", "OPERATOR", "ACTION", "ACCOUNT", "SUBJECT", "DETAIL"],
        |action| {
            [
                rfc3339(action.at_ms),
                action.operator.clone(),
                action.action.clone(),
                action.email.clone().unwrap_or_default(),
                action.subject.clone().unwrap_or_default(),
                action.detail.clone().unwrap_or_default(),
            ]
        },
        |action| {
            json!({
                "at": rfc3339(action.at_ms),
                "operator": action.operator,
                "action": action.action,
                "account": action.email,
                "subject": action.subject,
                "detail": action.detail,
            })
        },
    ))
}

async fn reviews(store: &Store, include_closed: bool) -> anyhow::Result<CommandOutput> {
    let operations = store.operations();
    Ok(CommandOutput::list(
        "reviews",
        &operations.reviews(!include_closed, MAX_REVIEWS).await?,
        "No open reviews.",
        ["ACCOUNT", "KEY", "REASON", "FIGURES", "NOTE", "ID"],
        |review| {
            [
                review.email.clone(),
                review.key_name.clone(),
                review.suspicion.to_string(),
                review.detail.clone(),
                review.note.clone().unwrap_or_default(),
                review.id.to_string(),
            ]
        },
        |review| {
            json!({
                "id": review.id,
                "account": review.email,
                "key_id": review.key_id,
                "suspicion": review.suspicion.as_str(),
                "detail": review.detail,
                "windows": review.windows,
                "opened_at": rfc3339(review.opened_at_ms),
                "closed_at": review.closed_at_ms.map(rfc3339),
                "note": review.note,
            })
        },
    ))
}
