//! `/docs/openapi`: the OpenAPI document, read by people.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_domain::otp::Language;
use serde_json::Value;

use crate::api::openapi;
use crate::dashboard::texts::{Say, docs as texts};
use crate::dashboard::web::extract::Visitor;
use crate::dashboard::web::page::Page;

/// It is built from static types, so it is always a document.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(openapi::text()).unwrap_or(Value::Null));

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/openapi").get(show));
}

async fn show(visitor: Visitor) -> HttpResponse {
    let l = visitor.language;
    let paths = DOCUMENT["paths"].as_object();
    let body = html! {
        div.head {
            div {
                h1 { (l.say(texts::OPENAPI)) }
                p.lead { (l.say(texts::OPENAPI_LEAD)) }
            }
            div.actions {
                a.button.second href="/api/v1/openapi.json" { (l.say(texts::OPENAPI_FILE)) }
            }
        }
        @for (path, methods) in paths.into_iter().flatten() {
            @for (method, operation) in methods.as_object().into_iter().flatten() {
                (one(l, path, method, operation))
            }
        }
    };
    let page = Page {
        title: l.say(texts::OPENAPI),
        place: None,
        status: StatusCode::OK,
        body,
    };
    page.answer_public(&visitor)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn one(l: Language, path: &str, method: &str, operation: &Value) -> Markup {
    let parameters = operation["parameters"].as_array();
    let responses = operation["responses"].as_object();
    html! {
        section.card {
            h2 { span.method { (method.to_uppercase()) } code { (path) } }
            p { (text(operation, "summary")) }
            @if let Some(parameters) = parameters.filter(|list| !list.is_empty()) {
                h3 { (l.say(texts::PARAMETERS)) }
                dl.facts {
                    @for parameter in parameters {
                        dt { code { (text(parameter, "name")) } " " span.small { (text(parameter, "in")) } }
                        dd { (text(parameter, "description")) }
                    }
                }
                br;
            }
            h3 { (l.say(texts::ANSWERS)) }
            dl.facts {
                @for (status, response) in responses.into_iter().flatten() {
                    dt.number { (status) }
                    dd { (text(response, "description")) }
                }
            }
        }
    }
}
