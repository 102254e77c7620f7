//! Accounts, their API keys, their sessions and their quotas.

mod accounts_and_keys;
mod api_keys;
mod quotas;
mod sessions;
