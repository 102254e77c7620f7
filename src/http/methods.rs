//! HEAD, OPTIONS and `Allow`, derived for every route (RFC 9110 §9 and §15.5.6).
//!
//! Routes declare GET and POST only. A HEAD request runs the GET handler, and the server sends the head of its answer.
//! OPTIONS and the 405 answer list the methods of the resource.

use actix_web::body::{self, BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

/// Marks a request as HEAD for handlers; the router sees GET.
struct HeadOnly;

/// Whether the client wants the head of the answer only. Handlers with expensive bodies skip them.
pub fn is_head(request: &HttpRequest) -> bool {
    request.extensions().contains::<HeadOnly>()
}

/// The middleware. It must be outside of the router.
pub async fn derive_methods<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let method = request.method().clone();
    if method == Method::OPTIONS && request.path() == "*" {
        let answer =
            HttpResponse::NoContent().insert_header((ALLOW, "GET, HEAD, POST, OPTIONS")).finish();
        return Ok(request.into_response(answer));
    }
    if method == Method::HEAD {
        request.head_mut().method = Method::GET;
        request.extensions_mut().insert(HeadOnly);
    }
    let response = next.call(request).await?.map_into_boxed_body();
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        return Ok(refuse(response, &method));
    }
    if method == Method::HEAD && response.response().body().size() == BodySize::Stream {
        // The server would run the stream to its end. The length of the body is unknown, so there is no
        // Content-Length.
        return Ok(response.map_body(|_, _| BoxBody::new(body::None::new())));
    }
    Ok(response)
}

/// Turns the router's refusal into the answer to OPTIONS, or completes it. Other headers stay.
fn refuse(mut response: ServiceResponse, method: &Method) -> ServiceResponse {
    let allow = allow(response.headers());
    let text = match *method {
        Method::OPTIONS => String::new(),
        _ => format!("Method not allowed. Use {allow}.\n"),
    };
    if text.is_empty() {
        *response.response_mut().status_mut() = StatusCode::NO_CONTENT;
    } else {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
    }
    if let Ok(allow) = allow.parse() {
        response.headers_mut().insert(ALLOW, allow);
    }
    response.map_body(|_, _| BoxBody::new(text))
}

/// The methods of a resource: those of its routes, which the router lists, and the derived ones.
fn allow(headers: &HeaderMap) -> String {
    let values = headers.get_all(ALLOW);
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let values = values.join(",");
    let mut methods: Vec<&str> = Vec::new();
    for method in values.split(',').map(str::trim) {
        if method.is_empty() || methods.contains(&method) {
            continue;
        }
        methods.push(method);
        if method == "GET" {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_lists_each_method_once_and_the_derived_ones() {
        for (of_routes, expected) in [
            (vec!["GET"], "GET, HEAD, OPTIONS"),
            (vec!["POST"], "POST, OPTIONS"),
            (vec!["GET, POST"], "GET, HEAD, POST, OPTIONS"),
            (vec!["GET", "POST", "GET"], "GET, HEAD, POST, OPTIONS"),
        ] {
            let mut headers = HeaderMap::new();
            for value in &of_routes {
                headers.append(ALLOW, HeaderValue::from_static(value));
            }
            assert_eq!(allow(&headers), expected, "{of_routes:?}");
        }
    }
}
