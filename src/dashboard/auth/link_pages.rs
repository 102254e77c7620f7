//! The pages around an e-mailed link: after it is sent, and when it does not work any more.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use maud::{Markup, html};

use crate::dashboard::texts::{Text, Translate, accounts as texts};
use crate::dashboard::web::*;

/// Says that an e-mail is sent. It is the same for every address.
pub fn link_sent(visitor: &Visitor, text: &str) -> HttpResponse {
    let l = visitor.locale;
    let body = html! {
        h1 { (l.t(texts::LINK_SENT_TITLE)) }
        p.lead { (text) }
        p.aside { a href="/auth/sign-in" { (l.t(texts::SIGN_IN_TITLE)) } }
    };
    standalone(visitor, texts::LINK_SENT_TITLE, StatusCode::OK, body)
}

/// 410 for a link that was used or has expired. `next` is how to continue.
pub fn link_expired(visitor: &Visitor, text: Text, next: Markup) -> HttpResponse {
    let l = visitor.locale;
    let body = html! {
        h1 { (l.t(texts::LINK_EXPIRED_TITLE)) }
        p.lead { (l.t(text)) }
        (next)
    };
    standalone(visitor, texts::LINK_EXPIRED_TITLE, StatusCode::GONE, body)
}
