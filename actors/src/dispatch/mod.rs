//! The saga of one OTP, from its admission to its final state.
//!
//! | step | may fail as | compensation |
//! |---|---|---|
//! | known to be short of funds | `FundsShort`, `WindowHeld` | none needed: nothing is claimed |
//! | claim the phone's window and a channel | `WindowHeld`, `Overloaded` | none needed |
//! | debit, durably | `FundsShort`, `WindowHeld`, `KeyTaken`, `Overloaded` | release window and channel; the reaper does it if the connection broke during the commit |
//! | INVITE to one gateway after another, until one accepts | `NoRoute`, `Throttled` | refund, release window and channel |
//! | the call, to its end | never: it ends in one of the final states | the refund policy |
//!
//! The saga is a task of its own, and continues when the client disconnects. If it dies, its delivery is no longer
//! live, and the reaper settles it.
//!
//! If the request has an idempotency key, the saga holds its [`InFlight`](inflight::InFlight). The response is
//! stored with the debit, becomes final when a gateway accepts the call, and is deleted with the refund otherwise.

mod answer;
mod attempts;
mod dispatcher;
pub mod inflight;
pub mod live_deliveries;
mod order;
mod paid;
mod placing;
mod saga;
pub mod short_wallets;
mod start_permit;

pub use answer::Dispatched;
pub use dispatcher::{CarrierRoute, DispatchSettings, Dispatcher};
pub use order::{OtpOrder, new_delivery};
