//! The command line: what each command takes, and what it answers.

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
use output::Answer;

/// A self-hosted voice-OTP gateway: one HTTP POST makes a phone ring and a voice read the code.
#[derive(Debug, Parser)]
#[command(name = "nexo", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file [default: nexo.toml where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer with one JSON object
    #[arg(long, global = true)]
    json: bool,
    /// `serve` where none is given
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway: API, calls, webhooks and metrics (the default)
    Serve,
    /// Send one OTP through everything on this machine, and show and check what happens
    Demo(demo_args::Args),
    /// Run the sandbox carrier alone, for load tests and staging
    Sandbox(run::sandbox::Args),
    /// Place one test call over a configured trunk and show its ladder; it bills nobody
    Call(run::call::Args),
    /// Show each carrier's gateways: reachable, registered, round trip, channels, last failure
    Trunks,
    /// Customers' accounts
    #[command(subcommand, arg_required_else_help = false)]
    Account(manage::account::Command),
    /// API keys
    #[command(subcommand, arg_required_else_help = false)]
    Key(manage::key::Command),
    /// Wallets
    #[command(subcommand, arg_required_else_help = false)]
    Wallet(manage::wallet::Command),
    /// Webhook endpoints
    #[command(subcommand, arg_required_else_help = false)]
    Webhook(manage::webhook::Command),
    /// Numbers that have left the carrier of their range
    #[command(subcommand, arg_required_else_help = false)]
    Ports(manage::ports::Command),
    /// What is said to whoever answers
    #[command(subcommand, arg_required_else_help = false)]
    Prompts(maintain::prompts::Command),
    /// Top-ups, and the payments that came in for them
    #[command(subcommand, arg_required_else_help = false)]
    Deposit(manage::deposit::Command),
    /// Who was brought by whom, and what that has earned
    #[command(subcommand, arg_required_else_help = false)]
    Referral(manage::referral::Command),
    /// Monthly payouts of commissions
    #[command(subcommand, arg_required_else_help = false)]
    Payouts(manage::payouts::Command),
    /// What operators have done, and suspicious bursts that they should look at
    #[command(subcommand, arg_required_else_help = false)]
    Operator(manage::operator::Command),
    /// Check every ledger invariant
    Audit,
    /// Copy the SQLite database into FILE while it is served; PostgreSQL has tools of its own
    Backup {
        /// Where to; nothing may be there yet
        file: PathBuf,
    },
    /// The database's schema
    #[command(subcommand, arg_required_else_help = false)]
    Migrate(maintain::migrate::Command),
    /// Print what completes `nexo` in a shell, for `source` or its completions directory
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for `man -l -` or a file nexo.1
    Man,
    /// The configuration
    #[command(subcommand, arg_required_else_help = false)]
    Config(maintain::config::Command),
}

mod demo_args {
    use std::path::PathBuf;

    use nexo_domain::otp::{Code, Language};
    use nexo_domain::phone::Phone;

    #[derive(Debug, clap::Args)]
    pub struct Args {
        /// The number to call; its last two digits choose what the sandbox carrier does
        #[arg(default_value = "+84981234567", value_parser = super::args::phone)]
        pub phone: Phone,
        /// The code to read, 4 to 8 digits [default: a random one]
        #[arg(value_parser = super::args::code)]
        pub code: Option<Code>,
        /// The language of the voice: vi or en
        #[arg(long, value_parser = super::args::language())]
        pub language: Option<Language>,
        /// Where the call is saved as WAV
        #[arg(long, value_name = "FILE", default_value = "demo-call.wav")]
        pub save: PathBuf,
    }
}

/// Runs the command that `arguments` name and prints its answer. The process's whole work.
///
/// Not generic: generic code would be compiled with the binary, with all of the program that it awaits.
pub fn main(arguments: Vec<OsString>, variables: Vec<(String, String)>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    let as_json = cli.json;
    let outcome = actix_web::rt::System::new().block_on(cli.run(variables));
    match outcome {
        Ok(Some(answer)) => answer.print(as_json),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", output::causes(&error));
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    /// `None` when the command has said everything itself.
    async fn run(self, variables: Vec<(String, String)>) -> anyhow::Result<Option<Answer>> {
        // No mistake in the configuration keeps a shell from knowing the commands, nor a reader from the manual.
        match self.command {
            Some(Command::Completions { shell }) => return Ok(Some(completions(shell))),
            Some(Command::Man) => return man().map(Some),
            _ => {}
        }
        let (file, command) = (self.config, self.command);
        let load = move || Config::load(file.as_deref(), variables.iter().cloned());
        let loaded = load()?;
        let config = &loaded.config;
        let answer = match command.unwrap_or(Command::Serve) {
            Command::Completions { shell } => completions(shell),
            Command::Man => man()?,
            Command::Serve => {
                run::serve::run(loaded, &load, self.json).await?;
                return Ok(None);
            }
            Command::Demo(args) => return run_demo(config, args, self.json).await.map(Some),
            Command::Sandbox(args) => {
                telemetry::log_to_stderr();
                run::sandbox::run(config, args, self.json).await?;
                return Ok(None);
            }
            Command::Call(args) => run::call::run(config, args, self.json).await?,
            Command::Trunks => run::trunks::run(config).await?,
            Command::Account(command) => manage::account::run(config, command).await?,
            Command::Key(command) => manage::key::run(config, command).await?,
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
            Command::Migrate(command) => maintain::migrate::run(config, command).await?,
            Command::Config(command) => maintain::config::run(&loaded, &command)?,
        };
        Ok(Some(answer))
    }
}

fn completions(shell: clap_complete::Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "nexo", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let json = serde_json::json!({ "shell": shell.to_string(), "script": script });
    Answer::new(script, json)
}

/// The manual of all commands, one page.
///
/// # Errors
/// Never: what is written to memory is written.
fn man() -> anyhow::Result<Answer> {
    let page = manual::page(Cli::command())?;
    let json = serde_json::json!({ "page": page });
    Ok(Answer::new(page, json))
}

async fn run_demo(config: &Config, args: demo_args::Args, as_json: bool) -> anyhow::Result<Answer> {
    let mut config = config.clone();
    if let Some(language) = args.language {
        config.calls.language = language;
    }
    run::demo::run(
        &config,
        run::demo::DemoArgs {
            phone: args.phone,
            code: args.code,
            save: args.save,
            as_json,
        },
    )
    .await
}
