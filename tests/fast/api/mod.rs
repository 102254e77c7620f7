//! Tests of the HTTP API: the contract, idempotency, lists, ported numbers, privacy and webhooks.

mod contract;
mod idempotency;
mod listing;
mod ports;
mod privacy;
mod reference;
mod webhooks;
