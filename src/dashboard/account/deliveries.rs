//! The pages of deliveries: the list with its search, and one with its call.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use nexo_domain::billing::ledger::EntryKind;
use nexo_domain::call::outcome::Status;
use nexo_domain::ids::DeliveryId;
use nexo_domain::otp::Language;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::timestamp;
use nexo_entities::store::deliveries::deliveries::Delivery;
use nexo_entities::store::deliveries::pages::{DeliveryFilter, DeliveryPage};
use nexo_entities::store::ledger::posting::CallAttempt;

use super::overview::bucket_name;
use crate::api;
use crate::dashboard::auth::sign_in::query;
use crate::dashboard::developer::webhook_attempts::attempt_rows;
use crate::dashboard::texts::{Say, Text, deliveries as texts, frame};
use crate::dashboard::web::error::{Refused, Why};
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::ladder;
use crate::dashboard::web::markup::{Field, Tone, field, head, nothing, pill, problem, time, usd};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, go};
use crate::dashboard::{Site, cursor_link};

const ON_A_PAGE: u32 = 30;
const HOME: &str = "/dashboard/deliveries";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/deliveries").get(show))
        .service(web::resource("/deliveries.csv").get(csv))
        .service(web::resource("/deliveries/{id}").get(show_one));
}

/// What the search's form says, as it was typed.
#[derive(Debug, Default)]
struct Wanted {
    search: String,
    status: String,
    carrier: String,
    from: String,
    to: String,
}

impl Wanted {
    fn of(request: &HttpRequest) -> Wanted {
        let get = |name| query(request, name).unwrap_or_default().trim().to_owned();
        Wanted {
            search: get("q"),
            status: get("status"),
            carrier: get("carrier"),
            from: get("from"),
            to: get("to"),
        }
    }

    fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("q", &self.search),
            ("status", &self.status),
            ("carrier", &self.carrier),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    fn is_empty(&self) -> bool {
        self.pairs().iter().all(|(_, value)| value.is_empty())
    }

    /// `Err` where the search is no phone. An id was looked for before.
    fn filter(&self, site: &Site) -> Result<DeliveryFilter, ()> {
        let phone = match self.search.as_str() {
            "" => None,
            typed => Some(phone(typed, site).ok_or(())?),
        };
        Ok(DeliveryFilter {
            status: Status::named(&self.status),
            carrier: Carrier::named(&self.carrier),
            phone,
            from_ms: timestamp::parse(&self.from),
            to_ms: timestamp::parse(&self.to),
        })
    }
}

/// A phone as people type it: `0981 234 567`, `+84…`, `84…`.
fn phone(typed: &str, site: &Site) -> Option<Phone> {
    let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
    let is_phone = |c: char| c.is_ascii_digit() || " +-.()".contains(c);
    if !typed.chars().all(is_phone) {
        return None;
    }
    let national = digits
        .strip_prefix("84")
        .or_else(|| digits.strip_prefix('0'));
    Phone::parse(&format!("+84{}", national?), &site.routing.plan).ok()
}

async fn show(
    request: HttpRequest,
    member: Member,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let wanted = Wanted::of(&request);
    if let Ok(id) = wanted.search.parse::<DeliveryId>()
        && site.store.delivery(member.id(), id).await?.is_some()
    {
        return Ok(go(&member, &format!("{HOME}/{id}")));
    }
    let after = query(&request, "after").and_then(|text| api::resources::deliveries::place(&text));
    let filter = wanted.filter(&site);
    let page = match &filter {
        Ok(filter) => {
            site.store
                .delivery_page(member.id(), filter, after, ON_A_PAGE)
                .await?
        }
        Err(()) => DeliveryPage {
            deliveries: Vec::new(),
            next: None,
        },
    };
    let pairs = wanted.pairs();
    let next = page.next.map(|next| {
        cursor_link(
            HOME,
            &pairs,
            "after",
            &api::resources::deliveries::text(next),
        )
    });
    let csv = cursor_link("/dashboard/deliveries.csv", &pairs, "", "");
    let body = html! {
        (head(l.say(texts::TITLE), Some(l.say(texts::LEAD)), html! {
            a.button.second href=(csv) { (l.say(texts::CSV)) }
        }))
        (search_form(l, &wanted))
        @if filter.is_err() {
            (problem(&l.tell(texts::SEARCH_WRONG, &[("text", &wanted.search)])))
        }
        @if page.deliveries.is_empty() {
            (nothing(l.say(if wanted.is_empty() { texts::NONE } else { texts::NONE_FOUND })))
        } @else {
            (table(l, &page.deliveries))
        }
        div.pager {
            @if after.is_some() {
                a.button.second href=(cursor_link(HOME, &pairs, "", "")) { (l.say(frame::NEWEST)) }
            } @else { span {} }
            @if let Some(next) = next {
                a.button.second rel="next" href=(next) { (l.say(frame::OLDER)) }
            }
        }
        p.faint.small { (l.say(frame::UTC_NOTE)) }
    };
    let status = match filter {
        Ok(_) => StatusCode::OK,
        Err(()) => StatusCode::BAD_REQUEST,
    };
    let page = Page::at(Place::Deliveries, l.say(texts::TITLE), body).with_status(status);
    Ok(page.answer(&member))
}

fn search_form(l: Language, wanted: &Wanted) -> Markup {
    let input = |name: &'static str, label: Text, kind: &'static str, value: &str| {
        field(&Field {
            name,
            label: l.say(label),
            kind,
            value,
            hint: None,
            autocomplete: "off",
            required: false,
        })
    };
    html! {
        form.row.tight.filters method="get" action=(HOME) role="search" {
            (input("q", texts::SEARCH, "search", &wanted.search))
            div.field {
                label for="status" { (l.say(texts::STATUS)) }
                select #status name="status" {
                    option value="" { (l.say(texts::ANY)) }
                    @for status in Status::ALL {
                        option value=(status.as_str()) selected[wanted.status == status.as_str()] {
                            (l.say(status_words(status).1))
                        }
                    }
                }
            }
            div.field {
                label for="carrier" { (l.say(texts::CARRIER)) }
                select #carrier name="carrier" {
                    option value="" { (l.say(texts::ANY)) }
                    @for carrier in Carrier::all() {
                        option value=(carrier.name()) selected[wanted.carrier == carrier.name()] {
                            (carrier.name())
                        }
                    }
                }
            }
            (input("from", texts::FROM, "date", &wanted.from))
            (input("to", texts::TO, "date", &wanted.to))
            div.actions {
                button type="submit" { (l.say(texts::FILTER)) }
                @if !wanted.is_empty() { a href=(HOME) { (l.say(texts::CLEAR)) } }
            }
        }
    }
}

fn status_words(status: Status) -> (Tone, Text) {
    match status {
        Status::Sent => (Tone::Busy, texts::SENT),
        Status::Delivered => (Tone::Good, texts::DELIVERED),
        Status::Failed => (Tone::Bad, texts::FAILED),
    }
}

/// A delivery's status as a pill.
pub fn status_pill(l: Language, status: Status) -> Markup {
    let (tone, word) = status_words(status);
    pill(tone, l.say(word))
}

/// A table of deliveries.
pub fn table(l: Language, deliveries: &[Delivery]) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(texts::TITLE)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::TIME)) }
                    th scope="col" { (l.say(texts::STATUS)) }
                    th scope="col" { (l.say(texts::PHONE)) }
                    th scope="col" { (l.say(texts::CARRIER)) }
                    th scope="col" { (l.say(texts::WHY)) }
                    th.right scope="col" { (l.say(texts::COST)) }
                } }
                tbody {
                    @for delivery in deliveries {
                        tr {
                            td { a href={ (HOME) "/" (delivery.id) } { (time(delivery.created_at_ms)) } }
                            td { (status_pill(l, delivery.status)) }
                            td.nowrap.number {
                                (delivery.phone)
                                @if delivery.test { " " (pill(Tone::Plain, l.say(texts::TEST))) }
                            }
                            td { (delivery.carrier) }
                            td { (delivery.error_code.as_deref().unwrap_or("–")) }
                            td.right { (usd(delivery.cost)) }
                        }
                    }
                }
            }
        }
    }
}

async fn csv(
    request: HttpRequest,
    member: Member,
    site: web::Data<Site>,
    edge: web::Data<api::Edge>,
) -> Result<HttpResponse, Refused> {
    let wanted = Wanted::of(&request);
    let Ok(filter) = wanted.filter(&site) else {
        return Err(Refused::because(Why::NotFound).to(&member));
    };
    let answer = api::resources::deliveries::whole_csv(edge, member.id(), filter).await;
    answer.map_err(|_| Refused::because(Why::Overloaded).to(&member))
}

async fn show_one(
    member: Member,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let not_found = || Refused::not_found(&member);
    let id: DeliveryId = id.parse().map_err(|_| not_found())?;
    let delivery = site.store.delivery(member.id(), id).await?;
    let delivery = delivery.ok_or_else(not_found)?;
    let is_live = delivery.status == Status::Sent;
    let source = is_live.then(|| format!("{HOME}/{id}"));
    let calls = site.store.call_attempts(id).await?;
    let entries = site.store.delivery_entries(member.id(), id).await?;
    let webhooks = site.store.webhook_attempts(id).await?;
    let body = html! {
        div #delivery data-live=[source] {
            (head(l.say(texts::ONE_TITLE), Some(&delivery.phone.to_string()), html! {
                @if delivery.test { (pill(Tone::Plain, l.say(texts::TEST))) }
                (status_pill(l, delivery.status))
            }))
            div.grid {
                (facts(l, &delivery))
                (money(l, &entries))
            }
            section.card {
                h2 { (l.say(texts::CALL)) }
                (call(l, &site, &delivery, &calls))
            }
            h2 { (l.say(texts::WEBHOOKS)) }
            @if webhooks.is_empty() { (nothing(l.say(texts::NO_WEBHOOKS))) }
            @else { (attempt_rows(&member, &webhooks)) }
        }
    };
    Ok(Page::at(Place::Deliveries, l.say(texts::ONE_TITLE), body).answer(&member))
}

fn facts(l: Language, delivery: &Delivery) -> Markup {
    html! {
        section.card {
            dl.facts {
                dt { (l.say(texts::ID)) }
                dd { code { (delivery.id) } }
                dt { (l.say(texts::CARRIER)) }
                dd { (delivery.carrier) }
                dt { (l.say(texts::ACCEPTED)) }
                dd { (time(delivery.created_at_ms)) }
                @if let Some(at_ms) = delivery.completed_at_ms {
                    dt { (l.say(texts::ENDED)) }
                    dd { (time(at_ms)) }
                }
                @if let Some(status) = &delivery.carrier_status {
                    dt { (l.say(texts::CARRIER_STATUS)) }
                    dd { code { (status) } }
                }
                @if let Some(code) = &delivery.error_code {
                    dt { (l.say(texts::ERROR_CODE)) }
                    dd { code { (code) } }
                }
                dt { (l.say(texts::COST)) }
                dd { (usd(delivery.cost)) }
            }
        }
    }
}

fn money(l: Language, entries: &[nexo_entities::store::ledger::entries::DeliveryEntry]) -> Markup {
    html! {
        section.card {
            h2 { (l.say(texts::ENTRIES)) }
            @if entries.is_empty() { p.faint { (l.say(texts::NO_ENTRIES)) } }
            @else {
                table {
                    thead { tr {
                        th scope="col" { (l.say(texts::KIND)) }
                        th scope="col" { (l.say(texts::BUCKET)) }
                        th.right scope="col" { (l.say(texts::AMOUNT)) }
                    } }
                    tbody { @for entry in entries {
                        tr {
                            td { (kind_name(l, entry.kind)) }
                            td.nowrap { (l.say(bucket_name(entry.bucket))) }
                            td.right { (usd(entry.amount)) }
                        }
                    } }
                }
            }
        }
    }
}

/// What an entry of a delivery is called.
fn kind_name(l: Language, kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Debit => l.say(texts::DEBIT),
        EntryKind::Refund => l.say(texts::REFUND),
        other => other.as_str(),
    }
}

fn call(l: Language, site: &Site, delivery: &Delivery, calls: &[CallAttempt]) -> Markup {
    let far_end = delivery.phone.to_string();
    let progress = match delivery.status {
        Status::Sent => site.live.progress(delivery.id),
        Status::Delivered | Status::Failed => None,
    };
    html! {
        @if delivery.status == Status::Sent {
            p.live role="status" {
                span {
                    (l.say(texts::LIVE))
                }
            }
        } @else if calls.is_empty() {
            p.faint { (l.say(texts::NO_CALL)) }
        }
        @for attempt in calls {
            h3 { (l.tell(texts::GATEWAY, &[("name", &attempt.gateway)])) }
            (ladder::draw(l, &ladder::of_attempt(l, attempt), &far_end))
            @if let Some(quality) = attempt.quality {
                p.faint.small {
                    (l.say(texts::QUALITY)) ": "
                    (l.tell(texts::QUALITY_TELL, &[
                        ("mos", &format!("{:.2}", f64::from(quality.mos_hundredths) / 100.0)),
                        ("loss", &format!("{:.2}", f64::from(quality.loss_ppm) / 1e4)),
                        ("jitter", &format!("{:.1}", f64::from(quality.jitter_us) / 1e3)),
                    ]))
                }
            }
        }
        @if let Some(progress) = progress {
            h3 { (l.tell(texts::GATEWAY, &[("name", &progress.gateway)])) }
            (ladder::draw(l, &ladder::of_progress(l, &progress), &far_end))
        }
    }
}
