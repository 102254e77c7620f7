//! Monthly payouts: runs a month, and records what was sent.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::payout::Month;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::billing::payouts::Payout;
use serde::Deserialize;
use uuid::Uuid;

use super::decision::{
    Outcome, Rejection, account_link, decided_by, finish, outcome_notice, parse_id, reference,
    row_form,
};
use crate::dashboard::components::*;
use crate::dashboard::texts::{Translate, frame, operators as texts, referrals};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/operators/payouts";
const MAX_ROWS: u32 = 500;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/payouts").get(show))
        .service(web::resource("/payouts/run").post(run))
        .service(web::resource("/payouts/{id}/sent").post(mark_sent));
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
    made: Option<usize>,
    waiting: Option<usize>,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.language();
    let payouts = site.store.billing().payouts(None, None, MAX_ROWS).await?;
    let title = l.t(frame::PAYOUTS);
    let this_month: String = rfc3339(unix_ms()).chars().take(7).collect();
    let body = html! {
        (page_head(title, Some(l.t(texts::PAYOUTS_LEAD)), html! {}))
        (outcome_notice(l, query.came.as_deref()))
        @if let (Some(made), Some(waiting)) = (query.made, query.waiting) {
            (success_notice(&l.t_with(texts::PAYOUTS_DONE, &[("made", &made), ("waiting", &waiting)])))
        }
        section.card {
            form.row.tight method="post" action={ (PATH) "/run" } {
                (form_token(&operator))
                (Field::new("month", l.t(texts::RUN_MONTH)).value(&this_month))
                button type="submit" { (l.t(texts::RUN)) }
            }
        }
        @if payouts.is_empty() {
            (empty_state(l.t(texts::NO_PAYOUT)))
        } @else {
            (payout_table(&operator, &payouts))
        }
    };
    Ok(Page::new(NavItem::Payouts, title, body).respond(&operator))
}

fn payout_table(operator: &Operator, payouts: &[Payout]) -> Markup {
    let l = operator.language();
    let field = ("reference", texts::TRANSFER);
    html! {
        (table(l, frame::PAYOUTS, &[
            Left(referrals::MONTH), Left(texts::ACCOUNT), Right(referrals::AMOUNT),
            Left(referrals::TO), Left(texts::STATE), Unnamed,
        ], html! {
            @for payout in payouts {
                tr {
                    td.nowrap { (payout.month) }
                    td { (account_link(payout.account_id, &payout.email)) }
                    td.right { (usd(payout.amount)) }
                    td { (l.t(payout_wallet_name(&payout.wallet_kind))) " " code { (payout.wallet_address) } }
                    td { (payout_state(l, payout)) }
                    td {
                        @match &payout.sent_reference {
                            Some(reference) => span.faint { (reference) },
                            None => (row_form(operator, &format!("{PATH}/{}/sent", payout.id), field, ("small", texts::MARK_SENT))),
                        }
                    }
                }
            }
        }))
    }
}

async fn run(Posted(operator, fields): Posted<Operator>, site: Site) -> PageResult {
    let month = Month::parse(fields.trimmed("month"));
    let Some(month) = month.filter(|month| month.start_ms() <= unix_ms()) else {
        return finish(&operator, PATH, Ok(Outcome::WrongMonth));
    };
    let by = decided_by(&operator);
    let run = site.store.billing().run_payouts(by, month, unix_ms()).await?;
    let (made, waiting) = (run.made.len(), run.waiting.len());
    let path = format!("{PATH}?made={made}&waiting={waiting}");
    Ok(redirect(&operator, &path))
}

async fn mark_sent(Posted(operator, fields): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let id: Uuid = parse_id(&operator, &id)?;
    let by = decided_by(&operator);
    let decision = async {
        let reference = reference(&fields)?;
        let marked = site.store.billing().mark_payout_sent(by, id, &reference, unix_ms());
        Ok::<_, Rejection>(marked.await?)
    };
    finish(&operator, PATH, decision.await)
}
