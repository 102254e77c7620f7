//! `nexo wallet`.

use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::ledger::{Bucket, Buckets};
use nexo_domain::money::Micros;
use nexo_entities::store::ledger::wallets::{Correction, Credit};
use nexo_entities::store::operations::operator_log::Operator;

use crate::cli::output::Answer;
use crate::cli::{args, database};
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
    /// Take what should not be in a bucket, or put back what should, once for each reference
    Correct {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// The bucket to be put right
        #[arg(long, value_parser = args::bucket())]
        bucket: Bucket,
        /// US dollars; -1.00 takes, at most what the bucket holds
        #[arg(long, value_name = "USD", value_parser = args::signed_amount, allow_hyphen_values = true)]
        amount: Micros,
        /// The decision's own number; the same one corrects once only
        #[arg(long, value_parser = args::reference)]
        reference: String,
        /// Why; the customer reads it in the ledger
        #[arg(long, value_name = "TEXT", value_parser = args::note)]
        note: Option<String>,
    },
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let store = database::open(config).await?;
    match command {
        Command::Credit {
            account,
            bucket,
            amount,
            reference,
        } => {
            let owner = database::open_account(&store, &account).await?;
            let credited = store
                .credit_wallet_as(
                    Operator::COMMAND_LINE,
                    Credit {
                        account_id: owner.id,
                        bucket,
                        amount,
                        reference: &reference,
                        at_ms: unix_ms(),
                    },
                )
                .await?;
            let done = match credited.new {
                true => format!("Added {amount} USD to {} of {account}.", bucket.as_str()),
                false => format!(
                    "Added nothing: the reference {reference} has credited {account} before. Use another one for another credit."
                ),
            };
            Ok(told(&done, credited.buckets))
        }
        Command::Correct {
            account,
            bucket,
            amount,
            reference,
            note,
        } => {
            let owner = database::open_account(&store, &account).await?;
            let corrected = store
                .correct_wallet_as(
                    Operator::COMMAND_LINE,
                    Correction {
                        account_id: owner.id,
                        bucket,
                        amount,
                        reference: &reference,
                        note: note.as_deref(),
                        at_ms: unix_ms(),
                    },
                )
                .await?;
            let done = match corrected.new {
                true => format!(
                    "Corrected {} of {account} by {amount} USD.",
                    bucket.as_str()
                ),
                false => format!(
                    "Corrected nothing: the reference {reference} has corrected {account} before. Use another one for another correction."
                ),
            };
            Ok(told(&done, corrected.buckets))
        }
    }
}

fn told(done: &str, wallet: Buckets) -> Answer {
    let text = format!(
        "{done}\nThe wallet holds {} USD: balance {}, bonus {}, free {}.",
        wallet.total(),
        wallet.balance,
        wallet.bonus,
        wallet.free
    );
    Answer::with_json_text(text, json_of(wallet))
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
