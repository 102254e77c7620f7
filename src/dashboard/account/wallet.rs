//! The wallet: its buckets, its ledger, and the low-balance notice.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use maud::{Markup, html};
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::billing::ledger::EntryKind;
use nexo_domain::money::Micros;
use nexo_entities::store::accounts::sign_up::SIGN_UP_REFERENCE;
use nexo_entities::store::ledger::entries::{LedgerEntry, LedgerFilter, LedgerPage};
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::resources::ledger;
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::figures::{amount_to_edit, parse_usd};
use crate::dashboard::texts::{Text, Translate, frame, wallet as texts};
use crate::dashboard::web::*;

/// The number of entries on a page.
const PAGE_SIZE: u32 = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/wallet").get(show))
        .service(web::resource("/wallet/ledger.csv").get(csv))
        .service(web::resource("/wallet/low-balance").post(set_notice));
}

#[derive(Deserialize)]
struct Query {
    after: Option<String>,
    done: Option<String>,
}

async fn show(member: Member, site: Site, query: web::Query<Query>) -> PageResult {
    let notice = match query.done.as_deref() {
        Some("notice") => Some(success_notice(member.locale().t(texts::LOW_SAVED))),
        Some("no-notice") => Some(success_notice(member.locale().t(texts::LOW_OFF))),
        _ => None,
    };
    draw(&member, &site, query.after.as_deref(), notice, StatusCode::OK).await
}

async fn draw(
    member: &Member,
    site: &SiteState,
    after: Option<&str>,
    notice: Option<Markup>,
    status: StatusCode,
) -> PageResult {
    let l = member.locale();
    let cursor = after.and_then(ledger::read_cursor);
    let is_wrong_cursor = after.is_some() && cursor.is_none();
    let wallet = site.store.ledger().wallet(member.id()).await?.unwrap_or_default();
    let threshold = site.store.ledger().low_balance_threshold(member.id()).await?;
    let page = site
        .store
        .ledger()
        .entries(member.id(), &LedgerFilter::default(), cursor, PAGE_SIZE)
        .await?;
    let actions = html! {
        a.button.second href="/dashboard/wallet/ledger.csv" { (l.t(texts::CSV)) }
        a.button href="/dashboard/wallet/top-up" { (l.t(texts::TOP_UP)) }
    };
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), actions))
        @if let Some(notice) = notice { (notice) }
        @if is_wrong_cursor { (error_notice(l.t(texts::WRONG_CURSOR))) }
        (wallet_summary(l, &wallet, site))
        h2 { (l.t(texts::LEDGER)) }
        (entries(l, &page, after.is_some()))
        (notice_form(member, threshold))
    };
    Ok(Page::new(NavItem::Wallet, l.t(texts::TITLE), body).with_status(status).respond(member))
}

fn entries(l: Locale, page: &LedgerPage, is_later: bool) -> Markup {
    let newest = is_later.then_some(NavItem::Wallet.path());
    let next =
        page.next.map(|next| format!("/dashboard/wallet?after={}", ledger::write_cursor(next)));
    html! {
        @if page.entries.is_empty() {
            (empty_state(l.t(texts::NO_ENTRIES)))
        } @else {
            (table(l, texts::LEDGER, [
                Head(texts::WHEN), Left(texts::WHAT), Left(texts::BUCKET), Right(texts::AMOUNT),
                Right(texts::AFTER),
            ], page.entries.iter().map(|entry| row(l, entry))))
        }
        (pager(l, newest, next.as_deref()))
        @if !page.entries.is_empty() { p.faint.small { (l.zone_note()) } }
    }
}

fn row(l: Locale, entry: &LedgerEntry) -> [Markup; 5] {
    let tone = match entry.amount.is_negative() {
        true => Tone::Plain,
        false => Tone::Good,
    };
    [
        time(l, entry.created_at_ms),
        html! {
            @if let Some(id) = entry.delivery_id {
                a href={ "/dashboard/deliveries/" (id) } { (pill(tone, l.t(entry_name(entry.kind)))) }
            } @else {
                (pill(tone, l.t(entry_name(entry.kind))))
            }
            @if let Some(reference) = &entry.reference {
                " " span.small.faint {
                    @if reference == SIGN_UP_REFERENCE { (l.t(texts::FOR_SIGN_UP)) } @else { (reference) }
                }
            }
            @if let Some(note) = &entry.note { " " span.small { (note) } }
        },
        html! { span.nowrap { (l.t(bucket_name(entry.bucket))) } },
        usd(l, entry.amount),
        usd(l, entry.after.total()),
    ]
}

/// The name of a ledger entry.
fn entry_name(kind: EntryKind) -> Text {
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
    let l = member.locale();
    let value = threshold.map_or(String::new(), |threshold| amount_to_edit(l.language, threshold));
    html! {
        section.card {
            h2 { (l.t(texts::LOW_TITLE)) }
            p { (l.t(texts::LOW_LEAD)) }
            form method="post" action="/dashboard/wallet/low-balance" {
                (form_token(member))
                (Field::new("threshold", l.t(texts::LOW_FIELD)).value(&value).hint(l.t(texts::LOW_HINT)).optional())
                button type="submit" { (l.t(frame::SAVE)) }
            }
        }
    }
}

async fn set_notice(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    let threshold = match fields.trimmed("threshold") {
        "" => None,
        typed => match parse_usd(member.locale().language, typed) {
            Some(threshold) if threshold > Micros::ZERO => Some(threshold),
            _ => {
                let notice = error_notice(member.locale().t(texts::AMOUNT_WRONG));
                return draw(&member, &site, None, Some(notice), StatusCode::BAD_REQUEST).await;
            }
        },
    };
    site.quotas.take(QuotaKind::LowBalanceChanges, member.id()).await?;
    site.store.ledger().set_low_balance_threshold(member.id(), threshold).await?;
    Ok(match threshold {
        Some(_) => redirect(&member, "/dashboard/wallet?done=notice"),
        None => redirect(&member, "/dashboard/wallet?done=no-notice"),
    })
}

async fn csv(request: HttpRequest, member: Member, edge: web::Data<ApiState>) -> PageResult {
    let response = ledger::whole_csv(&request, edge, member.id()).await;
    response.map_err(|error| PageError::of_list(error, member.locale()))
}
