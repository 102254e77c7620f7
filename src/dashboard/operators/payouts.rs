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
    Decision, Outcome, Rejection, account_link, already_decided, decided_by, decision_link, finish,
    outcome_notice, parse_id, reference,
};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Translate, frame, operators as texts, referrals};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/operators/payouts";
const MAX_ROWS: u32 = 500;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/payouts").get(show))
        .service(web::resource("/payouts/run").get(confirm_run).post(run))
        .service(web::resource("/payouts/{id}/sent").get(confirm_sent).post(mark_sent));
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
    made: Option<usize>,
    waiting: Option<usize>,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.locale();
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
            form.row.tight method="get" action={ (PATH) "/run" } {
                (Field::new("month", l.t(texts::RUN_MONTH)).value(&this_month))
                div.actions { button type="submit" { (l.t(texts::RUN)) "…" } }
            }
        }
        @if payouts.is_empty() {
            (empty_state(l.t(texts::NO_PAYOUT)))
        } @else {
            (payout_table(l, &payouts))
        }
    };
    Ok(Page::new(NavItem::Payouts, title, body).respond(&operator))
}

fn payout_table(l: Locale, payouts: &[Payout]) -> Markup {
    let columns = [
        Head(texts::ACCOUNT),
        Left(referrals::MONTH),
        Right(referrals::AMOUNT),
        Left(referrals::TO),
        Left(texts::STATE),
        Actions,
    ];
    let rows = payouts.iter().map(|payout| {
        [
            account_link(payout.account_id, &payout.email),
            html! { span.nowrap { (payout.month) } },
            usd(l, payout.amount),
            html! {
                (l.t(payout_wallet_name(&payout.wallet_kind))) " "
                span.faint { (payout_address(&payout.wallet_kind, &payout.wallet_address)) }
            },
            payout_state(l, payout),
            html! {
                @match &payout.sent_reference {
                    Some(reference) => span.faint { (reference) },
                    None => (decision_link(l, &sent_path(payout), "", texts::MARK_SENT)),
                }
            },
        ]
    });
    table(l, frame::PAYOUTS, columns, rows)
}

fn sent_path(payout: &Payout) -> String {
    format!("{PATH}/{}/sent", payout.id)
}

/// The month of the form, unless it is in the future.
fn parse_month(typed: &str) -> Option<Month> {
    Month::parse(typed.trim()).filter(|month| month.start_ms() <= unix_ms())
}

#[derive(Deserialize)]
struct TypedMonth {
    #[serde(default)]
    month: String,
}

async fn confirm_run(operator: Operator, typed: web::Query<TypedMonth>) -> PageResult {
    let l = operator.locale();
    if parse_month(&typed.month).is_none() {
        return finish(&operator, PATH, Ok(Outcome::WrongMonth));
    }
    let month = typed.month.trim();
    let decision = Decision {
        title: &l.t_with(texts::RUN_TITLE, &[("month", &month)]),
        facts: Vec::new(),
        text: texts::RUN_TEXT,
        fields: hidden("month", month),
        path: &format!("{PATH}/run"),
        button: texts::RUN,
        is_harmful: true,
        back: PATH,
    };
    decision.page(&operator, NavItem::Payouts)
}

async fn confirm_sent(operator: Operator, site: Site, id: Id) -> PageResult {
    let l = operator.locale();
    let id: Uuid = parse_id(&operator, &id)?;
    let payouts = site.store.billing().payouts(None, None, MAX_ROWS).await?;
    let mut open = payouts.iter().filter(|payout| payout.sent_at_ms.is_none());
    let Some(payout) = open.find(|payout| payout.id == id) else {
        return already_decided(&operator, PATH);
    };
    let address = payout_address(&payout.wallet_kind, &payout.wallet_address);
    let decision = Decision {
        title: l.t(texts::SENT_TITLE),
        facts: vec![
            (texts::ACCOUNT, account_link(payout.account_id, &payout.email)),
            (referrals::MONTH, html! { (payout.month) }),
            (
                referrals::AMOUNT,
                html! { (usd(l, payout.amount)) " " (copy_value(l, &payout.amount.to_string())) },
            ),
            (referrals::TO, html! { code { (address) } " " (copy_button(l)) }),
        ],
        text: texts::SENT_TEXT,
        fields: html! { (Field::new("reference", l.t(texts::TRANSFER))) },
        path: &sent_path(payout),
        button: texts::MARK_SENT,
        is_harmful: false,
        back: PATH,
    };
    decision.page(&operator, NavItem::Payouts)
}

async fn run(Posted(operator, fields): Posted<Operator>, site: Site) -> PageResult {
    let Some(month) = parse_month(fields.get("month")) else {
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
