//! Client transactions (RFC 3261 §17.1, RFC 6026): states and timers as values, without sockets or a clock.

pub use invite::{InviteAction, InviteState, InviteTransaction};
pub use request::{RequestState, RequestTransaction};
pub use timers::Timers;

mod invite;
mod request;
#[cfg(test)]
mod testing;
mod timers;
