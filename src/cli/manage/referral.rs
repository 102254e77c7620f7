//! `nexo referral`: lists referrals and their earnings, and revokes a referral.

use anyhow::bail;
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::money::Micros;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::billing::referrals::Referral;
use nexo_entities::store::operations::operator_log::Operator;
use serde::Serialize;

use crate::cli::output::CommandOutput;
use crate::cli::{args, database};
use crate::config::Config;

/// The maximum number of listed referrals.
const MAX_LISTED: u32 = 100_000;

/// The subcommands of `nexo referral`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List referrals and their earnings
    List {
        /// Only accounts that this account referred
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
    },
    /// Show an account's referral code and earnings
    Show {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
    },
    /// Revoke a referral permanently and reverse its pending commissions
    Revoke {
        /// The referred account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// Reason, for the audit log
        #[arg(long, value_parser = args::note)]
        reason: String,
    },
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    match command {
        Command::List { account } => {
            let referrer = database::account_filter(&store, account.as_deref()).await?;
            Ok(CommandOutput::list(
                "referrals",
                &store.billing().referrals(referrer, 0, MAX_LISTED).await?,
                "No referrals yet.",
                ["ACCOUNT", "REFERRER", "SINCE", "ACCRUED", "PENDING", "STATE"],
                row,
                referral_json,
            ))
        }
        Command::Show { account } => {
            let owner = database::account(&store, &account).await?;
            let earned = store.billing().earnings(owner.id).await?;
            let code = &owner.referral_code;
            let link = format!("{}/en?ref={code}", config.server.public_url.trim_end_matches('/'));
            let text = format!(
                "Referral code of {account}: {code}\nLink: {link}\n\
                 Referred accounts: {}. Accrued {} USD, pending {} USD, paid out {} USD.",
                earned.people, earned.accrued, earned.pending, earned.paid
            );
            let json = EarningsJson {
                account: &account,
                code,
                link: &link,
                people: earned.people,
                accrued: earned.accrued,
                pending: earned.pending,
                paid: earned.paid,
            };
            Ok(CommandOutput::new(text, json))
        }
        Command::Revoke { account, reason } => {
            let owner = database::account(&store, &account).await?;
            let by = Operator::COMMAND_LINE;
            let reversed =
                store.billing().revoke_referral(by, owner.id, &reason, unix_ms()).await?;
            let Some(reversed) = reversed else {
                bail!("{account} was not referred, or its referral is already revoked")
            };
            Ok(CommandOutput::new(
                format!(
                    "Revoked the referral of {account}. Reversed {reversed} USD of pending commissions."
                ),
                RevokedJson { account: &account, reversed },
            ))
        }
    }
}

fn row(referral: &Referral) -> [String; 6] {
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
}

#[derive(Serialize)]
struct EarningsJson<'a> {
    account: &'a str,
    code: &'a str,
    link: &'a str,
    people: i64,
    accrued: Micros,
    pending: Micros,
    paid: Micros,
}

#[derive(Serialize)]
struct RevokedJson<'a> {
    account: &'a str,
    reversed: Micros,
}

#[derive(Serialize)]
struct ReferralJson<'a> {
    account: &'a str,
    referrer: &'a str,
    created_at: String,
    accrued: Micros,
    pending: Micros,
    ended_at: Option<String>,
    revoked: bool,
    reason: Option<&'a str>,
}

fn referral_json(referral: &Referral) -> ReferralJson<'_> {
    ReferralJson {
        account: &referral.email,
        referrer: &referral.referrer_email,
        created_at: rfc3339(referral.created_at_ms),
        accrued: referral.accrued,
        pending: referral.pending,
        ended_at: referral.ended_at_ms.map(rfc3339),
        revoked: referral.revoked,
        reason: referral.ended_for.as_deref(),
    }
}
