//! Tests of the dashboard: accounts, forms, isolation of accounts, API keys, webhooks and deliveries.

mod accounts;
mod api_keys;
mod forms;
mod live_delivery;
pub mod routes;
mod tenants;
mod totp;
mod webhooks;
