//! Top-ups to approve, and payments that fit none.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::deposit::Kept;
use nexo_entities::store::billing::bank_payments::BankPayment;
use nexo_entities::store::billing::deposits::Deposit;
use serde::Deserialize;
use uuid::Uuid;

use super::{Came, back, decider, language, note, outcome, said, slim_field};
use crate::dashboard::Site;
use crate::dashboard::account::top_up::{grouped, way_name};
use crate::dashboard::texts::{Say, Text, frame, operators as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::Operator;
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{head, nothing, time, usd};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token};

const PATH: &str = "/dashboard/operators/deposits";
const ROWS: u32 = 200;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/deposits").get(show))
        .service(web::resource("/deposits/{id}/approve").post(approve))
        .service(web::resource("/deposits/{id}/refuse").post(refuse))
        .service(web::resource("/payments/{id}/credit").post(credit_payment))
        .service(web::resource("/payments/{id}/refuse").post(refuse_payment));
}

#[derive(Deserialize)]
struct Asked {
    came: Option<String>,
}

async fn show(
    operator: Operator,
    site: web::Data<Site>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let l = language(&operator);
    let payments = site.store.kept_payments(ROWS).await?;
    let deposits = site.store.open_deposits(ROWS).await?;
    let title = l.say(frame::DEPOSITS);
    let body = html! {
        (head(title, Some(l.say(texts::DEPOSITS_LEAD)), html! {}))
        (said(l, asked.came.as_deref()))
        @if payments.is_empty() && deposits.is_empty() {
            (nothing(l.say(texts::NOTHING_WAITS)))
        }
        @if !payments.is_empty() {
            h2 { (l.say(texts::KEPT_PAYMENTS)) }
            (payment_table(&operator, &payments))
        }
        @if !deposits.is_empty() {
            h2 { (l.say(texts::OPEN_DEPOSITS)) }
            (deposit_table(&operator, &deposits))
        }
    };
    Ok(Page::at(Place::Deposits, title, body).answer(&operator))
}

fn deposit_table(operator: &Operator, deposits: &[Deposit]) -> Markup {
    let l = language(operator);
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(texts::OPEN_DEPOSITS)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::REFERENCE)) }
                    th scope="col" { (l.say(texts::ACCOUNT)) }
                    th scope="col" { (l.say(texts::WAY)) }
                    th.right scope="col" { (l.say(texts::AMOUNT)) }
                    th.right scope="col" { "VND" }
                    th scope="col" { (l.say(texts::SINCE)) }
                    th scope="col" {}
                } }
                tbody { @for deposit in deposits {
                    tr {
                        td { code { (deposit.reference) } }
                        td { a href={ "/dashboard/operators/accounts/" (deposit.account_id) } { (deposit.email) } }
                        td { (l.say(way_name(&deposit.provider))) }
                        td.right { (usd(deposit.amount)) }
                        td.right.number { (grouped(deposit.vnd)) }
                        td { (time(deposit.created_at_ms)) }
                        td { div.actions {
                            form method="post" action={ (PATH) "/" (deposit.id) "/approve" } {
                                (form_token(operator))
                                button.small type="submit" { (l.say(texts::APPROVE)) }
                            }
                            form.actions method="post" action={ (PATH) "/" (deposit.id) "/refuse" } {
                                (form_token(operator))
                                (slim_field("reason", l.say(texts::REASON)))
                                button.small.danger type="submit" { (l.say(texts::REFUSE)) }
                            }
                        } }
                    }
                } }
            }
        }
    }
}

fn payment_table(operator: &Operator, payments: &[BankPayment]) -> Markup {
    let l = language(operator);
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(texts::KEPT_PAYMENTS)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::WHEN)) }
                    th scope="col" { (l.say(texts::BANK_ID)) }
                    th.right scope="col" { (l.say(texts::AMOUNT)) }
                    th scope="col" { (l.say(texts::MEMO)) }
                    th scope="col" { (l.say(texts::WHY)) }
                    th scope="col" {}
                } }
                tbody { @for payment in payments {
                    @let reason = payment.reason.as_deref().and_then(Kept::named);
                    tr {
                        td { (time(payment.received_at_ms)) }
                        td { code { (payment.bank_id) } }
                        td.right.number { (grouped(payment.amount)) " " (payment.currency) }
                        td { (payment.memo) }
                        td { @if let Some(reason) = reason { (l.say(reason_name(reason))) } }
                        td { div.actions {
                            form.actions method="post" action={ "/dashboard/operators/payments/" (payment.id) "/credit" } {
                                (form_token(operator))
                                (slim_field("account", l.say(texts::CREDIT_TO)))
                                button.small type="submit" { (l.say(texts::CREDIT)) }
                            }
                            form.actions method="post" action={ "/dashboard/operators/payments/" (payment.id) "/refuse" } {
                                (form_token(operator))
                                (slim_field("note", l.say(texts::NOTE)))
                                button.small.danger type="submit" { (l.say(texts::REFUSE)) }
                            }
                        } }
                    }
                } }
            }
        }
    }
}

fn reason_name(kept: Kept) -> Text {
    match kept {
        Kept::UnknownReference => texts::UNKNOWN_REFERENCE,
        Kept::Ambiguous => texts::AMBIGUOUS,
        Kept::WrongAmount => texts::WRONG_SUM,
        Kept::ReferenceUsed => texts::REFERENCE_USED,
        Kept::AccountClosed => texts::ACCOUNT_CLOSED,
        Kept::WrongCurrency => texts::WRONG_CURRENCY,
    }
}

fn parsed(operator: &Operator, id: &str) -> Result<Uuid, Refused> {
    id.parse().map_err(|_| Refused::not_found(operator))
}

async fn approve(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let id = parsed(operator, &id)?;
    let approved = site.store.approve_deposit(decider(operator), id, unix_ms());
    let came = outcome(approved.await)?;
    Ok(back(operator, PATH, came))
}

async fn refuse(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let id = parsed(operator, &id)?;
    let came = match note(posted.fields.get("reason")) {
        Err(came) => came,
        Ok(reason) => outcome(
            site.store
                .refuse_deposit(decider(operator), id, &reason, unix_ms())
                .await,
        )?,
    };
    Ok(back(operator, PATH, came))
}

async fn credit_payment(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let id = parsed(operator, &id)?;
    let email = posted.fields.trimmed("account");
    let account = site.store.account_by_email(email).await?;
    let Some(account) = account.filter(|account| account.closed_at_ms.is_none()) else {
        return Ok(back(operator, PATH, Came::WrongAccount));
    };
    let rate = site.top_ups.rate;
    let credited = site
        .store
        .credit_payment(decider(operator), id, account.id, rate, unix_ms())
        .await;
    let came = outcome(credited.map(|amount| amount.is_some()))?;
    Ok(back(operator, PATH, came))
}

async fn refuse_payment(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let id = parsed(operator, &id)?;
    let came = match note(posted.fields.get("note")) {
        Err(came) => came,
        Ok(text) => outcome(
            site.store
                .refuse_payment(decider(operator), id, &text, unix_ms())
                .await,
        )?,
    };
    Ok(back(operator, PATH, came))
}
