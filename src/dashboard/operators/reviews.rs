//! Reviews of suspicious traffic: the evidence, and closing a review.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::traffic::Suspicion;
use nexo_entities::store::operations::reviews::Review;
use serde::Deserialize;
use uuid::Uuid;

use super::decision::{
    Rejection, account_link, decided_by, finish, note, outcome_notice, parse_id, row_form,
};
use crate::dashboard::components::*;
use crate::dashboard::texts::{Text, Translate, frame, operators as texts};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/operators/reviews";
const MAX_ROWS: u32 = 200;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/reviews").get(show))
        .service(web::resource("/reviews/{id}/close").post(close));
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
    all: Option<String>,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.language();
    let reviews = site.store.operations().reviews(query.all.is_none(), MAX_ROWS).await?;
    let title = l.t(frame::REVIEWS);
    let switch = html! {
        @match query.all {
            Some(_) => a.button.second href=(PATH) { (l.t(texts::OPEN_ONLY)) },
            None => a.button.second href={ (PATH) "?all=yes" } { (l.t(texts::ALL_REVIEWS)) },
        }
    };
    let body = html! {
        (page_head(title, Some(l.t(texts::REVIEWS_LEAD)), switch))
        (outcome_notice(l, query.came.as_deref()))
        @if reviews.is_empty() {
            (empty_state(l.t(texts::NO_REVIEW)))
        } @else {
            (review_table(&operator, &reviews))
        }
    };
    Ok(Page::new(NavItem::Reviews, title, body).respond(&operator))
}

fn review_table(operator: &Operator, reviews: &[Review]) -> Markup {
    let l = operator.language();
    html! {
        (table(l, frame::REVIEWS, &[
            Left(texts::ACCOUNT), Left(texts::KEY), Left(texts::SUSPICION),
            Left(texts::FIGURES), Left(texts::SEEN), Unnamed,
        ], html! {
            @for review in reviews {
                tr {
                    td { (account_link(review.account_id, &review.email)) }
                    td { (review.key_name) }
                    td { (pill(Tone::Bad, l.t(suspicion_name(review.suspicion)))) }
                    td { (review.detail) " " span.faint { "× " (review.windows) } }
                    td { (time(review.seen_at_ms)) }
                    td { (decision(operator, review)) }
                }
            }
        }))
    }
}

fn decision(operator: &Operator, review: &Review) -> Markup {
    let action = format!("{PATH}/{}/close", review.id);
    let field = ("note", texts::NOTE);
    html! {
        @if review.closed_at_ms.is_some() {
            (review.closed_by.as_deref().unwrap_or_default()) ": "
            (review.note.as_deref().unwrap_or_default())
        } @else {
            (row_form(operator, &action, field, ("small", texts::CLOSE)))
        }
    }
}

fn suspicion_name(suspicion: Suspicion) -> Text {
    match suspicion {
        Suspicion::RateJump => texts::RATE_JUMP,
        Suspicion::SequentialNumbers => texts::SEQUENTIAL,
        Suspicion::LowAnswerRate => texts::LOW_ANSWER,
    }
}

async fn close(Posted(operator, fields): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let id: Uuid = parse_id(&operator, &id)?;
    let by = decided_by(&operator);
    let decision = async {
        let text = note(&fields, "note")?;
        let closed = site.store.operations().close_review(by, id, &text, unix_ms());
        Ok::<_, Rejection>(closed.await?)
    };
    finish(&operator, PATH, decision.await)
}
