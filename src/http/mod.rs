//! What the API, the site and the metrics port have in common as HTTP servers: methods, parser refusals, and the
//! server itself.

pub mod connection;
pub mod methods;
pub mod server;
