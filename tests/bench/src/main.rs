//! Benchmarks of the gateway. Each figure stands next to a baseline from the same run. `tests/bench/run` builds and
//! starts them.
//!
//! Speed is not asserted, except the limit for pages: machines differ, and a noisy one must not fail a build. An event
//! that makes a figure invalid (a refused request, an inconsistent ledger) ends the run with an error.

use clap::{Parser, Subcommand};

mod accepting_line;
mod calls;
mod customer;
mod fairness;
mod filling;
mod http;
mod ledger;
mod listing;
mod load;
mod process;
mod verify;
mod voice;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Durable POST /send-otp per second, compared with a bare actix-web JSON route under the same wrk load
    Http(http::Args),
    /// Debits per second on one hot account, compared with one UPDATE per request
    Ledger(ledger::Args),
    /// Complete OTPs per second and the CPU time of each, with SIPp as the far end
    Calls(calls::Args),
    /// Pages and CSV of a customer with many OTPs, and how their times grow
    Listing(listing::Args),
    /// p99 of POST /send-otp while another account reads as much as it can, compared with p99 without it
    Fairness(fairness::Args),
    /// The CPU time of verifications and their checks, compared with that of an OTP
    Verify(verify::Args),
    /// A call's signalling compared with SIPp's caller, its audio compared with a bare sender, and its memory
    Voice(voice::Args),
    /// The bare route that is the baseline of `http`
    #[command(hide = true)]
    BareRoute,
    /// The gateway that `http` measures
    #[command(hide = true)]
    AcceptingGateway(http::GatewayArgs),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    actix_web::rt::System::new().block_on(async {
        match cli.bench {
            Bench::Http(args) => http::run(args).await,
            Bench::Ledger(args) => ledger::run(args).await,
            Bench::Calls(args) => calls::run(args).await,
            Bench::Listing(args) => listing::run(args).await,
            Bench::Fairness(args) => fairness::run(args).await,
            Bench::Verify(args) => verify::run(args).await,
            Bench::Voice(args) => voice::run(args).await,
            Bench::BareRoute => http::serve_bare_route().await,
            Bench::AcceptingGateway(args) => http::serve_accepting_gateway(args).await,
        }
    })
}
