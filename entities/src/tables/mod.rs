//! The sea-orm entity of each table.

pub mod accounts;
pub mod cluster;
pub mod deliveries;
pub mod ledger;
pub mod webhooks;
