//! `nexo payouts`.

use anyhow::{Context, bail};
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::payout::{Month, PayoutWallet};
use nexo_domain::money::Micros;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::billing::payouts::Payout;
use nexo_entities::store::operations::operator_log::Operator;
use serde_json::json;
use uuid::Uuid;

use crate::cli::output::{Answer, table};
use crate::cli::{args, database};
use crate::config::Config;

/// The most payouts that are listed.
const MOST: u32 = 100_000;

/// What can be done with payouts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Pay out what was earned by referrals until the end of a month, once for each account and month
    ///
    /// Who has nominated no wallet waits, and is paid when the month is run again.
    Run {
        /// The month in UTC, such as 2026-11
        #[arg(long, value_name = "YYYY-MM", value_parser = month)]
        month: Month,
    },
    /// List payouts, the latest month first
    List {
        /// Only of this month
        #[arg(long, value_name = "YYYY-MM", value_parser = month)]
        month: Option<Month>,
        /// Only of this account
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
    },
    /// Note that a payout's money was sent
    Sent {
        /// The payout's id, as `payouts list` shows it
        id: Uuid,
        /// The transfer's own number
        #[arg(long, value_parser = args::reference)]
        reference: String,
    },
    /// Nominate where an account's commissions are paid to
    Nominate {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// bank, usdt (on Tron), or balance: the account's own wallet
        #[arg(long, value_parser = ["bank", "usdt", "balance"])]
        kind: String,
        /// For bank: "BIN NUMBER HOLDER"; for usdt: the address
        #[arg(long, default_value = "")]
        address: String,
    },
}

fn month(text: &str) -> Result<Month, String> {
    Month::parse(text).ok_or_else(|| "a month is written as in 2026-11".to_owned())
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    match command {
        Command::Run { month } => {
            if month.start_ms() > unix_ms() {
                bail!("{month} has not begun: run a month that has");
            }
            let by = Operator::COMMAND_LINE;
            let run = store.run_payouts(by, month, unix_ms()).await?;
            let mut made = store.payouts(None, Some(month), MOST).await?;
            made.retain(|payout| run.made.contains(&payout.id));
            let total: i64 = made.iter().map(|payout| payout.amount.get()).sum();
            let total = Micros::new(total);
            let emails = match run.waiting.is_empty() {
                true => Default::default(),
                false => database::emails(&store).await?,
            };
            let email = |id| emails.get(id).map_or("", String::as_str);
            let waiting: Vec<String> = run
                .waiting
                .iter()
                .map(|(id, due)| format!(r#"{{"account":{},"due":{due}}}"#, json!(email(id))))
                .collect();
            let json = format!(
                r#"{{"month":"{month}","payouts":[{}],"total":{total},"waiting":[{}]}}"#,
                listed(&made),
                waiting.join(",")
            );
            let mut text = format!("Made {} payouts of {total} USD for {month}.", made.len());
            if !made.is_empty() {
                text = format!("{text}\n{}", shown(&made));
            }
            for (id, due) in &run.waiting {
                text.push_str(&format!(
                    "\n{} waits with {due} USD: it has nominated no wallet that can be paid, or is suspended.",
                    email(id)
                ));
            }
            Ok(Answer::with_json_text(text, json))
        }
        Command::List { month, account } => {
            let account = match account {
                Some(email) => Some(database::account(&store, &email).await?.id),
                None => None,
            };
            let payouts = store.payouts(account, month, MOST).await?;
            let text = match payouts.is_empty() {
                true => "No payout yet: nexo payouts run --month YYYY-MM".to_owned(),
                false => shown(&payouts),
            };
            let json = format!(r#"{{"payouts":[{}]}}"#, listed(&payouts));
            Ok(Answer::with_json_text(text, json))
        }
        Command::Sent { id, reference } => {
            let by = Operator::COMMAND_LINE;
            match store
                .note_payout_sent(by, id, &reference, unix_ms())
                .await?
            {
                true => Ok(Answer::new(
                    format!("Noted that {id} was sent as {reference}."),
                    json!({ "id": id, "reference": reference }),
                )),
                false => bail!(
                    "there is no payout {id} that is still to be sent: `nexo payouts list` shows them"
                ),
            }
        }
        Command::Nominate {
            account,
            kind,
            address,
        } => {
            let wallet = PayoutWallet::parse(&kind, &address).context("no such wallet")?;
            let owner = database::open_account(&store, &account).await?;
            store
                .nominate_wallet(owner.id, Some(&wallet), unix_ms())
                .await?;
            Ok(Answer::new(
                format!(
                    "Commissions of {account} are paid to: {kind} {}",
                    wallet.address()
                ),
                json!({ "account": account, "kind": kind, "address": wallet.address() }),
            ))
        }
    }
}

fn shown(payouts: &[Payout]) -> String {
    let rows: Vec<_> = payouts
        .iter()
        .map(|payout| {
            let state = match &payout.sent_reference {
                Some(reference) => format!("sent {reference}"),
                None => "to be sent".to_owned(),
            };
            [
                payout.month.clone(),
                payout.email.clone(),
                payout.amount.to_string(),
                format!("{} {}", payout.wallet_kind, payout.wallet_address),
                state,
                payout.id.to_string(),
            ]
        })
        .collect();
    table(["MONTH", "ACCOUNT", "USD", "TO", "STATE", "ID"], &rows)
}

/// Amounts are exact JSON numbers with at least three decimals.
fn listed(payouts: &[Payout]) -> String {
    let one = |payout: &Payout| {
        format!(
            concat!(
                r#"{{"id":"{}","month":"{}","account":{},"amount":{},"wallet_kind":{},"#,
                r#""wallet_address":{},"created_at":"{}","sent_at":{},"sent_reference":{}}}"#
            ),
            payout.id,
            payout.month,
            json!(payout.email),
            payout.amount,
            json!(payout.wallet_kind),
            json!(payout.wallet_address),
            rfc3339(payout.created_at_ms),
            json!(payout.sent_at_ms.map(rfc3339)),
            json!(payout.sent_reference),
        )
    };
    payouts.iter().map(one).collect::<Vec<_>>().join(",")
}
