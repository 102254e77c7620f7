//! Tests of the dashboard: accounts, forms, isolation of accounts, API keys, limits, webhooks,
//! deliveries and verifications.

mod account_security;
mod accounts;
mod api_keys;
mod forms;
mod integrations;
mod limits;
mod live_delivery;
mod locale;
mod passwords;
pub mod routes;
mod sign_in_limits;
mod tenants;
mod test_otp;
mod totp;
mod verifications;
mod webhooks;
