//! Who calls: API keys and client addresses.

pub(super) mod caller;
pub mod keyring;
