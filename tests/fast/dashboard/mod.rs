//! The site through the binary: accounts, forms, tenants, keys, webhooks, deliveries.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

#[path = "dashboard/visitor.rs"]
mod visitor;
#[path = "operators/waiting.rs"]
mod waiting;

#[path = "dashboard/accounts.rs"]
mod accounts;
#[path = "dashboard/factor.rs"]
mod factor;
#[path = "dashboard/forms.rs"]
mod forms;
#[path = "dashboard/keys.rs"]
mod keys;
#[path = "dashboard/routes.rs"]
mod routes;
#[path = "dashboard/tenants.rs"]
mod tenants;
#[path = "dashboard/watching.rs"]
mod watching;
#[path = "dashboard/webhooks.rs"]
mod webhooks;
