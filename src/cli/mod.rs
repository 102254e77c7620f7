//! The command line: parses the arguments, runs the command and prints its output. Each command is a module in
//! `run`, `manage` or `maintain`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub mod args;
pub mod database;
pub mod maintain;
pub mod manage;
pub mod manual;
pub mod output;
pub mod run;
pub mod usage;

use crate::config::Config;
use crate::telemetry;
use output::CommandOutput;

/// A self-hosted voice-OTP gateway: an HTTP POST places a call that reads the code to the customer
#[derive(Debug, Parser)]
#[command(name = "nexo", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file [default: nexo.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway: API, site, calls, webhooks and metrics
    Serve,
    /// Send one OTP through a complete gateway on this machine, and show and check each step
    Demo(run::demo::Args),
    /// Run the sandbox carrier alone, for load tests and staging
    Sandbox(run::sandbox::Args),
    /// Place one test call over a configured trunk and show its SIP messages; no account is charged
    Call(run::call::Args),
    /// Show the state of each carrier's gateways
    Trunks,
    /// Customer accounts
    #[command(subcommand, arg_required_else_help = false)]
    Account(manage::account::Command),
    /// API keys
    #[command(subcommand, arg_required_else_help = false)]
    Key(manage::key::Command),
    /// Auth servers that send their codes with their own hooks
    #[command(subcommand, arg_required_else_help = false)]
    Integration(manage::integration::Command),
    /// Wallets
    #[command(subcommand, arg_required_else_help = false)]
    Wallet(manage::wallet::Command),
    /// Webhook endpoints
    #[command(subcommand, arg_required_else_help = false)]
    Webhook(manage::webhook::Command),
    /// Ported numbers
    #[command(subcommand, arg_required_else_help = false)]
    Ports(manage::ports::Command),
    /// Voice prompts
    #[command(subcommand, arg_required_else_help = false)]
    Prompts(maintain::prompts::Command),
    /// Top-ups and bank payments
    #[command(subcommand, arg_required_else_help = false)]
    Deposit(manage::deposit::Command),
    /// Referrals and their earnings
    #[command(subcommand, arg_required_else_help = false)]
    Referral(manage::referral::Command),
    /// Monthly payouts of referral commissions
    #[command(subcommand, arg_required_else_help = false)]
    Payouts(manage::payouts::Command),
    /// Audit log, and reviews of suspicious traffic
    #[command(subcommand, arg_required_else_help = false)]
    Operator(manage::operator::Command),
    /// Check every invariant of the ledger
    Audit,
    /// Copy the SQLite database to FILE while the gateway runs; for PostgreSQL, use its own tools
    Backup {
        /// The new file; it must not exist
        file: PathBuf,
    },
    /// The secret of the installation
    #[command(subcommand, arg_required_else_help = false)]
    Secret(maintain::secret::Command),
    /// Database schema
    #[command(subcommand, arg_required_else_help = false)]
    Migrate(maintain::migrate::Command),
    /// Generate shell completions
    Completions {
        /// The shell to generate them for
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page in roff, for `man -l -`
    Man,
    /// Configuration
    #[command(subcommand, arg_required_else_help = false)]
    Config(maintain::config::Command),
}

/// Runs the command in `arguments` and prints its output.
///
/// Not generic, because generic code and everything it awaits would be compiled again with the binary.
pub fn main(arguments: Vec<OsString>, variables: Vec<(String, String)>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    let as_json = cli.json;
    let result = actix_web::rt::System::new().block_on(cli.run(variables));
    match result {
        Ok(Some(output)) => output.print(as_json),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", output::causes(&error));
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    /// Returns `None` if the command printed its output itself.
    async fn run(self, variables: Vec<(String, String)>) -> anyhow::Result<Option<CommandOutput>> {
        // These two work even if the configuration is invalid.
        match self.command {
            Command::Completions { shell } => return Ok(Some(completions(shell))),
            Command::Man => return man().map(Some),
            _ => {}
        }
        let (file, command) = (self.config, self.command);
        let load = move || Config::load(file.as_deref(), variables.iter().cloned());
        let loaded = load()?;
        let config = &loaded.config;
        let output = match command {
            Command::Completions { shell } => completions(shell),
            Command::Man => man()?,
            Command::Serve => {
                run::serve::run(loaded, &load, self.json).await?;
                return Ok(None);
            }
            Command::Demo(args) => run::demo::run(config, args, self.json).await?,
            Command::Sandbox(args) => {
                telemetry::log_to_stderr();
                run::sandbox::run(config, args, self.json).await?;
                return Ok(None);
            }
            Command::Call(args) => run::call::run(config, args, self.json).await?,
            Command::Trunks => run::trunks::run(config).await?,
            Command::Account(command) => manage::account::run(config, command).await?,
            Command::Key(command) => manage::key::run(config, command).await?,
            Command::Integration(command) => manage::integration::run(config, command).await?,
            Command::Wallet(command) => manage::wallet::run(config, command).await?,
            Command::Webhook(command) => manage::webhook::run(config, command).await?,
            Command::Ports(command) => manage::ports::run(config, command).await?,
            Command::Prompts(command) => maintain::prompts::run(config, command)?,
            Command::Deposit(command) => manage::deposit::run(config, command).await?,
            Command::Referral(command) => manage::referral::run(config, command).await?,
            Command::Payouts(command) => manage::payouts::run(config, command).await?,
            Command::Operator(command) => manage::operator::run(config, command).await?,
            Command::Audit => maintain::audit::run(config).await?,
            Command::Backup { file } => maintain::backup::run(config, &file).await?,
            Command::Secret(command) => maintain::secret::run(config, command).await?,
            Command::Migrate(command) => maintain::migrate::run(config, command).await?,
            Command::Config(command) => maintain::config::run(&loaded, &command).await?,
        };
        Ok(Some(output))
    }
}

fn completions(shell: clap_complete::Shell) -> CommandOutput {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "nexo", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let json = serde_json::json!({ "shell": shell.to_string(), "script": script });
    CommandOutput::new(script, json)
}

fn man() -> anyhow::Result<CommandOutput> {
    let page = manual::man_page(Cli::command())?;
    let json = serde_json::json!({ "page": page });
    Ok(CommandOutput::new(page, json))
}
