//! Accounts: the search, and one account with the decisions about it.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::quota::{MAX_LIMIT, QuotaKind};
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_entities::store::billing::referrals::Referral;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::operations::operator_log::AccountSummary;
use serde::Deserialize;

use super::decision::{
    Decision, Outcome, Rejection, account_link, already_decided, audit_log, decided_by, finish,
    note, outcome_notice, parse_id, reference,
};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::figures::{parse_usd, parse_whole};
use crate::dashboard::texts::{Translate, account::limits, frame, operators as texts};
use crate::dashboard::web::*;
use crate::input;

const PAGE_SIZE: u32 = 50;
/// The number of entries of the audit log on a page.
const LOG_ENTRIES: u32 = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/accounts").get(show))
        .service(web::resource("/accounts/{id}").get(show_one))
        .service(web::resource("/accounts/{id}/suspend").get(confirm_suspend).post(suspend))
        .service(web::resource("/accounts/{id}/resume").post(resume))
        .service(web::resource("/accounts/{id}/credit").get(confirm_credit).post(credit))
        .service(web::resource("/accounts/{id}/quota").post(set_quota))
        .service(web::resource("/accounts/{id}/note").post(add_note));
}

#[derive(Deserialize)]
struct Query {
    #[serde(default)]
    q: String,
    #[serde(default)]
    skip: u32,
    came: Option<String>,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.locale();
    let Query { q, skip, .. } = query.into_inner();
    let accounts = site.store.operations().find_accounts(&q, skip, PAGE_SIZE + 1).await?;
    let actions = site.store.operations().operator_actions(None, None, LOG_ENTRIES).await?;
    let title = l.t(frame::ACCOUNTS);
    let path = NavItem::Accounts.path();
    let body = html! {
        (page_head(title, Some(l.t(texts::ACCOUNTS_LEAD)), html! {}))
        form.row.filters method="get" action=(path) role="search" {
            (Field::new("q", l.t(texts::SEARCH)).kind("search").value(&q).optional())
            div.actions { button type="submit" { (l.t(texts::DO_SEARCH)) } }
        }
        (account_table(l, &accounts))
        (offset_pager(l, path, &[("q", &q)], skip, PAGE_SIZE, accounts.len()))
        (audit_log(l, &actions))
    };
    Ok(Page::new(NavItem::Accounts, title, body).respond(&operator))
}

fn account_table(l: Locale, accounts: &[AccountSummary]) -> Markup {
    if accounts.is_empty() {
        return empty_state(l.t(texts::NO_ACCOUNT));
    }
    let columns = [Head(texts::EMAIL), Left(texts::STATE), Left(texts::SINCE), Right(texts::HELD)];
    let rows = accounts.iter().take(PAGE_SIZE as usize).map(|account| {
        [
            account_link(account.id, &account.email),
            state(l, account),
            time(l, account.created_at_ms),
            usd(l, account.held.total()),
        ]
    });
    table(l, frame::ACCOUNTS, columns, rows)
}

fn state(l: Locale, account: &AccountSummary) -> Markup {
    let (tone, text) = match (account.closed_at_ms, account.suspended_at_ms) {
        (Some(_), _) => (Tone::Plain, texts::CLOSED),
        (None, Some(_)) => (Tone::Bad, texts::SUSPENDED),
        (None, None) if account.operator => (Tone::Busy, texts::OPERATOR),
        (None, None) => (Tone::Good, texts::CUSTOMER),
    };
    pill(tone, l.t(text))
}

async fn account_of(
    operator: &Operator,
    site: &SiteState,
    id: &str,
) -> Result<AccountSummary, PageError> {
    let id: AccountId = parse_id(operator, id)?;
    let account = site.store.operations().account_summary(id).await?;
    account.ok_or_else(|| PageError::not_found(operator.locale()))
}

fn path_of(account: &AccountSummary) -> String {
    format!("/dashboard/operators/accounts/{}", account.id)
}

async fn show_one(operator: Operator, site: Site, id: Id, query: web::Query<Query>) -> PageResult {
    let l = operator.locale();
    let account = account_of(&operator, &site, &id).await?;
    let referral = site.store.billing().referral_of(account.id).await?;
    let actions =
        site.store.operations().operator_actions(Some(account.id), None, LOG_ENTRIES).await?;
    let quotas = site.quotas.status(account.id).await?;
    let body = html! {
        (page_head(&account.email, None, state(l, &account)))
        (outcome_notice(l, query.came.as_deref()))
        (facts(l, &account, referral.as_ref()))
        (wallet_summary(l, &account.held, &site))
        @if account.closed_at_ms.is_none() {
            div.grid {
                (suspension_form(&operator, &account))
                (credit_form(&operator, &account))
            }
        }
        section {
            h2 { (l.t(limits::TITLE)) }
            (quota_table(l, &quotas))
            @if account.closed_at_ms.is_none() { (quota_form(&operator, &account)) }
        }
        (note_form(&operator, &account))
        (audit_log(l, &actions))
    };
    Ok(Page::new(NavItem::Accounts, &account.email, body).respond(&operator))
}

fn facts(l: Locale, account: &AccountSummary, referral: Option<&Referral>) -> Markup {
    html! {
        section.card {
            dl.facts {
                dt { "ID" } dd { code { (account.id) } }
                dt { (l.t(texts::SINCE)) } dd { (exact_time(l, account.created_at_ms)) }
                @if let Some(at) = account.closed_at_ms {
                    dt { (l.t(texts::CLOSED)) } dd { (exact_time(l, at)) }
                }
                @if let Some(at) = account.suspended_at_ms {
                    dt { (l.t(texts::SUSPENDED_SINCE)) } dd { (exact_time(l, at)) }
                    dt { (l.t(texts::REASON)) }
                    dd { (account.suspended_for.as_deref().unwrap_or_default()) }
                }
                @if let Some(referral) = referral {
                    dt { (l.t(texts::REFERRED_BY)) }
                    dd { (account_link(referral.referrer, &referral.referrer_email)) }
                }
            }
        }
    }
}

fn suspension_form(operator: &Operator, account: &AccountSummary) -> Markup {
    let l = operator.locale();
    let path = path_of(account);
    html! {
        section.card {
            h2 { (l.t(texts::SUSPEND)) }
            @if account.suspended_at_ms.is_some() {
                form method="post" action={ (path) "/resume" } {
                    (form_token(operator))
                    button type="submit" { (l.t(texts::RESUME)) }
                }
            } @else {
                p { (l.t(texts::SUSPEND_LEAD)) }
                a.button.danger href={ (path) "/suspend" } { (l.t(texts::SUSPEND)) "…" }
            }
        }
    }
}

/// A required one-line field. The fields of several forms may share a name, so the id is separate.
fn required_field(id: &str, name: &str, label: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name=(name) type="text" autocomplete="off" required;
        }
    }
}

fn credit_form(operator: &Operator, account: &AccountSummary) -> Markup {
    let l = operator.locale();
    let buckets = [Bucket::Balance, Bucket::Bonus, Bucket::Free];
    let buckets = buckets.map(|bucket| (bucket.as_str(), l.t(bucket_name(bucket))));
    html! {
        section.card {
            h2 { (l.t(texts::CREDIT)) }
            p { (l.t(texts::CREDIT_LEAD)) }
            form method="get" action={ (path_of(account)) "/credit" } {
                (select("bucket", l.t(texts::BUCKET), "", buckets))
                (required_field("credit-amount", "amount", l.t(texts::AMOUNT)))
                (required_field("credit-reference", "reference", l.t(texts::REFERENCE)))
                button type="submit" { (l.t(texts::CREDIT)) "…" }
            }
        }
    }
}

fn quota_form(operator: &Operator, account: &AccountSummary) -> Markup {
    let l = operator.locale();
    let kinds = QuotaKind::of_accounts().map(|kind| (kind.name(), l.t(quota_name(kind))));
    html! {
        section.card {
            h2 { (l.t(limits::SET)) }
            form.row method="post" action={ (path_of(account)) "/quota" } {
                (form_token(operator))
                (select("kind", l.t(limits::ACTION), "", kinds))
                (Field::new("limit", l.t(limits::LIMIT)).hint(l.t(limits::SET_LEAD)).optional())
                div.actions { button type="submit" { (l.t(limits::DO_SET)) } }
            }
        }
    }
}

fn note_form(operator: &Operator, account: &AccountSummary) -> Markup {
    let l = operator.locale();
    html! {
        section.card {
            h2 { (l.t(texts::NOTE)) }
            form method="post" action={ (path_of(account)) "/note" } {
                (form_token(operator))
                (required_field("note-text", "note", l.t(texts::NOTE)))
                button.second type="submit" { (l.t(texts::ADD_NOTE)) }
            }
        }
    }
}

async fn confirm_suspend(operator: Operator, site: Site, id: Id) -> PageResult {
    let l = operator.locale();
    let account = account_of(&operator, &site, &id).await?;
    let path = path_of(&account);
    if account.suspended_at_ms.is_some() || account.closed_at_ms.is_some() {
        return already_decided(&operator, &path);
    }
    let decision = Decision {
        title: &l.t_with(texts::SUSPEND_TITLE, &[("email", &account.email)]),
        facts: Vec::new(),
        text: texts::SUSPEND_LEAD,
        fields: html! { (Field::new("reason", l.t(texts::REASON))) },
        path: &format!("{path}/suspend"),
        button: texts::SUSPEND,
        is_harmful: true,
        back: &path,
    };
    decision.page(&operator, NavItem::Accounts)
}

async fn suspend(Posted(operator, fields): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let account = account_of(&operator, &site, &id).await?;
    let by = decided_by(&operator);
    let decision = async {
        let reason = note(&fields, "reason")?;
        let suspended = site.store.operations().suspend_account(by, account.id, &reason, unix_ms());
        Ok::<_, Rejection>(suspended.await?)
    };
    finish(&operator, &path_of(&account), decision.await)
}

async fn resume(Posted(operator, _): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let account = account_of(&operator, &site, &id).await?;
    let by = decided_by(&operator);
    let resumed = site.store.operations().resume_account(by, account.id, unix_ms()).await;
    finish(&operator, &path_of(&account), resumed.map_err(Into::into))
}

/// The fields of a credit, as typed.
#[derive(Deserialize)]
struct TypedCredit {
    #[serde(default)]
    bucket: String,
    #[serde(default)]
    amount: String,
    #[serde(default)]
    reference: String,
}

/// Checks the typed credit and shows what would be credited.
async fn confirm_credit(
    operator: Operator,
    site: Site,
    id: Id,
    typed: web::Query<TypedCredit>,
) -> PageResult {
    let l = operator.locale();
    let account = account_of(&operator, &site, &id).await?;
    let path = path_of(&account);
    let checked = || -> Result<_, Outcome> {
        let amount = parse_usd(l.language, &typed.amount);
        let amount = amount.filter(|amount| *amount > Micros::ZERO);
        let reference = input::reference(typed.reference.trim());
        Ok((amount.ok_or(Outcome::WrongAmount)?, reference.map_err(|_| Outcome::WrongReference)?))
    };
    let (amount, reference) = match checked() {
        Ok(checked) => checked,
        Err(outcome) => {
            return finish(&operator, &path, Ok(outcome));
        }
    };
    let bucket = Bucket::named(&typed.bucket).unwrap_or(Bucket::Bonus);
    let decision = Decision {
        title: &l.t_with(texts::CREDIT_TITLE, &[("email", &account.email)]),
        facts: vec![
            (texts::AMOUNT, usd(l, amount)),
            (texts::BUCKET, html! { (l.t(bucket_name(bucket))) }),
            (texts::REFERENCE, html! { code { (reference) } }),
        ],
        text: texts::CREDIT_LEAD,
        fields: html! {
            (hidden("bucket", bucket.as_str()))
            (hidden("amount", &amount.to_string()))
            (hidden("reference", &reference))
        },
        path: &format!("{path}/credit"),
        button: texts::CREDIT,
        is_harmful: false,
        back: &path,
    };
    decision.page(&operator, NavItem::Accounts)
}

async fn credit(Posted(operator, fields): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let account = account_of(&operator, &site, &id).await?;
    let by = decided_by(&operator);
    let decision = async {
        let amount = fields.trimmed("amount");
        let amount = input::amount(amount).map_err(|_| Outcome::WrongAmount)?;
        let credit = Credit {
            account_id: account.id,
            bucket: Bucket::named(fields.get("bucket")).unwrap_or(Bucket::Bonus),
            amount,
            reference: &reference(&fields)?,
            at_ms: unix_ms(),
        };
        let credited = site.store.ledger().credit_wallet_as(by, credit).await?;
        Ok::<_, Rejection>(credited.new)
    };
    finish(&operator, &path_of(&account), decision.await)
}

async fn set_quota(Posted(operator, fields): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let account = account_of(&operator, &site, &id).await?;
    let by = decided_by(&operator);
    let decision = async {
        let kind = QuotaKind::named(fields.get("kind")).ok_or(Outcome::WrongLimit)?;
        let per_day = match fields.trimmed("limit") {
            "" => None,
            typed => {
                let limit = parse_whole(operator.locale().language, typed);
                let limit = limit.and_then(|limit| u32::try_from(limit).ok());
                Some(limit.filter(|limit| *limit <= MAX_LIMIT).ok_or(Outcome::WrongLimit)?)
            }
        };
        let accounts = site.store.accounts();
        let set = accounts.set_account_quota(by, account.id, kind, per_day, unix_ms());
        let is_changed = set.await?;
        site.quotas.reload_own_limits().await?;
        Ok::<_, Rejection>(is_changed)
    };
    finish(&operator, &path_of(&account), decision.await)
}

async fn add_note(Posted(operator, fields): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let account = account_of(&operator, &site, &id).await?;
    let by = decided_by(&operator);
    let decision = async {
        let text = note(&fields, "note")?;
        let added = site.store.operations().add_account_note(by, account.id, &text, unix_ms());
        added.await?;
        Ok::<_, Rejection>(Outcome::Done)
    };
    finish(&operator, &path_of(&account), decision.await)
}
