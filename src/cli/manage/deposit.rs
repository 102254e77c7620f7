//! `nexo deposit`: opens top-ups, and lets an operator decide about top-ups and unmatched bank payments.

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
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::output::{CommandOutput, table_or};
use crate::cli::{args, database};
use crate::config::Config;
use crate::deposits::TopUps;

/// The maximum number of listed top-ups, and of listed payments.
const MAX_LISTED: u32 = 10_000;

/// The subcommands of `nexo deposit`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open a top-up for an account; prints what to pay and the payment reference
    Open {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// US dollars, such as 10.00
        #[arg(long, value_name = "USD", value_parser = args::amount, allow_hyphen_values = true)]
        amount: Micros,
        /// Payment method [default: bank_transfer if a bank is configured]
        #[arg(long, default_value = "")]
        provider: String,
    },
    /// List open top-ups, and bank payments that match no top-up
    List,
    /// Approve an open top-up after its payment was received; credits the full amount
    Approve {
        /// The top-up's reference
        #[arg(value_parser = reference)]
        reference: DepositReference,
    },
    /// Refuse an open top-up
    Refuse {
        /// The top-up's reference
        #[arg(value_parser = reference)]
        reference: DepositReference,
        /// Reason, for the audit log
        #[arg(long, value_parser = args::note)]
        reason: String,
    },
    /// Credit an unmatched payment to an account at the current exchange rate
    CreditPayment {
        /// The payment's id, as shown by `nexo deposit list`
        id: Uuid,
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
    },
    /// Refuse an unmatched payment
    RefusePayment {
        /// The payment's id, as shown by `nexo deposit list`
        id: Uuid,
        /// What was done with the payment
        #[arg(long, value_parser = args::note)]
        note: String,
    },
}

fn reference(text: &str) -> Result<DepositReference, String> {
    DepositReference::parse(text)
        .ok_or_else(|| "not a top-up reference; expected NX and nine characters".to_owned())
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    let by = Operator::COMMAND_LINE;
    match command {
        Command::Open { account, amount, provider } => {
            open(config, &store, &account, amount, &provider).await
        }
        Command::List => list(&store).await,
        Command::Approve { reference } => {
            let deposit = deposit(&store, &reference).await?;
            if !store.billing().approve_deposit(by, deposit.id, unix_ms()).await? {
                bail!("{reference} is already {}", deposit.status);
            }
            Ok(CommandOutput::new(
                format!("Credited {} USD to {}.", deposit.amount, deposit.email),
                ApprovedJson {
                    reference: reference.as_str(),
                    account: &deposit.email,
                    credited: deposit.amount,
                },
            ))
        }
        Command::Refuse { reference, reason } => {
            let deposit = deposit(&store, &reference).await?;
            let refused =
                store.billing().refuse_deposit(by, deposit.id, &reason, unix_ms()).await?;
            if !refused {
                bail!("{reference} is already {}", deposit.status);
            }
            Ok(CommandOutput::new(
                format!("Refused {reference}."),
                json!({ "reference": reference.as_str(), "status": "refused" }),
            ))
        }
        Command::CreditPayment { id, account } => {
            let owner = database::open_account(&store, &account).await?;
            let rate = config.deposits.rate;
            let credited =
                store.billing().credit_payment(by, id, owner.id, rate, unix_ms()).await?;
            let Some(credited) = credited else {
                bail!("no unmatched payment {id}; `nexo deposit list` shows them")
            };
            Ok(CommandOutput::new(
                format!("Credited {credited} USD to {account}."),
                CreditedJson { id, account: &account, credited },
            ))
        }
        Command::RefusePayment { id, note } => {
            if !store.billing().refuse_payment(by, id, &note, unix_ms()).await? {
                bail!("no unmatched payment {id}; `nexo deposit list` shows them");
            }
            Ok(CommandOutput::new(
                format!("Refused payment {id}."),
                json!({ "id": id, "status": "refused" }),
            ))
        }
    }
}

async fn deposit(store: &Store, reference: &DepositReference) -> anyhow::Result<Deposit> {
    let deposit = store.billing().deposit_by_reference(reference).await?;
    deposit.with_context(|| format!("no top-up {reference}; `nexo deposit list` shows open ones"))
}

async fn open(
    config: &Config,
    store: &Store,
    account: &str,
    amount: Micros,
    provider: &str,
) -> anyhow::Result<CommandOutput> {
    let top_ups = TopUps::of(&config.deposits);
    if !provider.is_empty() && !top_ups.names().any(|name| name == provider) {
        let names: Vec<_> = top_ups.names().collect();
        bail!("no payment method {provider:?}; available: {}", names.join(", "));
    }
    let owner = database::open_account(store, account).await?;
    let id = top_ups.open(store, owner.id, provider, amount).await?;
    let deposit = store.billing().deposit(owner.id, id).await?;
    let deposit = deposit.context("the new top-up was not found")?;
    let instructions = top_ups.instructions(&deposit);
    let payment = match &instructions.account {
        Some(bank) => format!("Transfer it to {} {} ({})", bank.bin, bank.number, bank.holder),
        None => "An operator arranges the payment".to_owned(),
    };
    let text = format!(
        "Top-up of {account} by {amount} USD: {} VND.\n{payment}. Reference: {}.",
        deposit.vnd, deposit.reference
    );
    let json = OpenedJson {
        id: deposit.id,
        reference: &deposit.reference,
        provider: &deposit.provider,
        amount: deposit.amount,
        vnd: deposit.vnd,
        vnd_per_usd: deposit.vnd_per_usd,
        bank_account: instructions.account.map(|bank| bank.number),
    };
    Ok(CommandOutput::new(text, json))
}

async fn list(store: &Store) -> anyhow::Result<CommandOutput> {
    let deposits = store.billing().open_deposits(MAX_LISTED).await?;
    let payments = store.billing().kept_payments(MAX_LISTED).await?;
    let headers = ["REFERENCE", "ACCOUNT", "USD", "VND", "METHOD", "SINCE"];
    let open = table_or("", headers, &deposits, deposit_row);
    let headers = ["PAYMENT", "BANK'S ID", "AMOUNT", "REASON", "MEMO"];
    let unmatched = table_or("", headers, &payments, payment_row);
    let text = match (open.is_empty(), unmatched.is_empty()) {
        (true, true) => "No open top-ups and no unmatched payments.".to_owned(),
        (false, false) => format!("{open}\n\n{unmatched}"),
        (_, _) => open + &unmatched,
    };
    let json = ListJson {
        deposits: deposits.iter().map(deposit_json).collect(),
        payments: payments.iter().map(payment_json).collect(),
    };
    Ok(CommandOutput::new(text, json))
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

#[derive(Serialize)]
struct ApprovedJson<'a> {
    reference: &'a str,
    account: &'a str,
    credited: Micros,
}

#[derive(Serialize)]
struct CreditedJson<'a> {
    id: Uuid,
    account: &'a str,
    credited: Micros,
}

#[derive(Serialize)]
struct OpenedJson<'a> {
    id: Uuid,
    reference: &'a str,
    provider: &'a str,
    amount: Micros,
    vnd: i64,
    vnd_per_usd: i64,
    bank_account: Option<String>,
}

#[derive(Serialize)]
struct ListJson<'a> {
    deposits: Vec<DepositJson<'a>>,
    payments: Vec<Value>,
}

#[derive(Serialize)]
struct DepositJson<'a> {
    id: Uuid,
    reference: &'a str,
    account: &'a str,
    amount: Micros,
    vnd: i64,
    provider: &'a str,
    created_at: String,
}

fn deposit_json(deposit: &Deposit) -> DepositJson<'_> {
    DepositJson {
        id: deposit.id,
        reference: &deposit.reference,
        account: &deposit.email,
        amount: deposit.amount,
        vnd: deposit.vnd,
        provider: &deposit.provider,
        created_at: rfc3339(deposit.created_at_ms),
    }
}

fn payment_json(payment: &BankPayment) -> Value {
    json!({
        "id": payment.id,
        "bank_id": payment.bank_id,
        "amount": payment.amount,
        "currency": payment.currency,
        "memo": payment.memo,
        "reason": payment.reason,
        "received_at": rfc3339(payment.received_at_ms),
    })
}
