//! sea-orm entities of the tables that are not queried by plain SQL alone.

pub mod accounts;
pub mod cluster;
pub mod deliveries;
pub mod ledger;
pub mod webhooks;
