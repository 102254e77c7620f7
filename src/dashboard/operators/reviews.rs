//! Reviews of suspicious traffic: the evidence, and closing a review.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::traffic::Suspicion;
use nexo_entities::store::operations::reviews::Review;
use serde::Deserialize;
use uuid::Uuid;

use super::decision::{
    Decision, Rejection, account_link, already_decided, decided_by, decision_link, finish, note,
    outcome_notice, parse_id,
};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, frame, operators as texts};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/operators/reviews";
const MAX_ROWS: u32 = 200;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/reviews").get(show))
        .service(web::resource("/reviews/{id}/close").get(confirm_close).post(close));
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
    all: Option<String>,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.locale();
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
            (review_table(l, &reviews))
        }
    };
    Ok(Page::new(NavItem::Reviews, title, body).respond(&operator))
}

fn review_table(l: Locale, reviews: &[Review]) -> Markup {
    let columns = [
        Head(texts::ACCOUNT),
        Left(texts::KEY),
        Left(texts::SUSPICION),
        Left(texts::FIGURES),
        Left(texts::SEEN),
        Actions,
    ];
    let rows = reviews.iter().map(|review| {
        [
            account_link(review.account_id, &review.email),
            html! { (review.key_name) },
            pill(Tone::Bad, l.t(suspicion_name(review.suspicion))),
            html! { (figures(l, review)) " " span.faint { "× " (review.windows) } },
            time(l, review.seen_at_ms),
            html! {
                @if review.closed_at_ms.is_some() {
                    (review.closed_by.as_deref().unwrap_or_default()) ": "
                    (review.note.as_deref().unwrap_or_default())
                } @else {
                    (decision_link(l, &close_path(review), "second", texts::CLOSE))
                }
            },
        ]
    });
    table(l, frame::REVIEWS, columns, rows)
}

fn close_path(review: &Review) -> String {
    format!("{PATH}/{}/close", review.id)
}

async fn confirm_close(operator: Operator, site: Site, id: Id) -> PageResult {
    let l = operator.locale();
    let id: Uuid = parse_id(&operator, &id)?;
    let open = site.store.operations().reviews(true, MAX_ROWS).await?;
    let Some(review) = open.iter().find(|review| review.id == id) else {
        return already_decided(&operator, PATH);
    };
    let decision = Decision {
        title: l.t(texts::CLOSE_TITLE),
        facts: vec![
            (texts::ACCOUNT, account_link(review.account_id, &review.email)),
            (texts::KEY, html! { (review.key_name) }),
            (texts::SUSPICION, pill(Tone::Bad, l.t(suspicion_name(review.suspicion)))),
            (texts::FIGURES, html! { (figures(l, review)) }),
        ],
        text: texts::CLOSE_TEXT,
        fields: html! { (Field::new("note", l.t(texts::NOTE))) },
        path: &close_path(review),
        button: texts::CLOSE,
        is_harmful: false,
        back: PATH,
    };
    decision.page(&operator, NavItem::Reviews)
}

fn suspicion_name(suspicion: Suspicion) -> Text {
    match suspicion {
        Suspicion::RateJump => texts::RATE_JUMP,
        Suspicion::SequentialNumbers => texts::SEQUENTIAL,
        Suspicion::LowAnswerRate => texts::LOW_ANSWER,
    }
}

/// The figures of a review. The store keeps them in English, as two numbers in a sentence of the suspicion.
fn figures(l: Locale, review: &Review) -> String {
    let numbers = review.detail.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<i64> = numbers.filter_map(|number| number.parse().ok()).collect();
    let text = match review.suspicion {
        Suspicion::RateJump => texts::RATE_JUMP_FIGURES,
        Suspicion::SequentialNumbers => texts::SEQUENTIAL_FIGURES,
        Suspicion::LowAnswerRate => texts::LOW_ANSWER_FIGURES,
    };
    match numbers.as_slice() {
        [first, second] => l.t_with(text, &[("first", first), ("second", second)]),
        _ => review.detail.clone(),
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
