//! SIP messages and their fields (RFC 3261 §7, §20). They are read by [`Message::parse`] and
//! written by [`Draft`](super::write::Draft).

use std::ops::Range;

use super::header::{Name, NameAddr, Via, split_free};

/// A request's method.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Refer,
    Notify,
    Subscribe,
    Message,
    Other,
}

const METHODS: [(&str, Method); 13] = [
    ("INVITE", Method::Invite),
    ("ACK", Method::Ack),
    ("BYE", Method::Bye),
    ("CANCEL", Method::Cancel),
    ("OPTIONS", Method::Options),
    ("REGISTER", Method::Register),
    ("PRACK", Method::Prack),
    ("UPDATE", Method::Update),
    ("INFO", Method::Info),
    ("REFER", Method::Refer),
    ("NOTIFY", Method::Notify),
    ("SUBSCRIBE", Method::Subscribe),
    ("MESSAGE", Method::Message),
];

impl Method {
    /// Methods are case-sensitive.
    pub fn parse(text: &str) -> Method {
        METHODS
            .iter()
            .find(|(name, _)| *name == text)
            .map_or(Method::Other, |(_, method)| *method)
    }

    /// Its name; an unknown one is shown as `OTHER`.
    pub fn name(self) -> &'static str {
        METHODS
            .iter()
            .find(|(_, method)| *method == self)
            .map_or("OTHER", |(name, _)| *name)
    }
}

/// A message of either kind.
#[derive(Clone, Debug)]
pub enum Message {
    Request(Request),
    Response(Response),
}

/// A request with its header fields and body.
#[derive(Clone)]
pub struct Request {
    pub(in crate::sip) method: Method,
    pub(in crate::sip) uri: Range<usize>,
    pub(in crate::sip) fields: Fields,
}

/// A response with its header fields and body.
#[derive(Clone)]
pub struct Response {
    pub(in crate::sip) code: u16,
    pub(in crate::sip) reason: Range<usize>,
    pub(in crate::sip) fields: Fields,
}

/// What both kinds have: the text, where its fields are, and the body.
#[derive(Clone)]
pub struct Fields {
    pub(in crate::sip) text: String,
    pub(in crate::sip) entries: Vec<Entry>,
    pub(in crate::sip) cseq: u32,
    pub(in crate::sip) cseq_method: Method,
    pub(in crate::sip) body: Vec<u8>,
}

#[derive(Clone)]
pub(in crate::sip) struct Entry {
    pub(in crate::sip) name: Name,
    /// As it was written, for fields that [`Name`] does not know.
    pub(in crate::sip) written: Range<usize>,
    pub(in crate::sip) value: Range<usize>,
}

macro_rules! without_content {
    ($($of:ident),*) => {$(
        /// Shows the kind only: messages hold numbers and credentials.
        impl std::fmt::Debug for $of {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($of)).finish_non_exhaustive()
            }
        }
    )*};
}
without_content!(Request, Response, Fields);

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

impl Fields {
    /// The value of the first field of this name.
    pub fn value(&self, name: Name) -> Option<&str> {
        self.lines(name).next()
    }

    /// The values of all fields of this name, a line each.
    pub fn lines(&self, name: Name) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(move |entry| entry.name == name)
            .map(|entry| &self.text[entry.value.clone()])
    }

    /// The values of all fields of this name, comma lists taken apart.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &str> {
        self.lines(name)
            .flat_map(|line| split_free(line, b','))
            .filter(|value| !value.is_empty())
    }

    /// The value of the first field that is written so, whatever its case.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| self.text[entry.written.clone()].eq_ignore_ascii_case(name))
            .map(|entry| &self.text[entry.value.clone()])
    }

    pub fn call_id(&self) -> &str {
        self.value(Name::CallId).unwrap_or_default()
    }

    /// The sequence number.
    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    pub fn cseq_method(&self) -> Method {
        self.cseq_method
    }

    pub fn from(&self) -> Option<NameAddr<'_>> {
        self.value(Name::From).and_then(NameAddr::parse)
    }

    pub fn to(&self) -> Option<NameAddr<'_>> {
        self.value(Name::To).and_then(NameAddr::parse)
    }

    pub fn from_tag(&self) -> Option<&str> {
        self.from()?.tag()
    }

    pub fn to_tag(&self) -> Option<&str> {
        self.to()?.tag()
    }

    /// The topmost hop.
    pub fn via(&self) -> Option<Via<'_>> {
        self.values(Name::Via).next().and_then(Via::parse)
    }

    /// The first contact's URI.
    pub fn contact(&self) -> Option<&str> {
        self.values(Name::Contact)
            .next()
            .and_then(NameAddr::parse)
            .map(|contact| contact.uri)
    }

    /// Seconds of `Retry-After`, whatever comments and parameters follow.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        let value = self.value(Name::RetryAfter)?;
        let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

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
