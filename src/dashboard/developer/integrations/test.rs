//! "Send a test": a body in the form of the integration's kind goes through the code that reads real ones. The sandbox
//! answers it.

use actix_web::http::StatusCode;
use actix_web::web;
use maud::{Markup, html};
use nexo_domain::ids::KeyId;
use nexo_domain::otp::{MAX_DIGITS, MIN_DIGITS};
use nexo_entities::store::accounts::integrations::Integration;
use zeroize::Zeroizing;

use super::settings::sample_body;
use super::{draw_one, integration_of, path_of};
use crate::api::ApiState;
use crate::api::auth::keyring::Key;
use crate::api::error::ApiError;
use crate::api::hooks::send_test;
use crate::dashboard::components::*;
use crate::dashboard::developer::sandbox_numbers::{ANSWERS, outcomes, random_phone};
use crate::dashboard::developer::test_otp::refusal;
use crate::dashboard::texts::Translate;
use crate::dashboard::texts::developer::{integrations as texts, test_otp};
use crate::dashboard::web::*;

/// The code that the form suggests.
const SUGGESTED: &str = "482917";

/// The fields of the form, as typed.
pub struct Typed<'a> {
    ending: u8,
    code: &'a str,
}

impl Default for Typed<'_> {
    fn default() -> Self {
        Typed { ending: ANSWERS, code: SUGGESTED }
    }
}

pub fn form(member: &Member, one: &Integration, typed: &Typed<'_>) -> Markup {
    let l = member.locale();
    let hint = l.t_with(test_otp::CODE_HINT, &[("least", &MIN_DIGITS), ("most", &MAX_DIGITS)]);
    let sample = sample_body(&one.body, "+84981234567", SUGGESTED);
    html! {
        section.card #test {
            h2 { (l.t(texts::TEST)) }
            p.lead { (l.t(texts::TEST_LEAD)) }
            details.more {
                summary { (l.t(texts::TEST_BODY)) }
                (code_block(l, &format!("{sample:#}")))
            }
            form method="post" action={ (path_of(one.id)) "/test" } {
                (form_token(member))
                (select("ending", l.t(test_otp::OUTCOME), &typed.ending.to_string(), outcomes(l)))
                (Field::new("code", l.t(test_otp::CODE)).value(typed.code).hint(hint.as_str()))
                button type="submit" { (l.t(texts::TEST)) }
            }
            p.hint { (l.t(test_otp::NOTE)) }
        }
    }
}

pub async fn send(
    Posted(member, fields): Posted<Member>,
    id: Id,
    site: Site,
    api: web::Data<ApiState>,
) -> PageResult {
    let l = member.locale();
    let one = integration_of(&site, &member, &id).await?;
    let ending = fields.get("ending").parse().unwrap_or(ANSWERS);
    let code = fields.trimmed("code");
    let key = Key::of_test_key(KeyId(one.id.0), member.id(), member.account.language);
    let body = sample_body(&one.body, &random_phone(ending), code).to_string();
    match send_test(&one.body, &key, Zeroizing::new(body.into_bytes()), &api).await {
        Ok(accepted) => Ok(redirect(&member, &format!("/dashboard/deliveries/{}", accepted.id))),
        Err(ApiError::QuotaExceeded(exceeded)) => {
            Err(PageError::new(ErrorKind::Quota(exceeded), l))
        }
        Err(error) => {
            let status = match error.status() {
                status if status.is_client_error() => status,
                // The page itself works: the answer that it shows is what was asked for.
                _ => StatusCode::OK,
            };
            // A page never contains a code that was sent.
            let code = if matches!(error, ApiError::HookCode(_)) { code } else { SUGGESTED };
            let typed = Typed { ending, code };
            Ok(draw_one(&site, &member, &one, typed, refusal(l, &error), status))
        }
    }
}
