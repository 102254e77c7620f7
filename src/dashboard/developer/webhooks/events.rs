//! The events that an endpoint receives: the fields of a form, and their change.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::webhook::events::{EventFilter, EventFilterError};
use nexo_entities::store::webhooks::endpoints::Endpoint;

use super::endpoint::endpoint_of;
use super::path_of;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::Translate;
use crate::dashboard::texts::developer::webhooks as texts;
use crate::dashboard::web::*;

/// The name of the checkboxes.
const FIELD: &str = "events";

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/webhooks/{id}/events").post(choose));
}

/// The part of a form that chooses events.
pub fn fields(l: Locale, chosen: EventFilter) -> Markup {
    html! {
        fieldset {
            legend { (l.t(texts::EVENTS)) }
            (checkboxes(l, chosen))
        }
    }
}

/// A checkbox for each pattern.
fn checkboxes(l: Locale, chosen: EventFilter) -> Markup {
    html! {
        div.checks {
            @for pattern in EventFilter::all_patterns() {
                label.check {
                    input type="checkbox" name=(FIELD) value=(pattern)
                        checked[chosen.patterns().any(|one| one == pattern)];
                    span {
                        code { (pattern) } br;
                        span.small.faint { (l.t(texts::meaning_of_pattern(pattern))) }
                    }
                }
            }
        }
    }
}

/// The ticked events of a form.
pub fn chosen(fields: &Fields) -> Result<EventFilter, EventFilterError> {
    EventFilter::of(fields.all(FIELD))
}

/// The patterns in a table's cell or a page's facts.
pub fn summary(events: EventFilter) -> Markup {
    html! {
        @for (n, pattern) in events.patterns().enumerate() {
            @if n > 0 { ", " }
            code { (pattern) }
        }
    }
}

/// The form that changes an endpoint's events.
pub fn form(member: &Member, endpoint: &Endpoint) -> Markup {
    let l = member.locale();
    html! {
        section.card {
            h2 #events { (l.t(texts::EVENTS)) }
            p.lead { (l.t(texts::EVENTS_LEAD)) }
            form method="post" action={ (path_of(endpoint.id)) "/events" } {
                (form_token(member))
                fieldset aria-labelledby="events" { (checkboxes(l, endpoint.events)) }
                button.second type="submit" { (l.t(texts::SAVE_EVENTS)) }
            }
        }
    }
}

async fn choose(Posted(member, fields): Posted<Member>, id: Id, site: Site) -> PageResult {
    let endpoint = endpoint_of(&site, &member, &id).await?;
    let path = path_of(endpoint.id);
    let Ok(events) = chosen(&fields) else {
        return Ok(redirect(&member, &format!("{path}?told=no-events")));
    };
    let webhooks = site.store.webhooks();
    match webhooks.choose_events(member.id(), endpoint.id, events, unix_ms()).await? {
        true => Ok(redirect(&member, &format!("{path}?told=events"))),
        false => Err(PageError::not_found(member.locale())),
    }
}
