//! Accounts: search, and one account with what operators can do about it.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::ids::AccountId;
use nexo_domain::otp::Language;
use nexo_entities::store::billing::referrals::Referral;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::operations::operator_log::AccountLine;
use serde::Deserialize;

use super::{Came, back, decider, language, note, outcome, said, trail};
use crate::cli::args;
use crate::dashboard::Site;
use crate::dashboard::account::overview::{bucket_name, buckets};
use crate::dashboard::texts::{Say, Text, frame, operators as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::Operator;
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{Field, Tone, field, head, nothing, pill, time, usd};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token};

const ROWS: u32 = 50;
const TRAIL: u32 = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/accounts").get(list))
        .service(web::resource("/accounts/{id}").get(one))
        .service(web::resource("/accounts/{id}/suspend").post(suspend))
        .service(web::resource("/accounts/{id}/resume").post(resume))
        .service(web::resource("/accounts/{id}/credit").post(credit))
        .service(web::resource("/accounts/{id}/note").post(add_note));
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    skip: u32,
    came: Option<String>,
}

async fn list(
    operator: Operator,
    site: web::Data<Site>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let l = language(&operator);
    let found = site
        .store
        .find_accounts(&asked.q, asked.skip, ROWS + 1)
        .await?;
    let actions = site.store.operator_actions(None, None, TRAIL).await?;
    let title = l.say(frame::ACCOUNTS);
    let body = html! {
        (head(title, Some(l.say(texts::ACCOUNTS_LEAD)), html! {}))
        form.row.filters method="get" action="/dashboard/operators/accounts" role="search" {
            (field(&Field {
                name: "q",
                label: l.say(texts::SEARCH),
                kind: "search",
                value: &asked.q,
                hint: None,
                autocomplete: "off",
                required: false,
            }))
            button type="submit" { (l.say(texts::DO_SEARCH)) }
        }
        (table(l, &found))
        div.pager {
            @if asked.skip > 0 {
                a.button.second href={ "?q=" (encoded(&asked.q)) } { (l.say(frame::NEWEST)) }
            }
            @if found.len() > ROWS as usize {
                a.button.second href={ "?q=" (encoded(&asked.q)) "&skip=" (asked.skip.saturating_add(ROWS)) } {
                    (l.say(frame::OLDER))
                }
            }
        }
        (trail(l, &actions))
    };
    Ok(Page::at(Place::Accounts, title, body).answer(&operator))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn table(l: Language, found: &[AccountLine]) -> Markup {
    html! {
        @if found.is_empty() {
            (nothing(l.say(texts::NO_ACCOUNT)))
        } @else {
            div.table tabindex="0" role="region" aria-label=(l.say(frame::ACCOUNTS)) {
                table {
                    thead { tr {
                        th scope="col" { (l.say(texts::EMAIL)) }
                        th scope="col" { (l.say(texts::STATE)) }
                        th scope="col" { (l.say(texts::SINCE)) }
                        th.right scope="col" { (l.say(texts::HELD)) }
                    } }
                    tbody { @for account in found.iter().take(ROWS as usize) {
                        tr {
                            td { a href={ "/dashboard/operators/accounts/" (account.id) } { (account.email) } }
                            td { (state(l, account)) }
                            td { (time(account.created_at_ms)) }
                            td.right { (usd(account.held.total())) }
                        }
                    } }
                }
            }
        }
    }
}

fn state(l: Language, account: &AccountLine) -> Markup {
    let (tone, text): (Tone, Text) = match (account.closed_at_ms, account.suspended_at_ms) {
        (Some(_), _) => (Tone::Plain, texts::CLOSED),
        (None, Some(_)) => (Tone::Bad, texts::SUSPENDED),
        (None, None) if account.operator => (Tone::Busy, texts::OPERATOR),
        (None, None) => (Tone::Good, texts::CUSTOMER),
    };
    pill(tone, l.say(text))
}

async fn found(operator: &Operator, site: &Site, id: &str) -> Result<AccountLine, Refused> {
    let missing = || Refused::not_found(operator);
    let id: AccountId = id.parse().map_err(|_| missing())?;
    site.store.account_line(id).await?.ok_or_else(missing)
}

async fn one(
    operator: Operator,
    site: web::Data<Site>,
    id: web::Path<String>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let l = language(&operator);
    let account = found(&operator, &site, &id).await?;
    let referral = site.store.referral_of(account.id).await?;
    let actions = site
        .store
        .operator_actions(Some(account.id), None, TRAIL)
        .await?;
    let body = html! {
        (head(&account.email, None, state(l, &account)))
        (said(l, asked.came.as_deref()))
        (facts(l, &account, referral.as_ref()))
        (buckets(l, &account.held, &site))
        @if account.closed_at_ms.is_none() {
            div.grid {
                (suspension(&operator, &account))
                (crediting(&operator, &account))
            }
        }
        (noting(&operator, &account))
        (trail(l, &actions))
    };
    Ok(Page::at(Place::Accounts, &account.email, body).answer(&operator))
}

fn facts(l: Language, account: &AccountLine, referral: Option<&Referral>) -> Markup {
    html! {
        section.card {
            dl.facts {
                dt { "ID" } dd { code { (account.id) } }
                dt { (l.say(texts::SINCE)) } dd { (time(account.created_at_ms)) }
                @if let Some(at) = account.closed_at_ms {
                    dt { (l.say(texts::CLOSED)) } dd { (time(at)) }
                }
                @if let Some(at) = account.suspended_at_ms {
                    dt { (l.say(texts::SUSPENDED_SINCE)) } dd { (time(at)) }
                    dt { (l.say(texts::REASON)) }
                    dd { (account.suspended_for.as_deref().unwrap_or_default()) }
                }
                @if let Some(referral) = referral {
                    dt { (l.say(texts::BROUGHT_BY)) }
                    dd {
                        a href={ "/dashboard/operators/accounts/" (referral.referrer) } {
                            (referral.referrer_email)
                        }
                    }
                }
            }
        }
    }
}

fn suspension(operator: &Operator, account: &AccountLine) -> Markup {
    let l = language(operator);
    let path = format!("/dashboard/operators/accounts/{}", account.id);
    html! {
        section.card {
            h2 { (l.say(texts::SUSPEND)) }
            @if account.suspended_at_ms.is_some() {
                form method="post" action={ (path) "/resume" } {
                    (form_token(operator))
                    button type="submit" { (l.say(texts::RESUME)) }
                }
            } @else {
                p { (l.say(texts::SUSPEND_LEAD)) }
                form method="post" action={ (path) "/suspend" } {
                    (form_token(operator))
                    (line("suspend-reason", "reason", l.say(texts::REASON)))
                    button.danger type="submit" { (l.say(texts::SUSPEND)) }
                }
            }
        }
    }
}

/// A required one-line field; several of a page may have the same name, and none the same id.
fn line(id: &str, name: &str, label: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name=(name) type="text" autocomplete="off" required;
        }
    }
}

fn crediting(operator: &Operator, account: &AccountLine) -> Markup {
    let l = language(operator);
    html! {
        section.card {
            h2 { (l.say(texts::CREDIT)) }
            p { (l.say(texts::CREDIT_LEAD)) }
            form method="post" action={ "/dashboard/operators/accounts/" (account.id) "/credit" } {
                (form_token(operator))
                div.field {
                    label for="bucket" { (l.say(texts::BUCKET)) }
                    select #bucket name="bucket" {
                        @for bucket in [Bucket::Balance, Bucket::Bonus, Bucket::Free] {
                            option value=(bucket.as_str()) { (l.say(bucket_name(bucket))) }
                        }
                    }
                }
                (line("credit-amount", "amount", l.say(texts::AMOUNT)))
                (line("credit-reference", "reference", l.say(texts::REFERENCE)))
                button type="submit" { (l.say(texts::CREDIT)) }
            }
        }
    }
}

fn noting(operator: &Operator, account: &AccountLine) -> Markup {
    let l = language(operator);
    html! {
        section.card {
            h2 { (l.say(texts::NOTE)) }
            form method="post" action={ "/dashboard/operators/accounts/" (account.id) "/note" } {
                (form_token(operator))
                (line("note-text", "note", l.say(texts::NOTE)))
                button.second type="submit" { (l.say(texts::ADD_NOTE)) }
            }
        }
    }
}

async fn suspend(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let account = found(operator, &site, &id).await?;
    let came = match note(posted.fields.get("reason")) {
        Err(came) => came,
        Ok(reason) => outcome(
            site.store
                .suspend_account(decider(operator), account.id, &reason, unix_ms())
                .await,
        )?,
    };
    Ok(to(operator, &account, came))
}

async fn resume(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let account = found(operator, &site, &id).await?;
    let resumed = site
        .store
        .resume_account(decider(operator), account.id, unix_ms());
    let came = outcome(resumed.await)?;
    Ok(to(operator, &account, came))
}

async fn credit(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let account = found(operator, &site, &id).await?;
    let fields = &posted.fields;
    let bucket = Bucket::named(fields.get("bucket")).unwrap_or(Bucket::Bonus);
    let came = match (
        args::amount(fields.trimmed("amount")),
        args::reference(fields.trimmed("reference")),
    ) {
        (Err(_), _) => Came::WrongAmount,
        (_, Err(_)) => Came::WrongReference,
        (Ok(amount), Ok(reference)) => {
            let credit = Credit {
                account_id: account.id,
                bucket,
                amount,
                reference: &reference,
                at_ms: unix_ms(),
            };
            let credited = site.store.credit_wallet_as(decider(operator), credit).await;
            outcome(credited.map(|credited| credited.new))?
        }
    };
    Ok(to(operator, &account, came))
}

async fn add_note(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let account = found(operator, &site, &id).await?;
    let came = match note(posted.fields.get("note")) {
        Err(came) => came,
        Ok(text) => {
            site.store
                .note_account(decider(operator), account.id, &text, unix_ms())
                .await?;
            Came::Done
        }
    };
    Ok(to(operator, &account, came))
}

fn to(operator: &Operator, account: &AccountLine, came: Came) -> HttpResponse {
    let path = format!("/dashboard/operators/accounts/{}", account.id);
    back(operator, &path, came)
}
