//! Tests of the HTTP API: the contract, idempotency, lists, ported numbers, privacy, quotas and webhooks.

mod contract;
mod idempotency;
mod listing;
mod options;
mod ports;
mod privacy;
mod quotas;
mod reference;
mod webhooks;
