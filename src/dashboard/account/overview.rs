//! The overview: what the wallet holds, how the calls go, and what a newcomer does next.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::ledger::{Bucket, Buckets};
use nexo_domain::call::outcome::Status;
use nexo_domain::otp::Language;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::deliveries::daily_stats::{DAY_MS, Figures};
use nexo_entities::store::deliveries::pages::DeliveryFilter;

use super::deliveries::table;
use crate::dashboard::Site;
use crate::dashboard::texts::{Say, Text, overview as texts};
use crate::dashboard::web::charts;
use crate::dashboard::web::charts::{Day, Share, rate_percent};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::markup::{head, usd};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::Page;

const DAYS: i64 = 30;
const LAST_FAILURES: u32 = 5;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("").get(show))
        .service(web::resource("/").get(show));
}

async fn show(member: Member, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let store = &site.store;
    let id = member.id();
    let now = unix_ms();
    let first_day = now / DAY_MS - DAYS + 1;
    let failed = DeliveryFilter {
        status: Some(Status::Failed),
        ..DeliveryFilter::default()
    };
    let wallet = store.wallet(id).await?.unwrap_or_default();
    let figures = store.account_figures(id, first_day, now).await?;
    let failures = store
        .delivery_page(id, &failed, None, LAST_FAILURES)
        .await?;
    let newest = store
        .delivery_page(id, &DeliveryFilter::default(), None, 1)
        .await?;
    let keys = store.keys(Some(id)).await?;
    let has_endpoint = !store.endpoints(Some(id)).await?.is_empty();
    let has_sent = !newest.deliveries.is_empty();
    let has_key = keys.iter().any(|key| key.revoked_at_ms.is_none());
    let body = html! {
        (head(l.say(texts::TITLE), None, html! {
            a.button.second href=(Place::Wallet.path()) { (l.say(texts::TOP_UP)) }
        }))
        (buckets(l, &wallet, &site))
        @if !(has_key && has_sent && has_endpoint) {
            (next_steps(l, has_key, has_sent, has_endpoint))
        }
        (month(l, &figures, first_day))
        section {
            h2 { (l.say(texts::LAST_FAILURES)) }
            @if failures.deliveries.is_empty() {
                p.faint { (l.say(texts::NO_FAILURES)) }
            } @else {
                (table(l, &failures.deliveries))
                p { a href="/dashboard/deliveries" { (l.say(texts::ALL_DELIVERIES)) } }
            }
        }
    };
    Ok(Page::at(Place::Overview, l.say(texts::TITLE), body).answer(&member))
}

/// What a bucket is called.
pub fn bucket_name(bucket: Bucket) -> Text {
    match bucket {
        Bucket::Free => texts::FREE,
        Bucket::Bonus => texts::BONUS,
        Bucket::Balance => texts::BALANCE,
    }
}

/// The wallet at a glance, in the order in which it is spent.
pub fn buckets(l: Language, wallet: &Buckets, site: &Site) -> Markup {
    let otps = wallet.total().get() / site.terms.now().price.get().max(1);
    html! {
        dl.figures {
            div.figure.strong {
                dt { (l.say(texts::TOTAL)) }
                dd { (usd(wallet.total())) span.more { (l.tell(texts::ENOUGH_FOR, &[("count", &otps)])) } }
            }
            @for bucket in Bucket::ALL {
                div.figure {
                    dt { (l.say(bucket_name(bucket))) }
                    dd { (usd(wallet.of(bucket))) }
                }
            }
        }
    }
}

fn next_steps(l: Language, has_key: bool, has_sent: bool, has_endpoint: bool) -> Markup {
    let steps = [
        (
            has_key,
            Place::ApiKeys,
            texts::NEXT_KEY,
            texts::NEXT_KEY_TELL,
        ),
        (
            has_sent,
            Place::Docs,
            texts::NEXT_SEND,
            texts::NEXT_SEND_TELL,
        ),
        (
            has_endpoint,
            Place::Webhooks,
            texts::NEXT_WEBHOOK,
            texts::NEXT_WEBHOOK_TELL,
        ),
    ];
    html! {
        section.card {
            h2 { (l.say(texts::NEXT)) }
            ol.steps {
                @for (is_done, place, name, tell) in steps {
                    li.done[is_done] {
                        div {
                            a href=(place.path()) { (l.say(name)) }
                            @if !is_done { br; span.faint { (l.say(tell)) } }
                        }
                    }
                }
            }
        }
    }
}

fn month(l: Language, figures: &Figures, first_day: i64) -> Markup {
    let mut days: Vec<Day> = (first_day..first_day + DAYS)
        .map(|day| Day {
            label: rfc3339(day * DAY_MS).chars().skip(5).take(5).collect(),
            delivered: 0,
            failed: 0,
        })
        .collect();
    let mut carriers: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for figure in &figures.days {
        let place = usize::try_from(figure.day - first_day);
        if let Some(day) = place.ok().and_then(|place| days.get_mut(place)) {
            day.delivered += figure.delivered;
            day.failed += figure.failed;
        }
        let carrier = carriers.entry(figure.carrier.name()).or_default();
        carrier.0 += figure.delivered;
        carrier.1 += figure.failed;
    }
    let delivered: u64 = carriers.values().map(|(delivered, _)| delivered).sum();
    let failed: u64 = carriers.values().map(|(_, failed)| failed).sum();
    let rate = rate_percent(delivered, failed);
    let median = figures.median_answer_seconds();
    let none = || l.say(texts::NONE_YET).to_owned();
    let shares: Vec<Share> = carriers
        .iter()
        .map(|(name, (delivered, failed))| Share {
            name: (*name).to_owned(),
            delivered: *delivered,
            failed: *failed,
        })
        .collect();
    html! {
        h2 { (l.tell(texts::LAST_DAYS, &[("count", &DAYS)])) }
        dl.figures {
            div.figure { dt { (l.say(texts::SENT)) } dd { (delivered + failed) } }
            div.figure {
                dt { (l.say(texts::RATE)) }
                dd { (rate.map_or_else(none, |rate| format!("{rate} %"))) }
            }
            div.figure {
                dt { (l.say(texts::MEDIAN)) }
                dd { (median.map_or_else(none, |s| l.tell(texts::SECONDS, &[("count", &s)]))) }
            }
        }
        @if delivered + failed == 0 {
            p.faint { (l.say(texts::NOTHING_SENT)) }
        } @else {
            div.grid.two-to-one {
                section.card { h2 { (l.say(texts::BY_DAY)) } (charts::days(l, &days)) }
                section.card { h2 { (l.say(texts::BY_CARRIER)) } (charts::shares(l, &shares)) }
            }
        }
    }
}
