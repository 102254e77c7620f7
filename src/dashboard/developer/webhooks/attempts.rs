//! The page of one webhook attempt: its request, its response, and replaying it.

use actix_web::web;
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::billing::low_balance::LOW_BALANCE_EVENT;
use nexo_domain::ids::WebhookAttemptId;
use nexo_domain::webhook::TEST_EVENT;
use nexo_entities::store::webhooks::attempts::WebhookAttempt;
use nexo_entities::store::{Conflict, StoreError};

use crate::dashboard::components::*;
use crate::dashboard::texts::Translate;
use crate::dashboard::texts::developer::webhooks as texts;
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/webhook-attempts/{id}").get(show))
        .service(web::resource("/webhook-attempts/{id}/replay").post(replay));
}

async fn attempt_of(
    site: &SiteState,
    member: &Member,
    id: &str,
) -> Result<WebhookAttempt, PageError> {
    let not_found = || PageError::not_found(member.locale());
    let id: WebhookAttemptId = id.parse().map_err(|_| not_found())?;
    let attempt = site.store.webhooks().attempt(id).await?;
    attempt.filter(|attempt| attempt.account_id == member.id()).ok_or_else(not_found)
}

async fn show(member: Member, id: Id, site: Site) -> PageResult {
    let l = member.locale();
    let attempt = attempt_of(&site, &member, &id).await?;
    let endpoint = site.store.webhooks().endpoint(member.id(), attempt.endpoint_id).await?;
    let is_live = !is_finished(&attempt);
    let source = is_live.then(|| attempt_path(attempt.id));
    let secret = site.store.webhooks().secret(member.id(), attempt.endpoint_id).await?;
    let signature = secret.map(|secret| secret.sign(attempt.body.as_bytes()));
    let url = endpoint.as_ref().map(|endpoint| endpoint.url.as_str());
    let head = request_head(&attempt, url, signature.as_deref());
    let has_delivery = ![TEST_EVENT, LOW_BALANCE_EVENT].contains(&attempt.event_type.as_str());
    let body = html! {
        div #attempt data-live=[source] {
            (page_head(l.t(texts::ATTEMPT_TITLE), None, html! {
                (attempt_state(&member, &attempt))
                @if !is_live && endpoint.is_some() { (replay_button(&member, &attempt)) }
            }))
            @if attempt.status == "unknown" { p.notice.busy { (l.t(texts::UNKNOWN_TEXT)) } }
            section.card {
                dl.facts {
                    @if let Some(endpoint) = &endpoint {
                        dt { (l.t(texts::ENDPOINT)) }
                        dd { a href={ "/dashboard/webhooks/" (endpoint.id) } { (endpoint.url) } }
                    }
                    @if let Some(verification) = attempt.verification_id {
                        dt { (l.t(texts::VERIFICATION)) }
                        dd { a href=(verification_path(verification)) { (verification) } }
                    }
                    @if has_delivery {
                        dt { (l.t(texts::DELIVERY)) }
                        dd { a href={ "/dashboard/deliveries/" (attempt.delivery_id) } {
                            (attempt.delivery_id)
                        } }
                    }
                    @if let Some(original) = attempt.replay_of {
                        dt { (l.t(texts::REPLAY_OF)) }
                        dd { a href=(attempt_path(original)) { (original) } }
                    }
                    dt { (l.t(texts::TIME)) } dd {
                        @match attempt.started_at_ms {
                            Some(at_ms) => (exact_time(l, at_ms)),
                            None => (time_or_never(l, None)),
                        }
                    }
                    dt { (l.t(texts::RESPONSE)) }
                    dd {
                        (response_summary(&attempt))
                        @if let Some(ms) = attempt.duration_ms { " · " (milliseconds(l, ms)) }
                    }
                    // Without a status code, the response is the error.
                    @if let (Some(error), Some(_)) = (&attempt.error, attempt.status_code) {
                        dt { (l.t(texts::ERROR)) } dd { (error) }
                    }
                }
            }
            section.card {
                h2 { (l.t(texts::REQUEST)) }
                (message_block(l, &head, &head))
                @if signature.is_some() { p.hint { (l.t(texts::SIGNATURE_NOTE)) } }
                h3 { (l.t(texts::REQUEST_BODY)) }
                (message_block(l, &indented(&attempt.body), &attempt.body))
                p.hint { (l.t(texts::BODY_NOTE)) }
            }
            section.card {
                h2 { (l.t(texts::RESPONSE_BODY)) }
                @match attempt.response_head.as_deref() {
                    Some(head) if !head.is_empty() => (message_block(l, &indented(head), head)),
                    _ => { p.faint { (l.t(texts::NO_RESPONSE)) } },
                }
            }
        }
    };
    Ok(Page::new(NavItem::Webhooks, l.t(texts::ATTEMPT_TITLE), body).respond(&member))
}

/// The request's header fields. The signature is not stored; it is computed from the body and the endpoint's current
/// secret.
fn request_head(attempt: &WebhookAttempt, url: Option<&str>, signature: Option<&str>) -> String {
    let mut head = format!(
        "POST {}\nContent-Type: application/json\nUser-Agent: NEXO-ROUTE/1.0\n",
        url.unwrap_or("…")
    );
    if let Some(signature) = signature {
        head += &format!("X-NEXO-Signature: {signature}\n");
    }
    head + &format!(
        "X-NEXO-Event-Type: {}\nX-NEXO-Delivery-Id: {}\nX-NEXO-Attempt-Id: {}",
        attempt.event_type, attempt.delivery_id, attempt.id
    )
}

/// JSON with one member per line. Strings and numbers stay as they are written; a text that is not JSON is unchanged.
fn indented(json: &str) -> String {
    if serde_json::from_str::<serde::de::IgnoredAny>(json).is_err() {
        return json.to_owned();
    }
    let (mut text, mut depth) = (String::with_capacity(2 * json.len()), 0_usize);
    let (mut is_string, mut is_escaped) = (false, false);
    let new_line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    let mut rest = json.chars().peekable();
    while let Some(c) = rest.next() {
        if is_string {
            text.push(c);
            is_string = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            '"' => {
                is_string = true;
                text.push(c);
            }
            '{' | '[' => {
                while rest.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                text.push(c);
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => text.push(c),
        }
    }
    text
}

async fn replay(Posted(member, _): Posted<Member>, id: Id, site: Site) -> PageResult {
    let attempt = attempt_of(&site, &member, &id).await?;
    site.quotas.take(QuotaKind::WebhookReplays, member.id()).await?;
    let replayed = site.store.webhooks().replay(attempt.id, Some(member.id()), unix_ms()).await;
    match replayed {
        Ok(new) => Ok(redirect(&member, &attempt_path(new))),
        Err(StoreError::Conflict(Conflict::EndpointRemoved | Conflict::UnknownAttempt)) => {
            Err(PageError::not_found(member.locale()))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_its_values_are_unchanged() {
        let body = r#"{"cost":0.0220,"text":"a \"b\", {c}: \\","list":[1,{ }],"none":null}"#;
        let lines = [
            r#"{"#,
            r#"  "cost": 0.0220,"#,
            r#"  "text": "a \"b\", {c}: \\","#,
            r#"  "list": ["#,
            r#"    1,"#,
            r#"    {}"#,
            r#"  ],"#,
            r#"  "none": null"#,
            r#"}"#,
        ];
        assert_eq!(indented(body), lines.join("\n"));
        for other in ["<html>{}</html>", "", "{\"cut\":"] {
            assert_eq!(indented(other), other);
        }
    }
}
