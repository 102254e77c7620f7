//! Tests of the dashboard: accounts, forms, isolation of accounts, API keys, limits, webhooks and deliveries.

mod accounts;
mod api_keys;
mod forms;
mod limits;
mod live_delivery;
mod routes;
mod tenants;
mod totp;
mod webhooks;
