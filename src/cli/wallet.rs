//! `nexo wallet`.

use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::ledger::{Bucket, Buckets};
use nexo_domain::money::Micros;
use nexo_entities::store::wallets::Credit;

use super::answer::Answer;
use super::{args, database};
use crate::config::Config;

/// What can be done with wallets.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add to one bucket of a wallet, once for each reference
    Credit {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// Where it goes: cash to balance, promotions to bonus, trials to free
        #[arg(long, value_parser = args::bucket())]
        bucket: Bucket,
        /// US dollars, such as 10.00
        #[arg(long, value_name = "USD", value_parser = args::amount, allow_hyphen_values = true)]
        amount: Micros,
        /// The payment's or decision's own number; the same one credits once only
        #[arg(long, value_parser = args::reference)]
        reference: String,
    },
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    let Command::Credit {
        account: email,
        bucket,
        amount,
        reference,
    } = command;
    let account = database::open_account(&store, &email).await?;
    let credited = store
        .credit_wallet(Credit {
            account_id: account.id,
            bucket,
            amount,
            reference: &reference,
            at_ms: unix_ms(),
        })
        .await?;
    let done = match credited.new {
        true => format!("Added {amount} USD to {} of {email}.", bucket.as_str()),
        false => format!(
            "Added nothing: the reference {reference} has credited {email} before. Use another one for another credit."
        ),
    };
    let wallet = credited.buckets;
    let text = format!(
        "{done}\nThe wallet holds {} USD: balance {}, bonus {}, free {}.",
        wallet.total(),
        wallet.balance,
        wallet.bonus,
        wallet.free
    );
    Ok(Answer::with_json_text(text, json_of(wallet)))
}

/// Amounts are exact JSON numbers with at least three decimals.
fn json_of(wallet: Buckets) -> String {
    format!(
        r#"{{"balance":{},"bonus_credit":{},"free_credit":{},"total":{}}}"#,
        wallet.balance,
        wallet.bonus,
        wallet.free,
        wallet.total()
    )
}
