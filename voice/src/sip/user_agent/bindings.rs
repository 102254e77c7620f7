//! Our binding among those that a registrar lists (RFC 3261 §10.2.4).
//!
//! | the registrar lists | the term |
//! |---|---|
//! | our Contact | its `expires`, else Expires, else the requested one |
//! | none that is ours, but some with our user: it rewrote our Contact | the smallest of those |
//! | only others | the smallest of those |
//! | none | Expires, else the requested one |

use crate::sip::message::Response;
use crate::sip::message::header::{Name, NameAddr, leading_number};
use crate::sip::message::uri::SipUri;

/// For how many seconds our `contact` is registered, according to a 2xx to our REGISTER. A guess is at most the
/// requested term.
pub fn granted_seconds(response: &Response, contact: &str, requested: u32) -> u32 {
    let default = response.named("Expires").and_then(leading_number).unwrap_or(requested);
    let ours = NameAddr::parse(contact).and_then(|ours| SipUri::parse(ours.uri));
    let Some(ours) = ours else {
        return default.min(requested);
    };
    let bindings: Vec<(SipUri<'_>, u32)> = response
        .values(Name::Contact)
        .filter_map(|listed| {
            let listed = NameAddr::parse(listed)?;
            let seconds = listed.param("expires").and_then(leading_number);
            Some((SipUri::parse(listed.uri)?, seconds.unwrap_or(default)))
        })
        .collect();
    let smallest = |is_candidate: &dyn Fn(&SipUri<'_>, u32) -> bool| {
        let candidates = bindings.iter().filter(|(uri, seconds)| is_candidate(uri, *seconds));
        candidates.map(|(_, seconds)| *seconds).min()
    };
    if let Some(own) = smallest(&|uri, _| uri.is_equivalent(&ours)) {
        return own;
    }
    // A binding that ends now is not the one that was just granted.
    let of_our_user = smallest(&|uri, seconds| seconds > 0 && uri.has_user_of(&ours));
    let guess = of_our_user.or_else(|| smallest(&|_, seconds| seconds > 0));
    guess.unwrap_or(default).min(requested)
}
