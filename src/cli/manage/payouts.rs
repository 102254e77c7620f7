//! `nexo payouts`: pays out referral commissions once per account and month.

use anyhow::{Context, bail};
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::payout::{Month, PayoutWallet};
use nexo_domain::money::Micros;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::Store;
use nexo_entities::store::billing::payouts::Payout;
use nexo_entities::store::operations::operator_log::Operator;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::cli::output::{CommandOutput, table_or};
use crate::cli::{args, database};
use crate::config::Config;

/// The maximum number of listed payouts.
const MAX_LISTED: u32 = 100_000;

/// The subcommands of `nexo payouts`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Pay out the commissions earned until the end of a month, once for each account and month
    ///
    /// Accounts without a payout wallet are skipped. Run the month again to pay them later.
    Run {
        /// Month in UTC, such as 2026-11
        #[arg(long, value_name = "YYYY-MM", value_parser = month)]
        month: Month,
    },
    /// List payouts, latest month first
    List {
        /// Only payouts of this month
        #[arg(long, value_name = "YYYY-MM", value_parser = month)]
        month: Option<Month>,
        /// Only payouts to this account
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
    },
    /// Record that a payout was sent
    Sent {
        /// The payout's id, as shown by `nexo payouts list`
        id: Uuid,
        /// Reference of the transfer
        #[arg(long, value_parser = args::reference)]
        reference: String,
    },
    /// Set the wallet to which an account's commissions are paid
    Nominate {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// bank, usdt (on Tron), or balance for the account's own wallet
        #[arg(long, value_parser = ["bank", "usdt", "balance"])]
        kind: String,
        /// For bank: "BIN NUMBER HOLDER"; for usdt: the address
        #[arg(long, default_value = "")]
        address: String,
    },
}

fn month(text: &str) -> Result<Month, String> {
    Month::parse(text).ok_or_else(|| "not a month; expected YYYY-MM, such as 2026-11".to_owned())
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    match command {
        Command::Run { month } => run_month(&store, month).await,
        Command::List { month, account } => {
            let account = database::account_filter(&store, account.as_deref()).await?;
            Ok(CommandOutput::list(
                "payouts",
                &store.billing().payouts(account, month, MAX_LISTED).await?,
                "No payouts yet. Pay a month: nexo payouts run --month YYYY-MM",
                HEADERS,
                row,
                payout_json,
            ))
        }
        Command::Sent { id, reference } => {
            let by = Operator::COMMAND_LINE;
            match store.billing().mark_payout_sent(by, id, &reference, unix_ms()).await? {
                true => Ok(CommandOutput::new(
                    format!("Recorded payout {id} as sent with reference {reference}."),
                    json!({ "id": id, "reference": reference }),
                )),
                false => bail!("no unsent payout {id}; `nexo payouts list` shows them"),
            }
        }
        Command::Nominate { account, kind, address } => {
            let wallet = PayoutWallet::parse(&kind, &address)
                .with_context(|| format!("not a valid {kind} address"))?;
            let owner = database::open_account(&store, &account).await?;
            store.billing().set_payout_wallet(owner.id, Some(&wallet), unix_ms()).await?;
            Ok(CommandOutput::new(
                format!("Commissions of {account} are paid to {kind} {}", wallet.address()),
                json!({ "account": account, "kind": kind, "address": wallet.address() }),
            ))
        }
    }
}

async fn run_month(store: &Store, month: Month) -> anyhow::Result<CommandOutput> {
    if month.start_ms() > unix_ms() {
        bail!("{month} is in the future; run a month that has started");
    }
    let by = Operator::COMMAND_LINE;
    let run = store.billing().run_payouts(by, month, unix_ms()).await?;
    let billing = store.billing();
    let mut made = billing.payouts(None, Some(month), MAX_LISTED).await?;
    made.retain(|payout| run.made.contains(&payout.id));
    let total = Micros::new(made.iter().map(|payout| payout.amount.get()).sum());
    let emails = match run.waiting.is_empty() {
        true => Default::default(),
        false => database::emails(store).await?,
    };
    let waiting = run.waiting.iter().map(|(id, due)| WaitingJson {
        account: emails.get(id).map_or("", String::as_str),
        due: *due,
    });
    let waiting: Vec<WaitingJson<'_>> = waiting.collect();
    let mut text = format!("Made {} payouts of {total} USD for {month}.", made.len());
    if !made.is_empty() {
        text = format!("{text}\n{}", table_or("", HEADERS, &made, row));
    }
    for WaitingJson { account, due } in &waiting {
        text.push_str(&format!(
            "\nSkipped {account} with {due} USD: it has no valid payout wallet, or is suspended."
        ));
    }
    let json = RunJson {
        month: month.to_string(),
        payouts: made.iter().map(payout_json).collect(),
        total,
        waiting,
    };
    Ok(CommandOutput::new(text, json))
}

const HEADERS: [&str; 6] = ["MONTH", "ACCOUNT", "USD", "TO", "STATE", "ID"];

fn row(payout: &Payout) -> [String; 6] {
    let state = match &payout.sent_reference {
        Some(reference) => format!("sent {reference}"),
        None => "unsent".to_owned(),
    };
    [
        payout.month.clone(),
        payout.email.clone(),
        payout.amount.to_string(),
        format!("{} {}", payout.wallet_kind, payout.wallet_address),
        state,
        payout.id.to_string(),
    ]
}

#[derive(Serialize)]
struct RunJson<'a> {
    month: String,
    payouts: Vec<PayoutJson<'a>>,
    total: Micros,
    waiting: Vec<WaitingJson<'a>>,
}

#[derive(Serialize)]
struct WaitingJson<'a> {
    account: &'a str,
    due: Micros,
}

#[derive(Serialize)]
struct PayoutJson<'a> {
    id: Uuid,
    month: &'a str,
    account: &'a str,
    amount: Micros,
    wallet_kind: &'a str,
    wallet_address: &'a str,
    created_at: String,
    sent_at: Option<String>,
    sent_reference: Option<&'a str>,
}

fn payout_json(payout: &Payout) -> PayoutJson<'_> {
    PayoutJson {
        id: payout.id,
        month: &payout.month,
        account: &payout.email,
        amount: payout.amount,
        wallet_kind: &payout.wallet_kind,
        wallet_address: &payout.wallet_address,
        created_at: rfc3339(payout.created_at_ms),
        sent_at: payout.sent_at_ms.map(rfc3339),
        sent_reference: payout.sent_reference.as_deref(),
    }
}
