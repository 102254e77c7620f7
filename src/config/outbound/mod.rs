//! Sections about what the gateway sends to other servers: `[dns]`, `[mail]`, `[webhooks]`.

pub mod dns;
pub mod mail;
pub mod webhooks;
