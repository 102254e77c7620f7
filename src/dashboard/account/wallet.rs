//! The wallet: its buckets, its ledger, and the notice when it runs low.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_domain::billing::ledger::EntryKind;
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_entities::store::ledger::entries::{LedgerEntry, LedgerFilter, LedgerPage};
use serde::Deserialize;

use super::overview::{bucket_name, buckets};
use crate::api::Edge;
use crate::api::resources::ledger;
use crate::dashboard::Site;
use crate::dashboard::texts::{Say, Text, frame, wallet as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{
    Field, Tone, field, head, nothing, notice, pill, problem, time, usd,
};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};

/// How many entries a page shows.
const ROWS: u32 = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/wallet").get(show))
        .service(web::resource("/wallet/ledger.csv").get(csv))
        .service(web::resource("/wallet/low-balance").post(set_notice));
}

#[derive(Deserialize)]
struct Asked {
    after: Option<String>,
    done: Option<String>,
}

async fn show(
    member: Member,
    site: web::Data<Site>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let said = match asked.done.as_deref() {
        Some("notice") => Some(notice(member.language().say(texts::LOW_SAVED))),
        Some("no-notice") => Some(notice(member.language().say(texts::LOW_OFF))),
        _ => None,
    };
    draw(&member, &site, asked.after.as_deref(), said, StatusCode::OK).await
}

async fn draw(
    member: &Member,
    site: &Site,
    after: Option<&str>,
    said: Option<Markup>,
    status: StatusCode,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let place = after.and_then(ledger::place);
    let is_lost = after.is_some() && place.is_none();
    let wallet = site.store.wallet(member.id()).await?.unwrap_or_default();
    let threshold = site.store.low_balance(member.id()).await?;
    let page = site
        .store
        .ledger_page(member.id(), &LedgerFilter::default(), place, ROWS)
        .await?;
    let actions = html! {
        a.button.second href="/dashboard/wallet/ledger.csv" { (l.say(texts::CSV)) }
        a.button href="/dashboard/wallet/top-up" { (l.say(texts::TOP_UP)) }
    };
    let body = html! {
        (head(l.say(texts::TITLE), Some(l.say(texts::LEAD)), actions))
        @if let Some(said) = said { (said) }
        @if is_lost { (problem(l.say(texts::BAD_PLACE))) }
        (buckets(l, &wallet, site))
        h2 { (l.say(texts::LEDGER)) }
        (entries(l, &page, after.is_some()))
        (notice_form(member, threshold))
    };
    Ok(Page::at(Place::Wallet, l.say(texts::TITLE), body)
        .with_status(status)
        .answer(member))
}

fn entries(l: Language, page: &LedgerPage, is_later: bool) -> Markup {
    html! {
        @if page.entries.is_empty() {
            (nothing(l.say(texts::NO_ENTRIES)))
        } @else {
            div.table tabindex="0" role="region" aria-label=(l.say(texts::LEDGER)) {
                table {
                    thead { tr {
                        th scope="col" { (l.say(texts::WHEN)) }
                        th scope="col" { (l.say(texts::WHAT)) }
                        th scope="col" { (l.say(texts::BUCKET)) }
                        th.right scope="col" { (l.say(texts::AMOUNT)) }
                        th.right scope="col" { (l.say(texts::AFTER)) }
                    } }
                    tbody { @for entry in &page.entries { (row(l, entry)) } }
                }
            }
            p.hint { (l.say(frame::UTC_NOTE)) }
        }
        div.pager {
            @if is_later { a.button.second href="/dashboard/wallet" { (l.say(frame::NEWEST)) } }
            @if let Some(next) = page.next {
                a.button.second href={ "/dashboard/wallet?after=" (ledger::text(next)) } {
                    (l.say(frame::OLDER))
                }
            }
        }
    }
}

fn row(l: Language, entry: &LedgerEntry) -> Markup {
    let tone = match entry.amount.is_negative() {
        true => Tone::Plain,
        false => Tone::Good,
    };
    html! {
        tr {
            td { (time(entry.created_at_ms)) }
            td {
                @if let Some(id) = entry.delivery_id {
                    a href={ "/dashboard/deliveries/" (id) } { (pill(tone, l.say(kind_name(entry.kind)))) }
                } @else {
                    (pill(tone, l.say(kind_name(entry.kind))))
                }
                @if let Some(reference) = &entry.reference { " " span.small.faint { (reference) } }
                @if let Some(note) = &entry.note { " " span.small { (note) } }
            }
            td.nowrap { (l.say(bucket_name(entry.bucket))) }
            td.right { (usd(entry.amount)) }
            td.right { (usd(entry.after.total())) }
        }
    }
}

/// What an entry is called.
pub fn kind_name(kind: EntryKind) -> Text {
    match kind {
        EntryKind::Debit => texts::DEBIT,
        EntryKind::Refund => texts::REFUND,
        EntryKind::Deposit => texts::DEPOSIT,
        EntryKind::Grant => texts::GRANT,
        EntryKind::Payout => texts::PAYOUT,
        EntryKind::Forfeit => texts::FORFEIT,
        EntryKind::Correction => texts::CORRECTION,
        EntryKind::Commission => texts::COMMISSION,
    }
}

fn notice_form(member: &Member, threshold: Option<Micros>) -> Markup {
    let l = member.language();
    let value = threshold.map_or(String::new(), |threshold| threshold.to_string());
    html! {
        section.card {
            h2 { (l.say(texts::LOW_TITLE)) }
            p { (l.say(texts::LOW_LEAD)) }
            form method="post" action="/dashboard/wallet/low-balance" {
                (form_token(member))
                (field(&Field {
                    name: "threshold",
                    label: l.say(texts::LOW_FIELD),
                    kind: "text",
                    value: &value,
                    hint: Some(l.say(texts::LOW_HINT)),
                    autocomplete: "off",
                    required: false,
                }))
                button type="submit" { (l.say(frame::SAVE)) }
            }
        }
    }
}

async fn set_notice(
    posted: Posted<Member>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let threshold = match fields.trimmed("threshold") {
        "" => None,
        given => match given.parse::<Micros>() {
            Ok(threshold) if threshold > Micros::ZERO => Some(threshold),
            _ => {
                let said = problem(member.language().say(texts::AMOUNT_WRONG));
                return draw(&member, &site, None, Some(said), StatusCode::BAD_REQUEST).await;
            }
        },
    };
    site.store.set_low_balance(member.id(), threshold).await?;
    Ok(match threshold {
        Some(_) => go(&member, "/dashboard/wallet?done=notice"),
        None => go(&member, "/dashboard/wallet?done=no-notice"),
    })
}

async fn csv(member: Member, edge: web::Data<Edge>) -> HttpResponse {
    match ledger::csv_of(edge, member.id()).await {
        Ok(answer) => answer,
        Err(refused) => refused.response(),
    }
}
