//! `nexo deposit`.

use anyhow::{Context, bail};
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::deposit::DepositReference;
use nexo_domain::money::Micros;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::Store;
use nexo_entities::store::billing::bank_payments::BankPayment;
use nexo_entities::store::billing::deposits::Deposit;
use nexo_entities::store::operations::operator_log::Operator;
use serde_json::json;
use uuid::Uuid;

use crate::cli::output::{Answer, table};
use crate::cli::{args, database};
use crate::config::Config;
use crate::deposits::TopUps;

/// The most that is listed.
const MOST: u32 = 10_000;

/// What can be done with top-ups.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open a top-up for an account: what to pay, and with which reference
    Open {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// US dollars, such as 10.00
        #[arg(long, value_name = "USD", value_parser = args::amount, allow_hyphen_values = true)]
        amount: Micros,
        /// By which way it is paid [default: bank_transfer where a bank is configured]
        #[arg(long, default_value = "")]
        provider: String,
    },
    /// List what waits for an operator: open top-ups, and payments that fit none
    List,
    /// Credit an open top-up in full: its money was seen
    Approve {
        #[arg(value_parser = reference)]
        reference: DepositReference,
    },
    /// Refuse an open top-up
    Refuse {
        #[arg(value_parser = reference)]
        reference: DepositReference,
        /// Why
        #[arg(long, value_parser = args::note)]
        reason: String,
    },
    /// Credit a kept payment to an account, with what it is worth
    CreditPayment {
        /// The payment's id, as `deposit list` shows it
        id: Uuid,
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
    },
    /// Refuse a kept payment
    RefusePayment {
        /// The payment's id, as `deposit list` shows it
        id: Uuid,
        /// What was done about it
        #[arg(long, value_parser = args::note)]
        note: String,
    },
}

fn reference(text: &str) -> Result<DepositReference, String> {
    DepositReference::parse(text)
        .ok_or_else(|| "a reference is NX and nine characters; this one is mistyped".to_owned())
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    let by = Operator::COMMAND_LINE;
    match command {
        Command::Open {
            account,
            amount,
            provider,
        } => open(config, &store, &account, amount, &provider).await,
        Command::List => list(&store).await,
        Command::Approve { reference } => {
            let deposit = wanted(&store, &reference).await?;
            if !store.approve_deposit(by, deposit.id, unix_ms()).await? {
                bail!("{reference} is {} already", deposit.status);
            }
            Ok(Answer::with_json_text(
                format!("Credited {} USD to {}.", deposit.amount, deposit.email),
                format!(
                    r#"{{"reference":"{reference}","account":{},"credited":{}}}"#,
                    json!(deposit.email),
                    deposit.amount
                ),
            ))
        }
        Command::Refuse { reference, reason } => {
            let deposit = wanted(&store, &reference).await?;
            let refused = store
                .refuse_deposit(by, deposit.id, &reason, unix_ms())
                .await?;
            if !refused {
                bail!("{reference} is {} already", deposit.status);
            }
            Ok(Answer::new(
                format!("Refused {reference}."),
                json!({ "reference": reference.as_str(), "status": "refused" }),
            ))
        }
        Command::CreditPayment { id, account } => {
            let owner = database::open_account(&store, &account).await?;
            let rate = config.deposits.rate;
            let credited = store
                .credit_payment(by, id, owner.id, rate, unix_ms())
                .await?;
            let Some(credited) = credited else {
                bail!("there is no kept payment {id}: `nexo deposit list` shows them")
            };
            Ok(Answer::with_json_text(
                format!("Credited {credited} USD to {account}."),
                format!(
                    r#"{{"id":"{id}","account":{},"credited":{credited}}}"#,
                    json!(account)
                ),
            ))
        }
        Command::RefusePayment { id, note } => {
            if !store.refuse_payment(by, id, &note, unix_ms()).await? {
                bail!("there is no kept payment {id}: `nexo deposit list` shows them");
            }
            Ok(Answer::new(
                format!("Refused the payment {id}."),
                json!({ "id": id, "status": "refused" }),
            ))
        }
    }
}

async fn wanted(store: &Store, reference: &DepositReference) -> anyhow::Result<Deposit> {
    let deposit = store.deposit_by_reference(reference).await?;
    deposit
        .with_context(|| format!("there is no top-up {reference}: `nexo deposit list` shows them"))
}

async fn open(
    config: &Config,
    store: &Store,
    account: &str,
    amount: Micros,
    provider: &str,
) -> anyhow::Result<Answer> {
    let top_ups = TopUps::of(&config.deposits);
    if !provider.is_empty() && !top_ups.names().any(|name| name == provider) {
        let names: Vec<_> = top_ups.names().collect();
        bail!(
            "there is no way {provider} to pay: use {}",
            names.join(" or ")
        );
    }
    let owner = database::open_account(store, account).await?;
    let id = top_ups.open(store, owner.id, provider, amount).await?;
    let deposit = store.deposit(owner.id, id).await?;
    let deposit = deposit.context("the top-up was just opened")?;
    let how = top_ups.instructions(&deposit);
    let to = match &how.account {
        Some(bank) => format!(
            "Transfer it to {} {} ({}), with the",
            bank.bin, bank.number, bank.holder
        ),
        None => "An operator tells how it is paid. It has the".to_owned(),
    };
    let text = format!(
        "To top up {account} by {amount} USD: {} VND.\n{to} reference {}.",
        deposit.vnd, deposit.reference
    );
    let json = format!(
        concat!(
            r#"{{"id":"{}","reference":"{}","provider":"{}","amount":{},"vnd":{},"#,
            r#""vnd_per_usd":{},"bank_account":{}}}"#
        ),
        deposit.id,
        deposit.reference,
        deposit.provider,
        deposit.amount,
        deposit.vnd,
        deposit.vnd_per_usd,
        json!(how.account.map(|bank| bank.number)),
    );
    Ok(Answer::with_json_text(text, json))
}

async fn list(store: &Store) -> anyhow::Result<Answer> {
    let deposits = store.open_deposits(MOST).await?;
    let payments = store.kept_payments(MOST).await?;
    let mut parts = Vec::new();
    if !deposits.is_empty() {
        let rows: Vec<_> = deposits.iter().map(deposit_row).collect();
        parts.push(table(
            ["REFERENCE", "ACCOUNT", "USD", "VND", "BY", "SINCE"],
            &rows,
        ));
    }
    if !payments.is_empty() {
        let rows: Vec<_> = payments.iter().map(payment_row).collect();
        parts.push(table(
            ["PAYMENT", "BANK'S ID", "AMOUNT", "WHY", "MEMO"],
            &rows,
        ));
    }
    let text = match parts.is_empty() {
        true => "Nothing waits for an operator.".to_owned(),
        false => parts.join("\n\n"),
    };
    let open: Vec<_> = deposits.iter().map(deposit_json).collect();
    let kept: Vec<_> = payments
        .iter()
        .map(|payment| {
            json!({
                "id": payment.id,
                "bank_id": payment.bank_id,
                "amount": payment.amount,
                "currency": payment.currency,
                "memo": payment.memo,
                "reason": payment.reason,
                "received_at": rfc3339(payment.received_at_ms),
            })
            .to_string()
        })
        .collect();
    let json = format!(
        r#"{{"deposits":[{}],"payments":[{}]}}"#,
        open.join(","),
        kept.join(",")
    );
    Ok(Answer::with_json_text(text, json))
}

fn deposit_row(deposit: &Deposit) -> [String; 6] {
    [
        deposit.reference.clone(),
        deposit.email.clone(),
        deposit.amount.to_string(),
        deposit.vnd.to_string(),
        deposit.provider.clone(),
        rfc3339(deposit.created_at_ms),
    ]
}

fn payment_row(payment: &BankPayment) -> [String; 5] {
    [
        payment.id.to_string(),
        payment.bank_id.clone(),
        format!("{} {}", payment.amount, payment.currency),
        payment.reason.clone().unwrap_or_default(),
        payment.memo.clone(),
    ]
}

fn deposit_json(deposit: &Deposit) -> String {
    format!(
        concat!(
            r#"{{"id":"{}","reference":"{}","account":{},"amount":{},"vnd":{},"provider":{},"#,
            r#""created_at":"{}"}}"#
        ),
        deposit.id,
        deposit.reference,
        json!(deposit.email),
        deposit.amount,
        deposit.vnd,
        json!(deposit.provider),
        rfc3339(deposit.created_at_ms),
    )
}
