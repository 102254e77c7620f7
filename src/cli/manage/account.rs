//! `nexo account`: creates, lists, suspends, limits and closes customer accounts.

use std::io::BufRead;

use anyhow::{Context, bail};
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::password::PasswordContext;
use nexo_domain::account::quota::{QuotaKind, QuotaLimits};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::accounts::{NewAccount, ReferralVisit};
use nexo_entities::store::operations::operator_log::Operator;
use nexo_entities::store::{Conflict, Store, StoreError};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::output::CommandOutput;
use crate::cli::{args, database};
use crate::config::Config;
use crate::password;

/// The subcommands of `nexo account`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create an account with an empty wallet
    Create {
        /// E-mail address; each address has at most one account
        #[arg(long, value_parser = args::email)]
        email: String,
        /// Dashboard password, 10 characters or more, not a common one; `-` reads standard input
        #[arg(long)]
        password: Option<String>,
        /// Give the account access to the operator pages
        #[arg(long)]
        operator: bool,
        /// Referral code of the account that referred it
        #[arg(long, value_name = "CODE")]
        referred_by: Option<String>,
    },
    /// List all accounts
    List,
    /// Suspend an account: within a second it sends, makes and receives nothing; nothing is deleted
    Suspend {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// Reason, for the audit log
        #[arg(long, value_parser = args::note)]
        reason: String,
    },
    /// Resume a suspended account
    Resume {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
    },
    /// Show an account's daily limits and their use, or set a limit of its own
    Quota {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// The quota to set
        #[arg(long, value_parser = args::quota_kind(), requires = "change")]
        kind: Option<QuotaKind>,
        /// The account's own limit per day; 0 is unlimited
        #[arg(long, value_parser = args::quota, group = "change", requires = "kind")]
        limit: Option<u32>,
        /// Remove the account's own limit, so that the configured one applies
        #[arg(long, group = "change", requires = "kind")]
        default: bool,
    },
    /// Close an account permanently: its keys stop working and its balance is due for payout
    ///
    /// Closing a closed account again makes refunds received since then due for payout.
    Close {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email, alias = "email")]
        account: String,
    },
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    match command {
        Command::Create { email, password, operator, referred_by } => {
            let host = config.server.public_host();
            let context = PasswordContext { email: &email, host: &host };
            create(&store, context, password, operator, referred_by).await
        }
        Command::List => list(&store).await,
        Command::Suspend { account, reason } => suspend(&store, &account, &reason).await,
        Command::Resume { account } => resume(&store, &account).await,
        Command::Quota { account, kind, limit, .. } => {
            quota(&store, &config.quotas.limits, &account, kind, limit).await
        }
        Command::Close { account } => close(&store, &account).await,
    }
}

async fn create(
    store: &Store,
    context: PasswordContext<'_>,
    password: Option<String>,
    operator: bool,
    referred_by: Option<String>,
) -> anyhow::Result<CommandOutput> {
    let email = context.email;
    let visit = referred_by.as_deref().map(|code| ReferralVisit { code, signed_in_as: None });
    let password_hash = match password.map(Zeroizing::new) {
        None => None,
        Some(password) if password.as_str() == "-" => {
            Some(password::hash(&password_from_stdin()?, &context)?)
        }
        Some(password) => Some(password::hash(&password, &context)?),
    };
    let created = store
        .accounts()
        .create_referred(
            visit,
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
            bail!("account {email} already exists")
        }
        created => created?,
    };
    let text = format!(
        "Created account {email} ({id}).\n\
         Create a key:  nexo key create --account {email} --name NAME\n\
         Add credit:    nexo wallet credit --account {email} --bucket balance --amount 10.00 --reference R"
    );
    Ok(CommandOutput::new(text, json!({ "id": id, "email": email })))
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

async fn list(store: &Store) -> anyhow::Result<CommandOutput> {
    Ok(CommandOutput::list(
        "accounts",
        &store.accounts().all().await?,
        "No accounts yet. Create one: nexo account create --email EMAIL",
        ["EMAIL", "STATE", "CREATED", "ID"],
        |account| {
            let state = match (account.closed_at_ms, account.suspended_at_ms) {
                (Some(at), _) => format!("closed {}", rfc3339(at)),
                (None, Some(at)) => format!("suspended {}", rfc3339(at)),
                (None, None) if account.operator => "operator".to_owned(),
                (None, None) => "customer".to_owned(),
            };
            let created = rfc3339(account.created_at_ms);
            [account.email.clone(), state, created, account.id.to_string()]
        },
        |account| {
            json!({
                "id": account.id,
                "email": account.email,
                "operator": account.operator,
                "language": account.language.map(Language::code),
                "created_at": rfc3339(account.created_at_ms),
                "closed_at": account.closed_at_ms.map(rfc3339),
                "suspended_at": account.suspended_at_ms.map(rfc3339),
            })
        },
    ))
}

async fn suspend(store: &Store, email: &str, reason: &str) -> anyhow::Result<CommandOutput> {
    let account = database::open_account(store, email).await?;
    let by = Operator::COMMAND_LINE;
    let new = store.operations().suspend_account(by, account.id, reason, unix_ms()).await?;
    let text = match new {
        true => {
            format!(
                "Suspended {email}. Its keys are refused and its webhooks wait. Undo with: nexo account resume --account {email}"
            )
        }
        false => format!("{email} is already suspended."),
    };
    Ok(CommandOutput::new(text, json!({ "id": account.id, "email": email, "suspended": true })))
}

async fn resume(store: &Store, email: &str) -> anyhow::Result<CommandOutput> {
    let account = database::open_account(store, email).await?;
    let by = Operator::COMMAND_LINE;
    let text = match store.operations().resume_account(by, account.id, unix_ms()).await? {
        true => format!("Resumed {email}. Its keys work again."),
        false => format!("{email} is not suspended."),
    };
    Ok(CommandOutput::new(text, json!({ "id": account.id, "email": email, "suspended": false })))
}

async fn quota(
    store: &Store,
    configured: &QuotaLimits,
    email: &str,
    kind: Option<QuotaKind>,
    per_day: Option<u32>,
) -> anyhow::Result<CommandOutput> {
    let account = database::open_account(store, email).await?;
    let now = unix_ms();
    if let Some(kind) = kind {
        let by = Operator::COMMAND_LINE;
        store.accounts().set_account_quota(by, account.id, kind, per_day, now).await?;
    }
    let own = store.accounts().account_quotas(Some(account.id)).await?;
    let uses = store.accounts().quota_uses(account.id, now).await?;
    let rows: Vec<QuotaRow> = QuotaKind::of_accounts()
        .map(|kind| {
            let used = uses.iter().find(|(of, _)| *of == kind);
            let own = own.iter().find(|quota| quota.kind == kind);
            QuotaRow {
                kind,
                used: used.map_or(0, |(_, used)| *used),
                per_day: own.map_or(configured.configured(kind), |quota| quota.per_day),
                is_own: own.is_some(),
            }
        })
        .collect();
    Ok(CommandOutput::list(
        "quotas",
        &rows,
        "",
        ["QUOTA", "USED TODAY", "LIMIT", "SOURCE"],
        |row| {
            let limit = match row.per_day {
                0 => "unlimited".to_owned(),
                per_day => per_day.to_string(),
            };
            let source = if row.is_own { "own" } else { "configured" };
            [row.kind.name().to_owned(), row.used.to_string(), limit, source.to_owned()]
        },
        |row| {
            json!({
                "quota": row.kind.name(),
                "used": row.used,
                "limit": (row.per_day > 0).then_some(row.per_day),
                "own": row.is_own,
            })
        },
    ))
}

/// A quota of an account.
struct QuotaRow {
    kind: QuotaKind,
    used: i64,
    /// 0: unlimited.
    per_day: u32,
    is_own: bool,
}

async fn close(store: &Store, email: &str) -> anyhow::Result<CommandOutput> {
    let account = database::account(store, email).await?;
    let closing = store
        .ledger()
        .close_account(account.id, unix_ms())
        .await?
        .with_context(|| format!("no account {email}"))?;
    let taken = closing.taken;
    let forfeited = taken.free.checked_add(taken.bonus).context("the amount overflows")?;
    let mut lines = vec![match closing.new {
        true => format!("Closed account {email}. Its keys no longer work."),
        false => format!("Account {email} was already closed."),
    }];
    if let Some(reference) = &closing.reference {
        lines.push(format!(
            "Due for payout: {} USD. Forfeited: {forfeited} USD of free and bonus credit. Reference: {reference}.",
            taken.balance
        ));
    }
    if closing.under_way > 0 {
        lines.push(format!(
            "Calls in progress: {}. Close the account again in two minutes to pay out their refunds.",
            closing.under_way
        ));
    }
    let json = ClosedJson {
        id: account.id,
        email,
        closed: true,
        payout: taken.balance,
        forfeited,
        reference: closing.reference.as_deref(),
        under_way: closing.under_way,
    };
    Ok(CommandOutput::new(lines.join("\n"), json))
}

#[derive(Serialize)]
struct ClosedJson<'a> {
    id: AccountId,
    email: &'a str,
    closed: bool,
    payout: Micros,
    forfeited: Micros,
    reference: Option<&'a str>,
    under_way: u64,
}
