//! Suspicious bursts: what was seen, and closing it.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::burst::Suspicion;
use nexo_entities::store::operations::reviews::Review;
use serde::Deserialize;
use uuid::Uuid;

use super::{back, decider, language, note, outcome, said, slim_field};
use crate::dashboard::Site;
use crate::dashboard::texts::{Say, Text, frame, operators as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::Operator;
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{Tone, head, nothing, pill, time};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token};

const PATH: &str = "/dashboard/operators/reviews";
const ROWS: u32 = 200;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/reviews").get(show))
        .service(web::resource("/reviews/{id}/close").post(close));
}

#[derive(Deserialize)]
struct Asked {
    came: Option<String>,
    all: Option<String>,
}

async fn show(
    operator: Operator,
    site: web::Data<Site>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let l = language(&operator);
    let reviews = site.store.reviews(asked.all.is_none(), ROWS).await?;
    let title = l.say(frame::REVIEWS);
    let switch = html! {
        @match asked.all {
            Some(_) => a.button.second href=(PATH) { (l.say(texts::OPEN_ONLY)) },
            None => a.button.second href={ (PATH) "?all=yes" } { (l.say(texts::ALL_REVIEWS)) },
        }
    };
    let body = html! {
        (head(title, Some(l.say(texts::REVIEWS_LEAD)), switch))
        (said(l, asked.came.as_deref()))
        @if reviews.is_empty() {
            (nothing(l.say(texts::NO_REVIEW)))
        } @else {
            (table(&operator, &reviews))
        }
    };
    Ok(Page::at(Place::Reviews, title, body).answer(&operator))
}

fn table(operator: &Operator, reviews: &[Review]) -> Markup {
    let l = language(operator);
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(frame::REVIEWS)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::ACCOUNT)) }
                    th scope="col" { (l.say(texts::KEY)) }
                    th scope="col" { (l.say(texts::WHY)) }
                    th scope="col" { (l.say(texts::FIGURES)) }
                    th scope="col" { (l.say(texts::SEEN)) }
                    th scope="col" {}
                } }
                tbody { @for review in reviews {
                    tr {
                        td { a href={ "/dashboard/operators/accounts/" (review.account_id) } { (review.email) } }
                        td { (review.key_name) }
                        td { (pill(Tone::Bad, l.say(name(review.suspicion)))) }
                        td { (review.detail) " " span.faint { "× " (review.windows) } }
                        td { (time(review.seen_at_ms)) }
                        td { (decision(operator, review)) }
                    }
                } }
            }
        }
    }
}

fn decision(operator: &Operator, review: &Review) -> Markup {
    let l = language(operator);
    html! {
        @if review.closed_at_ms.is_some() {
            (review.closed_by.as_deref().unwrap_or_default()) ": "
            (review.note.as_deref().unwrap_or_default())
        } @else {
            form.actions method="post" action={ (PATH) "/" (review.id) "/close" } {
                (form_token(operator))
                (slim_field("note", l.say(texts::NOTE)))
                button.small type="submit" { (l.say(texts::CLOSE)) }
            }
        }
    }
}

fn name(suspicion: Suspicion) -> Text {
    match suspicion {
        Suspicion::RateJump => texts::RATE_JUMP,
        Suspicion::SequentialNumbers => texts::SEQUENTIAL,
        Suspicion::LowAnswerRate => texts::LOW_ANSWER,
    }
}

async fn close(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let id: Uuid = id.parse().map_err(|_| Refused::not_found(operator))?;
    let came = match note(posted.fields.get("note")) {
        Err(came) => came,
        Ok(text) => outcome(
            site.store
                .close_review(decider(operator), id, &text, unix_ms())
                .await,
        )?,
    };
    Ok(back(operator, PATH, came))
}
