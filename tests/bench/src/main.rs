//! What this machine can do, each figure beside another one of the same run: `tests/bench/run` builds and
//! starts the parts.
//!
//! Nothing here is asserted: machines differ, and a noisy one must not fail a build. What would make
//! a figure worthless (a refused request, a broken ledger) ends the run with an error instead.

use clap::{Parser, Subcommand};

mod accepting_line;
mod calls;
mod customer;
mod http;
mod ledger;
mod listing;
mod load;
mod process;
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
    /// Durable POST /send-otp a second beside a bare actix-web JSON route, under the same wrk load
    Http(http::Args),
    /// Debits a second on one hot account beside one UPDATE a request
    Ledger(ledger::Args),
    /// Whole OTPs a second and the CPU of each, SIPp at the far end
    Calls(calls::Args),
    /// Pages and CSV of a customer with many OTPs, and how they grow with them
    Listing(listing::Args),
    /// A call's signalling beside SIPp's caller, its audio beside a bare sender, and its memory
    Voice(voice::Args),
    /// The bare route that `http` measures against
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
            Bench::Voice(args) => voice::run(args).await,
            Bench::BareRoute => http::serve_bare_route().await,
            Bench::AcceptingGateway(args) => http::serve_accepting_gateway(args).await,
        }
    })
}
