//! Tests of the HTTP API: the contract, bodies, headers, methods, refusals by the parser, idempotency, lists, ported
//! numbers, privacy, quotas and webhooks.

mod bodies;
mod contract;
mod headers;
mod idempotency;
mod listing;
mod methods;
mod ports;
mod privacy;
mod quotas;
mod reference;
mod refusals;
mod schemathesis;
mod webhooks;
