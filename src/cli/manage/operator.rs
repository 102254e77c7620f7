//! `nexo operator`: what operators look at beside accounts and money.

use anyhow::bail;
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::operations::operator_log::Operator;
use serde_json::json;
use uuid::Uuid;

use crate::cli::output::{Answer, table};
use crate::cli::{args, database};
use crate::config::Config;

/// What operators do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what operators have done, the latest first
    Actions {
        /// Only what was about this account
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// List suspicious bursts: those that wait to be looked at, or all
    Reviews {
        /// Closed ones too
        #[arg(long)]
        all: bool,
    },
    /// Close a review, with what was found
    CloseReview {
        id: Uuid,
        #[arg(long, value_parser = args::note)]
        note: String,
    },
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    match command {
        Command::Actions { account, limit } => {
            let account = match account {
                Some(email) => Some(database::account(&store, &email).await?.id),
                None => None,
            };
            let actions = store.operator_actions(account, None, limit).await?;
            let rows: Vec<_> = actions
                .iter()
                .map(|action| {
                    [
                        rfc3339(action.at_ms),
                        action.operator.clone(),
                        action.action.clone(),
                        action.email.clone().unwrap_or_default(),
                        action.subject.clone().unwrap_or_default(),
                        action.detail.clone().unwrap_or_default(),
                    ]
                })
                .collect();
            let list: Vec<_> = actions
                .iter()
                .map(|action| {
                    json!({
                        "at": rfc3339(action.at_ms),
                        "operator": action.operator,
                        "action": action.action,
                        "account": action.email,
                        "subject": action.subject,
                        "detail": action.detail,
                    })
                })
                .collect();
            let text = match rows.is_empty() {
                true => "No operator has done anything yet.".to_owned(),
                false => table(
                    ["AT", "OPERATOR", "ACTION", "ACCOUNT", "SUBJECT", "DETAIL"],
                    &rows,
                ),
            };
            Ok(Answer::new(text, json!({ "actions": list })))
        }
        Command::Reviews { all } => {
            let reviews = store.reviews(!all, 10_000).await?;
            let rows: Vec<_> = reviews
                .iter()
                .map(|review| {
                    [
                        review.email.clone(),
                        review.key_name.clone(),
                        review.suspicion.to_string(),
                        review.detail.clone(),
                        review.note.clone().unwrap_or_default(),
                        review.id.to_string(),
                    ]
                })
                .collect();
            let list: Vec<_> = reviews
                .iter()
                .map(|review| {
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
                })
                .collect();
            let text = match rows.is_empty() {
                true => "Nothing suspicious waits to be looked at.".to_owned(),
                false => table(["ACCOUNT", "KEY", "WHY", "FIGURES", "NOTE", "ID"], &rows),
            };
            Ok(Answer::new(text, json!({ "reviews": list })))
        }
        Command::CloseReview { id, note } => {
            let by = Operator::COMMAND_LINE;
            if !store.close_review(by, id, &note, unix_ms()).await? {
                bail!("there is no open review {id}: `nexo operator reviews` shows them");
            }
            Ok(Answer::new(
                format!("Closed the review {id}."),
                json!({ "id": id, "note": note }),
            ))
        }
    }
}
