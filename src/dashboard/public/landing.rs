//! The landing page, at `/en` and `/vi`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;

use crate::dashboard::Site;
use crate::dashboard::texts::{Say, frame, landing as texts};
use crate::dashboard::web::extract::Visitor;
use crate::dashboard::web::page::{Page, go};

/// `/` leads to the language that the browser speaks, with whatever the link carried.
pub async fn show(request: HttpRequest, visitor: Visitor, site: web::Data<Site>) -> HttpResponse {
    if request.path() == "/" {
        let query = request.query_string();
        let mark = if query.is_empty() { "" } else { "?" };
        return go(
            &visitor,
            &format!("/{}{mark}{query}", visitor.language.code()),
        );
    }
    let l = visitor.language;
    let free = site.terms.now().free_credit.get() / site.terms.now().price.get().max(1);
    let url = site.public_url.link("/api/v1/send-otp");
    let request = format!(
        "curl -X POST {url} \\\n  -H \"Authorization: Bearer $NEXO_KEY\" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{{\"phone\":\"+84981234567\",\"code\":\"482917\"}}'"
    );
    let answer = format!(
        "{{\n  \"ok\": true,\n  \"id\": \"8f2e1c4d-…\",\n  \"carrier\": \"viettel\",\n  \"status\": \"sent\",\n  \"cost\": {},\n  \"balance\": 9.978\n}}",
        site.terms.now().price
    );
    let body = html! {
        section.hero {
            div {
                h1 { (l.say(texts::HERO)) }
                p.lead { (l.say(texts::LEAD)) }
                div.actions {
                    a.button href="/auth/sign-up" {
                        @if free > 0 { (l.tell(texts::START, &[("count", &free)])) }
                        @else { (l.say(texts::START_PLAIN)) }
                    }
                    a.button.second href="/docs" { (l.say(texts::READ_DOCS)) }
                }
                p.faint.small { br; (l.tell(texts::PRICE, &[("price", &site.terms.now().price)])) }
            }
            div.card {
                pre tabindex="0" { code { (request) } }
                h2 { "202 · " (l.say(texts::ANSWER)) }
                pre tabindex="0" { code { (answer) } }
            }
        }
        div.three {
            @for (title, text) in [
                (texts::REACH_TITLE, texts::REACH),
                (texts::FAIR_TITLE, texts::FAIR),
                (texts::SAFE_TITLE, texts::SAFE),
            ] {
                section.card { h2 { (l.say(title)) } p { (l.say(text)) } }
            }
        }
        section.card {
            h2 { (l.say(texts::HOW)) }
            ol.steps {
                @for text in [texts::HOW_1, texts::HOW_2, texts::HOW_3, texts::HOW_4] {
                    li { span { (l.say(text)) } }
                }
            }
        }
        p { br; a.button href="/auth/sign-up" { (l.say(frame::SIGN_UP)) } }
    };
    let page = Page {
        title: l.say(texts::TITLE),
        place: None,
        status: StatusCode::OK,
        body,
    };
    page.answer_public(&visitor)
}
