//! `/docs/openapi`: the OpenAPI document as a page.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use serde_json::Value;

use super::openapi_document::{DOCUMENT, text};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::Translate;
use crate::dashboard::texts::developer::docs as texts;
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/openapi").get(show));
}

async fn show(visitor: Visitor) -> HttpResponse {
    let l = visitor.locale;
    let paths = DOCUMENT["paths"].as_object();
    let body = html! {
        (page_head(l.t(texts::OPENAPI), Some(l.t(texts::OPENAPI_LEAD)), html! {
            a.button.second href="/api/v1/openapi.json" { (l.t(texts::OPENAPI_FILE)) }
        }))
        @for (path, methods) in paths.into_iter().flatten() {
            @for (method, operation) in methods.as_object().into_iter().flatten() {
                (operation_card(l, path, method, operation))
            }
        }
    };
    public_page(&visitor, texts::OPENAPI, body)
}

fn operation_card(l: Locale, path: &str, method: &str, operation: &'static Value) -> Markup {
    let parameters = operation["parameters"].as_array();
    let responses = operation["responses"].as_object();
    html! {
        section.card {
            h2 { span.method { (method.to_uppercase()) } code { (path) } }
            p { (prose(text(operation, "summary"))) }
            @if let Some(parameters) = parameters.filter(|list| !list.is_empty()) {
                h3 { (l.t(texts::PARAMETERS)) }
                dl.facts {
                    @for parameter in parameters {
                        dt { code { (text(parameter, "name")) } " " span.small { (text(parameter, "in")) } }
                        dd { (prose(text(parameter, "description"))) }
                    }
                }
                br;
            }
            h3 { (l.t(texts::RESPONSES)) }
            dl.facts {
                @for (status, response) in responses.into_iter().flatten() {
                    dt.number { (status) }
                    dd { (prose(text(response, "description"))) }
                }
            }
        }
    }
}

/// A text with `code` between backticks.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_between_backticks_is_marked() {
        let drawn = prose("`missing_auth` or `x<y`.").into_string();
        assert_eq!(drawn, "<code>missing_auth</code> or <code>x&lt;y</code>.");
    }
}
