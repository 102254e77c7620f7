//! SIP methods (RFC 3261 §7.1 and extensions).

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
    /// The method of this name. Names are case-sensitive (RFC 3261 §7.1).
    pub fn parse(text: &str) -> Method {
        METHODS.iter().find(|(name, _)| *name == text).map_or(Method::Other, |(_, method)| *method)
    }

    /// The name; `OTHER` for an unknown method.
    pub fn name(self) -> &'static str {
        METHODS.iter().find(|(_, method)| *method == self).map_or("OTHER", |(name, _)| *name)
    }
}
