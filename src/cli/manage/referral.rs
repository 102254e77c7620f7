//! `nexo referral`.

use anyhow::bail;
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::billing::referrals::Referral;
use nexo_entities::store::operations::operator_log::Operator;
use serde_json::json;

use crate::cli::output::{Answer, table};
use crate::cli::{args, database};
use crate::config::Config;

/// The most referrals that are listed.
const MOST: u32 = 100_000;

/// What can be done with referrals.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List who was brought by whom, and what that has earned
    List {
        /// Only whom this account brought
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
    },
    /// Show an account's code and earnings
    Show {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
    },
    /// End a referral for good and reverse what is pending of it
    Revoke {
        /// The e-mail address of the account that was brought
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// Why
        #[arg(long, value_parser = args::note)]
        reason: String,
    },
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    match command {
        Command::List { account } => {
            let referrer = match account {
                Some(email) => Some(database::account(&store, &email).await?.id),
                None => None,
            };
            Ok(listed(&store.referrals(referrer, 0, MOST).await?))
        }
        Command::Show { account } => {
            let owner = database::account(&store, &account).await?;
            let earned = store.earnings(owner.id).await?;
            let code = &owner.referral_code;
            let link = format!(
                "{}/en?ref={code}",
                config.server.public_url.trim_end_matches('/')
            );
            let text = format!(
                "{account} has the code {code}: {link}\n\
                 People: {}. Accrued {} USD, pending {}, paid out {}.",
                earned.people, earned.accrued, earned.pending, earned.paid
            );
            let json = format!(
                concat!(
                    r#"{{"account":{},"code":"{}","link":{},"people":{},"accrued":{},"#,
                    r#""pending":{},"paid":{}}}"#
                ),
                json!(account),
                code,
                json!(link),
                earned.people,
                earned.accrued,
                earned.pending,
                earned.paid
            );
            Ok(Answer::with_json_text(text, json))
        }
        Command::Revoke { account, reason } => {
            let owner = database::account(&store, &account).await?;
            let by = Operator::COMMAND_LINE;
            let reversed = store
                .revoke_referral(by, owner.id, &reason, unix_ms())
                .await?;
            let Some(reversed) = reversed else {
                bail!("{account} was brought by nobody, or its referral is revoked already")
            };
            Ok(Answer::with_json_text(
                format!("Revoked. {reversed} USD that were pending are reversed."),
                format!(r#"{{"account":{},"reversed":{reversed}}}"#, json!(account)),
            ))
        }
    }
}

fn listed(referrals: &[Referral]) -> Answer {
    let rows: Vec<_> = referrals
        .iter()
        .map(|referral| {
            let state = match (referral.ended_at_ms, referral.revoked) {
                (None, _) => "active".to_owned(),
                (Some(at), true) => format!("revoked {}", rfc3339(at)),
                (Some(at), false) => format!("ended {}", rfc3339(at)),
            };
            [
                referral.email.clone(),
                referral.referrer_email.clone(),
                rfc3339(referral.created_at_ms),
                referral.accrued.to_string(),
                referral.pending.to_string(),
                state,
            ]
        })
        .collect();
    let text = match rows.is_empty() {
        true => "Nobody was brought by anybody yet.".to_owned(),
        false => table(
            [
                "ACCOUNT",
                "BROUGHT BY",
                "SINCE",
                "ACCRUED",
                "PENDING",
                "STATE",
            ],
            &rows,
        ),
    };
    let one = |referral: &Referral| {
        format!(
            concat!(
                r#"{{"account":{},"referrer":{},"created_at":"{}","accrued":{},"pending":{},"#,
                r#""ended_at":{},"revoked":{},"reason":{}}}"#
            ),
            json!(referral.email),
            json!(referral.referrer_email),
            rfc3339(referral.created_at_ms),
            referral.accrued,
            referral.pending,
            json!(referral.ended_at_ms.map(rfc3339)),
            referral.revoked,
            json!(referral.ended_for),
        )
    };
    let list = referrals.iter().map(one).collect::<Vec<_>>().join(",");
    Answer::with_json_text(text, format!(r#"{{"referrals":[{list}]}}"#))
}
