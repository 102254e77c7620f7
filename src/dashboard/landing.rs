//! The landing page, at `/en` and `/vi`.

use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use crate::dashboard::components::*;
use crate::dashboard::texts::{Translate, frame, landing as texts};
use crate::dashboard::web::*;

/// Shows the page. `/` redirects to the visitor's language and keeps the query.
pub async fn show(request: HttpRequest, visitor: Visitor, site: Site) -> HttpResponse {
    let l = visitor.locale;
    if request.path() == "/" {
        return match request.query_string() {
            "" => redirect(&visitor, &format!("/{}", l.code())),
            query => redirect(&visitor, &format!("/{}?{query}", l.code())),
        };
    }
    let free_otps = site.free_otps();
    let price = site.terms.current().price;
    let request = send_otp_curl(&site.public_url.link("/api/v1/send-otp"), "sk_test_…");
    let response = format!(
        "{{\n  \"ok\": true,\n  \"id\": \"8f2e1c4d-…\",\n  \"carrier\": \"viettel\",\n  \"status\": \"sent\",\n  \"cost\": {price},\n  \"balance\": 9.978\n}}"
    );
    let body = html! {
        section.hero {
            div {
                h1 { (l.t(texts::HERO)) }
                p.lead { (l.t(texts::LEAD)) }
                div.actions {
                    a.button href="/auth/sign-up" {
                        @if free_otps > 0 { (l.t_with(texts::START, &[("count", &free_otps)])) }
                        @else { (l.t(texts::START_PLAIN)) }
                    }
                    a.button.second href="/docs" { (l.t(texts::READ_DOCS)) }
                }
                p.faint.small { br; (l.t_with(texts::PRICE, &[("price", &price)])) }
            }
            div.card {
                pre tabindex="0" { code { (request) } }
                h2 { "202 · " (l.t(texts::RESPONSE)) }
                pre tabindex="0" { code { (response) } }
            }
        }
        div.three {
            @for (title, text) in [
                (texts::REACH_TITLE, texts::REACH),
                (texts::FAIR_TITLE, texts::FAIR),
                (texts::SAFE_TITLE, texts::SAFE),
            ] {
                section.card { h2 { (l.t(title)) } p { (l.t(text)) } }
            }
        }
        section.card {
            h2 { (l.t(texts::HOW)) }
            ol.steps {
                @for text in [texts::HOW_1, texts::HOW_2, texts::HOW_3, texts::HOW_4] {
                    li { span { (l.t(text)) } }
                }
            }
        }
        p { br; a.button href="/auth/sign-up" { (l.t(frame::SIGN_UP)) } }
    };
    public_page(&visitor, texts::TITLE, body)
}
