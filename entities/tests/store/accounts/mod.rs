//! Accounts, their API keys and their sessions.

mod accounts_and_keys;
mod api_keys;
mod sessions;
