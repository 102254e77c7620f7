//! `nexo account`.

use std::io::BufRead;

use anyhow::{Context, bail};
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::otp::Language;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::accounts::accounts::{Landing, NewAccount};
use nexo_entities::store::operations::operator_log::Operator;
use nexo_entities::store::{Conflict, Store, StoreError};
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::output::{Answer, table};
use crate::cli::{args, database};
use crate::config::Config;
use crate::password;

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open an account with an empty wallet
    Create {
        /// Its e-mail address; each has one account
        #[arg(long, value_parser = args::email)]
        email: String,
        /// For the dashboard, at least 10 characters; `-` reads it from standard input
        #[arg(long)]
        password: Option<String>,
        /// Let it see and decide what operators do
        #[arg(long)]
        operator: bool,
        /// The referral code by which it comes
        #[arg(long, value_name = "CODE")]
        referred_by: Option<String>,
    },
    /// List all accounts
    List,
    /// Suspend an account: its keys stop working within a second, nothing is lost
    Suspend {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// Why
        #[arg(long, value_parser = args::note)]
        reason: String,
    },
    /// End an account's suspension
    Resume {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
    },
    /// Close an account for good: its keys stop working, its cash is to be paid out
    ///
    /// Of a closed account, what refunds have brought since is to be paid out.
    Close {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email, alias = "email")]
        account: String,
    },
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    match command {
        Command::Create {
            email,
            password,
            operator,
            referred_by,
        } => create(&store, &email, password, operator, referred_by).await,
        Command::List => list(&store).await,
        Command::Suspend { account, reason } => suspend(&store, &account, &reason).await,
        Command::Resume { account } => resume(&store, &account).await,
        Command::Close { account } => close(&store, &account).await,
    }
}

async fn create(
    store: &Store,
    email: &str,
    password: Option<String>,
    operator: bool,
    referred_by: Option<String>,
) -> anyhow::Result<Answer> {
    let landing = referred_by.as_deref().map(|code| Landing {
        code,
        signed_in_as: None,
    });
    let password_hash = match password.map(Zeroizing::new) {
        None => None,
        Some(given) if given.as_str() == "-" => {
            Some(password::hash(&password_from_stdin()?, email)?)
        }
        Some(given) => Some(password::hash(&given, email)?),
    };
    let created = store
        .create_account_through(
            landing,
            NewAccount {
                email,
                password_hash,
                operator,
                language: None,
                page_language: None,
                created_at_ms: unix_ms(),
            },
        )
        .await;
    let id = match created {
        Err(StoreError::Conflict(Conflict::EmailTaken)) => {
            bail!("an account {email} exists already: `nexo account list` shows it")
        }
        created => created?,
    };
    let text = format!(
        "Opened the account {email} ({id}).\n\
         Give it a key:   nexo key create --account {email} --name NAME\n\
         Give it credit:  nexo wallet credit --account {email} --bucket balance --amount 10.00 --reference R"
    );
    Ok(Answer::new(text, json!({ "id": id, "email": email })))
}

fn password_from_stdin() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

async fn list(store: &Store) -> anyhow::Result<Answer> {
    let accounts = store.accounts().await?;
    let list: Vec<_> = accounts
        .iter()
        .map(|account| {
            json!({
                "id": account.id,
                "email": account.email,
                "operator": account.operator,
                "language": account.language.map(Language::code),
                "created_at": rfc3339(account.created_at_ms),
                "closed_at": account.closed_at_ms.map(rfc3339),
                "suspended_at": account.suspended_at_ms.map(rfc3339),
            })
        })
        .collect();
    let rows: Vec<_> = accounts
        .iter()
        .map(|account| {
            let ended = (account.closed_at_ms, account.suspended_at_ms);
            let state = match (ended, account.operator) {
                ((Some(at), _), _) => format!("closed {}", rfc3339(at)),
                ((None, Some(at)), _) => format!("suspended {}", rfc3339(at)),
                ((None, None), true) => "operator".to_owned(),
                ((None, None), false) => "customer".to_owned(),
            };
            let created = rfc3339(account.created_at_ms);
            [
                account.email.clone(),
                state,
                created,
                account.id.to_string(),
            ]
        })
        .collect();
    let text = match rows.is_empty() {
        true => "No account yet: nexo account create --email EMAIL".to_owned(),
        false => table(["EMAIL", "STATE", "CREATED", "ID"], &rows),
    };
    Ok(Answer::new(text, json!({ "accounts": list })))
}

async fn suspend(store: &Store, email: &str, reason: &str) -> anyhow::Result<Answer> {
    let account = database::open_account(store, email).await?;
    let by = Operator::COMMAND_LINE;
    let new = store
        .suspend_account(by, account.id, reason, unix_ms())
        .await?;
    let text = match new {
        true => {
            format!("Suspended {email}. Its keys no longer work; nexo account resume ends that.")
        }
        false => format!("{email} is suspended already."),
    };
    Ok(Answer::new(
        text,
        json!({ "id": account.id, "email": email, "suspended": true }),
    ))
}

async fn resume(store: &Store, email: &str) -> anyhow::Result<Answer> {
    let account = database::open_account(store, email).await?;
    let by = Operator::COMMAND_LINE;
    let text = match store.resume_account(by, account.id, unix_ms()).await? {
        true => format!("{email} is suspended no more. Its keys work again."),
        false => format!("{email} is not suspended."),
    };
    Ok(Answer::new(
        text,
        json!({ "id": account.id, "email": email, "suspended": false }),
    ))
}

async fn close(store: &Store, email: &str) -> anyhow::Result<Answer> {
    let account = database::account(store, email).await?;
    let closing = store
        .close_account(account.id, unix_ms())
        .await?
        .with_context(|| format!("there is no account {email}"))?;
    let taken = closing.taken;
    let forfeited = taken
        .free
        .checked_add(taken.bonus)
        .context("the wallet holds more than money can be")?;
    let mut lines = vec![match closing.new {
        true => format!("Closed the account {email}. Its keys no longer work."),
        false => format!("The account {email} was closed before."),
    }];
    if let Some(reference) = &closing.reference {
        lines.push(format!(
            "To be paid out: {} USD. Forfeited: {forfeited} USD of free and bonus credit. Reference: {reference}.",
            taken.balance
        ));
    }
    if closing.under_way > 0 {
        lines.push(format!(
            "Calls under way: {}. Close it again in two minutes, for what they may be refunded.",
            closing.under_way
        ));
    }
    let json = format!(
        concat!(
            r#"{{"id":"{}","email":{},"closed":true,"payout":{},"forfeited":{},"#,
            r#""reference":{},"under_way":{}}}"#
        ),
        account.id,
        json!(email),
        taken.balance,
        forfeited,
        json!(closing.reference),
        closing.under_way,
    );
    Ok(Answer::with_json_text(lines.join("\n"), json))
}
