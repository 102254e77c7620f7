//! Open top-ups to approve, and bank payments that match no top-up.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::deposit::HoldReason;
use nexo_entities::store::billing::bank_payments::BankPayment;
use nexo_entities::store::billing::deposits::Deposit;
use serde::Deserialize;
use uuid::Uuid;

use super::decision::{
    Outcome, Rejection, account_link, decided_by, finish, note, outcome_notice, parse_id, row_form,
};
use crate::dashboard::components::*;
use crate::dashboard::texts::{Text, Translate, frame, operators as texts};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/operators/deposits";
const MAX_ROWS: u32 = 200;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/deposits").get(show))
        .service(web::resource("/deposits/{id}/approve").post(approve))
        .service(web::resource("/deposits/{id}/refuse").post(refuse))
        .service(web::resource("/payments/{id}/credit").post(credit_payment))
        .service(web::resource("/payments/{id}/refuse").post(refuse_payment));
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.language();
    let payments = site.store.billing().kept_payments(MAX_ROWS).await?;
    let deposits = site.store.billing().open_deposits(MAX_ROWS).await?;
    let title = l.t(frame::DEPOSITS);
    let body = html! {
        (page_head(title, Some(l.t(texts::DEPOSITS_LEAD)), html! {}))
        (outcome_notice(l, query.came.as_deref()))
        @if payments.is_empty() && deposits.is_empty() {
            (empty_state(l.t(texts::NOTHING_OPEN)))
        }
        @if !payments.is_empty() {
            h2 { (l.t(texts::UNMATCHED_PAYMENTS)) }
            (payment_table(&operator, &payments))
        }
        @if !deposits.is_empty() {
            h2 { (l.t(texts::OPEN_DEPOSITS)) }
            (deposit_table(&operator, &deposits))
        }
    };
    Ok(Page::new(NavItem::Deposits, title, body).respond(&operator))
}

fn deposit_table(operator: &Operator, deposits: &[Deposit]) -> Markup {
    let l = operator.language();
    let reason = ("reason", texts::REASON);
    html! {
        (table(l, texts::OPEN_DEPOSITS, &[
            Left(texts::REFERENCE), Left(texts::ACCOUNT), Left(texts::PAYMENT_METHOD),
            Right(texts::AMOUNT), Right(frame::VND), Left(texts::SINCE), Unnamed,
        ], html! {
            @for deposit in deposits {
                @let path = format!("{PATH}/{}", deposit.id);
                tr {
                    td { code { (deposit.reference) } }
                    td { (account_link(deposit.account_id, &deposit.email)) }
                    td { (l.t(payment_method_name(&deposit.provider))) }
                    td.right { (usd(deposit.amount)) }
                    td.right.number { (grouped(deposit.vnd)) }
                    td { (time(deposit.created_at_ms)) }
                    td { div.actions {
                        (button_form(operator, &format!("{path}/approve"), "small", l.t(texts::APPROVE)))
                        (row_form(operator, &format!("{path}/refuse"), reason, ("small danger", texts::REFUSE)))
                    } }
                }
            }
        }))
    }
}

fn payment_table(operator: &Operator, payments: &[BankPayment]) -> Markup {
    let l = operator.language();
    let (account, note) = (("account", texts::CREDIT_TO), ("note", texts::NOTE));
    html! {
        (table(l, texts::UNMATCHED_PAYMENTS, &[
            Left(texts::WHEN), Left(texts::BANK_ID), Right(texts::AMOUNT), Left(texts::MEMO),
            Left(texts::UNMATCHED_REASON), Unnamed,
        ], html! {
            @for payment in payments {
                @let path = format!("/dashboard/operators/payments/{}", payment.id);
                @let reason = payment.reason.as_deref().and_then(HoldReason::named);
                tr {
                    td { (time(payment.received_at_ms)) }
                    td { code { (payment.bank_id) } }
                    td.right.number { (grouped(payment.amount)) " " (payment.currency) }
                    td { (payment.memo) }
                    td { @if let Some(reason) = reason { (l.t(reason_name(reason))) } }
                    td { div.actions {
                        (row_form(operator, &format!("{path}/credit"), account, ("small", texts::CREDIT)))
                        (row_form(operator, &format!("{path}/refuse"), note, ("small danger", texts::REFUSE)))
                    } }
                }
            }
        }))
    }
}

fn reason_name(reason: HoldReason) -> Text {
    match reason {
        HoldReason::UnknownReference => texts::UNKNOWN_REFERENCE,
        HoldReason::Ambiguous => texts::AMBIGUOUS,
        HoldReason::WrongAmount => texts::WRONG_SUM,
        HoldReason::ReferenceUsed => texts::REFERENCE_USED,
        HoldReason::AccountClosed => texts::ACCOUNT_CLOSED,
        HoldReason::AccountSuspended => texts::ACCOUNT_SUSPENDED,
        HoldReason::WrongCurrency => texts::WRONG_CURRENCY,
    }
}

async fn approve(Posted(operator, _): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let id: Uuid = parse_id(&operator, &id)?;
    let by = decided_by(&operator);
    let approved = site.store.billing().approve_deposit(by, id, unix_ms()).await;
    finish(&operator, PATH, approved.map_err(Into::into))
}

async fn refuse(Posted(operator, fields): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let id: Uuid = parse_id(&operator, &id)?;
    let by = decided_by(&operator);
    let decision = async {
        let reason = note(&fields, "reason")?;
        let refused = site.store.billing().refuse_deposit(by, id, &reason, unix_ms());
        Ok::<_, Rejection>(refused.await?)
    };
    finish(&operator, PATH, decision.await)
}

async fn credit_payment(
    Posted(operator, fields): Posted<Operator>,
    site: Site,
    id: Id,
) -> PageResult {
    let id: Uuid = parse_id(&operator, &id)?;
    let by = decided_by(&operator);
    let decision = async {
        let account = site.store.accounts().by_email(fields.trimmed("account")).await?;
        let account = account.filter(|account| account.closed_at_ms.is_none());
        let account = account.ok_or(Outcome::WrongAccount)?;
        let rate = site.top_ups.rate;
        let credited = site.store.billing().credit_payment(by, id, account.id, rate, unix_ms());
        Ok::<_, Rejection>(credited.await?.is_some())
    };
    finish(&operator, PATH, decision.await)
}

async fn refuse_payment(
    Posted(operator, fields): Posted<Operator>,
    site: Site,
    id: Id,
) -> PageResult {
    let id: Uuid = parse_id(&operator, &id)?;
    let by = decided_by(&operator);
    let decision = async {
        let text = note(&fields, "note")?;
        let refused = site.store.billing().refuse_payment(by, id, &text, unix_ms());
        Ok::<_, Rejection>(refused.await?)
    };
    finish(&operator, PATH, decision.await)
}
