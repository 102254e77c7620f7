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
    Decision, Outcome, Rejection, account_link, already_decided, decided_by, decision_link, finish,
    note, outcome_notice, parse_id,
};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, frame, operators as texts};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/operators/deposits";
const MAX_ROWS: u32 = 200;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/deposits").get(show))
        .service(web::resource("/deposits/{id}/approve").get(confirm_approve).post(approve))
        .service(web::resource("/deposits/{id}/refuse").get(confirm_refuse).post(refuse))
        .service(
            web::resource("/payments/{id}/credit").get(confirm_payment_credit).post(credit_payment),
        )
        .service(
            web::resource("/payments/{id}/refuse")
                .get(confirm_payment_refusal)
                .post(refuse_payment),
        );
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.locale();
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
            (payment_table(l, &payments))
        }
        @if !deposits.is_empty() {
            h2 { (l.t(texts::OPEN_DEPOSITS)) }
            (deposit_table(l, &deposits))
        }
    };
    Ok(Page::new(NavItem::Deposits, title, body).respond(&operator))
}

fn deposit_path(deposit: &Deposit) -> String {
    format!("{PATH}/{}", deposit.id)
}

fn payment_path(payment: &BankPayment) -> String {
    format!("/dashboard/operators/payments/{}", payment.id)
}

fn deposit_table(l: Locale, deposits: &[Deposit]) -> Markup {
    let columns = [
        Head(texts::REFERENCE),
        Left(texts::ACCOUNT),
        Left(texts::PAYMENT_METHOD),
        Right(texts::PAID),
        Left(texts::SINCE),
        Actions,
    ];
    let rows = deposits.iter().map(|deposit| {
        let path = deposit_path(deposit);
        [
            html! { code { (deposit.reference) } },
            account_link(deposit.account_id, &deposit.email),
            html! { (l.t(payment_method_name(&deposit.provider))) },
            deposit_amount(l, deposit),
            time(l, deposit.created_at_ms),
            html! { div.actions {
                (decision_link(l, &format!("{path}/approve"), "", texts::APPROVE))
                (decision_link(l, &format!("{path}/refuse"), "danger", texts::REFUSE))
            } },
        ]
    });
    table(l, texts::OPEN_DEPOSITS, columns, rows)
}

fn deposit_amount(l: Locale, deposit: &Deposit) -> Markup {
    html! { (usd(l, deposit.amount)) div.more { (vnd(l, deposit.vnd)) } }
}

fn payment_amount(l: Locale, payment: &BankPayment) -> Markup {
    match payment.currency.as_str() {
        "VND" => vnd(l, payment.amount),
        currency => html! { span.nowrap { (l.show(payment.amount)) " " (currency) } },
    }
}

fn payment_table(l: Locale, payments: &[BankPayment]) -> Markup {
    let columns = [
        Head(texts::BANK_ID),
        Left(texts::WHEN),
        Right(texts::PAID),
        Left(texts::MEMO),
        Left(texts::UNMATCHED_REASON),
        Actions,
    ];
    let rows = payments.iter().map(|payment| {
        let path = payment_path(payment);
        let reason = payment.reason.as_deref().and_then(HoldReason::named);
        [
            html! { code { (payment.bank_id) } },
            time(l, payment.received_at_ms),
            payment_amount(l, payment),
            html! { (payment.memo) },
            html! { @if let Some(reason) = reason { (l.t(reason_name(reason))) } },
            html! { div.actions {
                (decision_link(l, &format!("{path}/credit"), "", texts::CREDIT))
                (decision_link(l, &format!("{path}/refuse"), "danger", texts::REFUSE))
            } },
        ]
    });
    table(l, texts::UNMATCHED_PAYMENTS, columns, rows)
}

/// Asks to confirm a decision about an open top-up.
async fn confirm_deposit(
    operator: &Operator,
    site: &SiteState,
    id: &str,
    action: &str,
    (title, text, button): (Text, Text, Text),
    fields: Markup,
) -> PageResult {
    let id: Uuid = parse_id(operator, id)?;
    let open = site.store.billing().open_deposits(MAX_ROWS).await?;
    let Some(deposit) = open.iter().find(|deposit| deposit.id == id) else {
        return already_decided(operator, PATH);
    };
    let decision = Decision {
        title: operator.locale().t(title),
        facts: vec![
            (texts::REFERENCE, html! { code { (deposit.reference) } }),
            (texts::ACCOUNT, account_link(deposit.account_id, &deposit.email)),
            (texts::PAID, deposit_amount(operator.locale(), deposit)),
        ],
        text,
        fields,
        path: &format!("{}/{action}", deposit_path(deposit)),
        button,
        is_harmful: action == "refuse",
        back: PATH,
    };
    decision.page(operator, NavItem::Deposits)
}

async fn confirm_approve(operator: Operator, site: Site, id: Id) -> PageResult {
    let labels = (texts::APPROVE_TITLE, texts::APPROVE_TEXT, texts::APPROVE);
    confirm_deposit(&operator, &site, &id, "approve", labels, html! {}).await
}

async fn confirm_refuse(operator: Operator, site: Site, id: Id) -> PageResult {
    let labels = (texts::REFUSE_TITLE, texts::REFUSE_TEXT, texts::REFUSE);
    let fields = html! { (Field::new("reason", operator.locale().t(texts::REASON))) };
    confirm_deposit(&operator, &site, &id, "refuse", labels, fields).await
}

/// Asks to confirm a decision about a payment that matches no top-up.
async fn confirm_payment(
    operator: &Operator,
    site: &SiteState,
    id: &str,
    action: &str,
    (title, text, button): (Text, Text, Text),
    fields: Markup,
) -> PageResult {
    let id: Uuid = parse_id(operator, id)?;
    let kept = site.store.billing().kept_payments(MAX_ROWS).await?;
    let Some(payment) = kept.iter().find(|payment| payment.id == id) else {
        return already_decided(operator, PATH);
    };
    let decision = Decision {
        title: operator.locale().t(title),
        facts: vec![
            (texts::BANK_ID, html! { code { (payment.bank_id) } }),
            (texts::PAID, payment_amount(operator.locale(), payment)),
            (texts::MEMO, html! { (payment.memo) }),
        ],
        text,
        fields,
        path: &format!("{}/{action}", payment_path(payment)),
        button,
        is_harmful: action == "refuse",
        back: PATH,
    };
    decision.page(operator, NavItem::Deposits)
}

async fn confirm_payment_credit(operator: Operator, site: Site, id: Id) -> PageResult {
    let labels = (texts::CREDIT_PAYMENT_TITLE, texts::CREDIT_PAYMENT_TEXT, texts::CREDIT);
    let fields = html! { (Field::new("account", operator.locale().t(texts::CREDIT_TO))) };
    confirm_payment(&operator, &site, &id, "credit", labels, fields).await
}

async fn confirm_payment_refusal(operator: Operator, site: Site, id: Id) -> PageResult {
    let labels = (texts::REFUSE_PAYMENT_TITLE, texts::REFUSE_PAYMENT_TEXT, texts::REFUSE);
    let fields = html! { (Field::new("note", operator.locale().t(texts::NOTE))) };
    confirm_payment(&operator, &site, &id, "refuse", labels, fields).await
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
