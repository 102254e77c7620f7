//! The answer to a hook, in the form of its kind.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use nexo_domain::integration::Kind;
use serde::Serialize;
use utoipa::ToSchema;

use super::once::Ring;
use crate::api::body::ok;
use crate::api::error::ApiError;
use crate::api::otp::idempotency::IDEMPOTENT_REPLAYED;

/// The answer to an auth server. Empty unless it is a refusal to `supabase`.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct HookAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<HookRefusal>,
}

/// A refusal in the body of a 200.
#[derive(Serialize, ToSchema)]
struct HookRefusal {
    /// The status that another kind gets.
    #[schema(minimum = 400, maximum = 599)]
    http_code: u16,
    message: String,
}

/// The answer in the form of the kind.
pub(super) fn respond(kind: Kind, rang: Result<Ring, ApiError>) -> HttpResponse {
    match rang {
        Ok(Ring::First) => ok(&HookAnswer { error: None }),
        Ok(Ring::Replayed) => {
            let mut answer = ok(&HookAnswer { error: None });
            answer.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
            answer
        }
        Err(refused) if kind.answers_in_body() => refuse_in_body(&refused),
        Err(refused) => refused.response(),
    }
}

fn refuse_in_body(refused: &ApiError) -> HttpResponse {
    match refused.status() {
        // Not the auth server, or not this URL. The status must show that to the person who sets it up.
        StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND | StatusCode::PAYLOAD_TOO_LARGE => {
            let mut answer = refused.response();
            answer.headers_mut().remove(RETRY_AFTER);
            answer
        }
        status => ok(&HookAnswer {
            error: Some(HookRefusal { http_code: status.as_u16(), message: refused.message() }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use nexo_domain::integration::HookCodeError;

    use super::*;

    async fn parts(kind: Kind, rang: Result<Ring, ApiError>) -> (u16, String, bool) {
        let answer = respond(kind, rang);
        let has_retry_after = answer.headers().contains_key(RETRY_AFTER);
        let status = answer.status().as_u16();
        let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), has_retry_after)
    }

    #[actix_web::test]
    async fn no_answer_to_supabase_has_retry_after_and_a_proven_caller_gets_a_200() {
        for refused in ApiError::one_of_each() {
            let expected = refused.status().as_u16();
            let (status, body, has_retry_after) = parts(Kind::Supabase, Err(refused)).await;
            assert!(!has_retry_after, "{body}");
            if [401, 404, 413].contains(&expected) {
                assert_eq!(status, expected, "{body}");
                continue;
            }
            assert_eq!(status, 200, "{body}");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["error"]["http_code"], expected);
            assert!(body["error"]["message"].is_string());
        }
    }

    #[actix_web::test]
    async fn other_kinds_get_the_status_and_body_of_the_api() {
        let refused = ApiError::HookCode(HookCodeError::Letters("Logto"));
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Supabase) {
            let (status, body, _) = parts(kind, Err(refused.clone())).await;
            assert_eq!((status, body), (400, refused.body()));
            let limited = ApiError::RateLimited { retry_after_seconds: 7 };
            let (status, _, has_retry_after) = parts(kind, Err(limited)).await;
            assert_eq!((status, has_retry_after), (429, true));
        }
    }

    #[actix_web::test]
    async fn success_is_an_empty_object_and_a_replay_says_so() {
        for kind in Kind::ALL {
            let (status, body, _) = parts(kind, Ok(Ring::First)).await;
            assert_eq!((status, body.as_str()), (200, "{}"));
            let replayed = respond(kind, Ok(Ring::Replayed));
            assert_eq!(replayed.headers().get(IDEMPOTENT_REPLAYED).unwrap(), "true");
            assert_eq!(parts(kind, Ok(Ring::Replayed)).await.1, "{}");
        }
    }
}
