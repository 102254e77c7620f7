//! SIP messages (RFC 3261 §7): parsing, writing, header fields and URIs.
//!
//! [`Message::parse`] reads a message; [`Draft`](write::Draft) writes one.

use std::ops::Range;

pub use fields::Fields;
pub use method::Method;

mod fields;
pub mod gateway_uri;
pub mod header;
pub mod hop;
mod method;
pub mod parse;
pub mod uri;
pub mod write;

/// A message of either kind.
#[derive(Clone, Debug)]
pub enum Message {
    Request(Request),
    Response(Response),
}

/// A request with its header fields and body.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    uri: Range<usize>,
    fields: Fields,
}

/// A response with its header fields and body.
#[derive(Clone, Debug)]
pub struct Response {
    code: u16,
    reason: Range<usize>,
    fields: Fields,
}

macro_rules! common_fields {
    ($($of:ident),*) => {$(
        impl std::ops::Deref for $of {
            type Target = Fields;

            fn deref(&self) -> &Fields {
                &self.fields
            }
        }
    )*};
}
common_fields!(Request, Response);

impl Request {
    pub fn method(&self) -> Method {
        self.method
    }

    /// The request-URI.
    pub fn uri(&self) -> &str {
        &self.fields.text[self.uri.clone()]
    }
}

impl Response {
    pub fn code(&self) -> u16 {
        self.code
    }

    pub fn reason(&self) -> &str {
        &self.fields.text[self.reason.clone()]
    }
}
