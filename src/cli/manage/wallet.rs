//! `nexo wallet`: credits and corrects wallets. Each reference is applied once per account.

use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::ledger::{Bucket, Buckets};
use nexo_domain::money::Micros;
use nexo_entities::store::ledger::wallets::{Correction, Credit};
use nexo_entities::store::operations::operator_log::Operator;
use serde::Serialize;

use crate::cli::output::CommandOutput;
use crate::cli::{args, database};
use crate::config::Config;

/// The subcommands of `nexo wallet`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add credit to one bucket of a wallet, once for each reference
    Credit {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// The bucket: balance for cash, bonus for promotions, free for trials
        #[arg(long, value_parser = args::bucket())]
        bucket: Bucket,
        /// US dollars, such as 10.00
        #[arg(long, value_name = "USD", value_parser = args::amount, allow_hyphen_values = true)]
        amount: Micros,
        /// Reference of the payment or decision; each reference credits once
        #[arg(long, value_parser = args::reference)]
        reference: String,
    },
    /// Correct one bucket of a wallet by a positive or negative amount, once for each reference
    Correct {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// The bucket to correct
        #[arg(long, value_parser = args::bucket())]
        bucket: Bucket,
        /// US dollars; a negative amount such as -1.00 takes at most what the bucket holds
        #[arg(long, value_name = "USD", value_parser = args::signed_amount, allow_hyphen_values = true)]
        amount: Micros,
        /// Reference of the decision; each reference corrects once
        #[arg(long, value_parser = args::reference)]
        reference: String,
        /// Reason, shown to the customer in the ledger
        #[arg(long, value_name = "TEXT", value_parser = args::note)]
        note: Option<String>,
    },
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    match command {
        Command::Credit { account, bucket, amount, reference } => {
            let owner = database::open_account(&store, &account).await?;
            let credited = store
                .ledger()
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
            let result = match credited.new {
                true => format!("Added {amount} USD to {} of {account}.", bucket.as_str()),
                false => format!(
                    "Nothing added: reference {reference} was already credited to {account}. Use a new reference for a new credit."
                ),
            };
            Ok(output(&result, credited.buckets))
        }
        Command::Correct { account, bucket, amount, reference, note } => {
            let owner = database::open_account(&store, &account).await?;
            let corrected = store
                .ledger()
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
            let result = match corrected.new {
                true => format!("Corrected {} of {account} by {amount} USD.", bucket.as_str()),
                false => format!(
                    "Nothing corrected: reference {reference} was already used for {account}. Use a new reference for a new correction."
                ),
            };
            Ok(output(&result, corrected.buckets))
        }
    }
}

fn output(result: &str, wallet: Buckets) -> CommandOutput {
    let text = format!(
        "{result}\nThe wallet holds {} USD: balance {}, bonus {}, free {}.",
        wallet.total(),
        wallet.balance,
        wallet.bonus,
        wallet.free
    );
    let json = WalletJson {
        balance: wallet.balance,
        bonus_credit: wallet.bonus,
        free_credit: wallet.free,
        total: wallet.total(),
    };
    CommandOutput::new(text, json)
}

#[derive(Serialize)]
struct WalletJson {
    balance: Micros,
    bonus_credit: Micros,
    free_credit: Micros,
    total: Micros,
}
