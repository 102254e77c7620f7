//! SIP messages: reading, writing, headers and URIs.

pub mod gateway_uri;
pub mod header;
pub mod hop;
pub mod message;
pub mod parse;
pub mod write;
