//! The overview: the wallet, the last 30 days, recent failures, and the first steps of a new account.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use maud::{Markup, html};
use nexo_domain::call::outcome::Status;
use nexo_domain::time_zone::date;
use nexo_entities::store::deliveries::daily_stats::AccountStats;
use nexo_entities::store::deliveries::pages::DeliveryFilter;

use crate::dashboard::components::charts::{CarrierRate, Day, rate_percent};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::figures::Percent;
use crate::dashboard::texts::{Translate, overview as texts};
use crate::dashboard::web::*;

/// The days of the chart.
const DAYS: i64 = 30;
const FAILURES: u32 = 5;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("").get(show)).service(web::resource("/").get(show));
}

async fn show(request: HttpRequest, member: Member, site: Site) -> PageResult {
    let l = member.locale();
    let no_credit = match query(&request, "credit").as_deref() {
        Some("mailbox") => Some(l.t(texts::NO_CREDIT_MAILBOX)),
        Some("limit") => Some(l.t(texts::NO_CREDIT_LIMIT)),
        _ => None,
    };
    let store = &site.store;
    let id = member.id();
    let first_day = l.today() - DAYS + 1;
    let failed = DeliveryFilter { status: Some(Status::Failed), ..DeliveryFilter::default() };
    let wallet = store.ledger().wallet(id).await?.unwrap_or_default();
    let figures = store.deliveries().account_stats(id, l.zone, first_day, l.now_ms).await?;
    let failures = store.deliveries().page(id, &failed, None, FAILURES).await?;
    let newest = store.deliveries().page(id, &DeliveryFilter::default(), None, 1).await?;
    let keys = store.accounts().keys(Some(id)).await?;
    let has_endpoint = !store.webhooks().endpoints(Some(id)).await?.is_empty();
    let has_sent = !newest.deliveries.is_empty();
    let has_key = keys.iter().any(|key| key.revoked_at_ms.is_none());
    let body = html! {
        (page_head(l.t(texts::TITLE), None, html! {
            a.button.second href=(NavItem::Wallet.path()) { (l.t(texts::TOP_UP)) }
        }))
        @if let Some(text) = no_credit { p.notice.busy role="status" { (text) } }
        (wallet_summary(l, &wallet, &site))
        @if !(has_key && has_sent && has_endpoint) {
            (next_steps(l, has_key, has_sent, has_endpoint))
        }
        (recent_days(l, &figures, first_day))
        section {
            h2 { (l.t(texts::LAST_FAILURES)) }
            @if failures.deliveries.is_empty() {
                p.faint { (l.t(texts::NO_FAILURES)) }
            } @else {
                (delivery_table(l, &failures.deliveries))
                p { a href="/dashboard/deliveries" { (l.t(texts::ALL_DELIVERIES)) } }
            }
        }
    };
    Ok(Page::new(NavItem::Overview, l.t(texts::TITLE), body).respond(&member))
}

fn next_steps(l: Locale, has_key: bool, has_sent: bool, has_endpoint: bool) -> Markup {
    #[rustfmt::skip]
    let steps = [
        (has_key, NavItem::ApiKeys, texts::NEXT_KEY, texts::NEXT_KEY_TEXT),
        (has_sent, NavItem::Docs, texts::NEXT_SEND, texts::NEXT_SEND_TEXT),
        (has_endpoint, NavItem::Webhooks, texts::NEXT_WEBHOOK, texts::NEXT_WEBHOOK_TEXT),
    ];
    html! {
        section.card {
            h2 { (l.t(texts::NEXT)) }
            ol.steps {
                @for (is_done, item, title, text) in steps {
                    li.done[is_done] {
                        div {
                            a href=(item.path()) { (l.t(title)) }
                            @if !is_done { br; span.faint { (l.t(text)) } }
                        }
                    }
                }
            }
        }
    }
}

fn recent_days(l: Locale, figures: &AccountStats, first_day: i64) -> Markup {
    let mut days: Vec<Day> = (first_day..first_day + DAYS)
        .map(|day| Day { label: l.day_and_month(date(day)), delivered: 0, failed: 0 })
        .collect();
    let mut carriers: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for figure in &figures.days {
        let index = usize::try_from(figure.day - first_day);
        if let Some(day) = index.ok().and_then(|index| days.get_mut(index)) {
            day.delivered += figure.delivered;
            day.failed += figure.failed;
        }
        let carrier = carriers.entry(figure.carrier.brand()).or_default();
        carrier.0 += figure.delivered;
        carrier.1 += figure.failed;
    }
    let delivered: u64 = carriers.values().map(|(delivered, _)| delivered).sum();
    let failed: u64 = carriers.values().map(|(_, failed)| failed).sum();
    let rate = rate_percent(delivered, failed);
    let median = figures.median_answer_seconds();
    let none = || l.t(texts::NONE_YET).to_owned();
    let rates: Vec<CarrierRate> = carriers
        .iter()
        .map(|(name, (delivered, failed))| CarrierRate {
            name: (*name).to_owned(),
            delivered: *delivered,
            failed: *failed,
        })
        .collect();
    html! {
        h2 { (l.t_with(texts::LAST_DAYS, &[("count", &DAYS)])) }
        dl.figures {
            div.figure { dt { (l.t(texts::SENT)) } dd { (l.show(delivered + failed)) } }
            div.figure {
                dt { (l.t(texts::RATE)) }
                dd { (rate.map_or_else(none, |rate| l.show(Percent(rate, 1)))) }
            }
            div.figure {
                dt { (l.t(texts::MEDIAN)) }
                dd { (median.map_or_else(none, |seconds| l.seconds(i64::from(seconds) * 1_000, 0))) }
            }
        }
        @if delivered + failed == 0 {
            p.faint { (l.t(texts::NOTHING_SENT)) }
        } @else {
            div.grid.two-to-one {
                section.card { h2 { (l.t(texts::BY_DAY)) } (charts::days(l, &days)) }
                section.card { h2 { (l.t(texts::BY_CARRIER)) } (charts::carrier_rates(l, &rates)) }
            }
        }
    }
}
