//! The site through the binary: accounts, forms, tenants, keys, webhooks, deliveries.

mod accounts;
mod api_keys;
mod forms;
mod live_delivery;
mod routes;
mod tenants;
mod totp;
mod webhooks;
