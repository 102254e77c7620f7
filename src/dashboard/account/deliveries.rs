//! The pages of deliveries: the list with its search, and one delivery with its call.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use maud::{Markup, html};
use nexo_domain::billing::ledger::EntryKind;
use nexo_domain::call::outcome::Status;
use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_entities::store::deliveries::Delivery;
use nexo_entities::store::deliveries::pages::{DeliveryFilter, DeliveryPage};
use nexo_entities::store::ledger::entries::DeliveryEntry;
use nexo_entities::store::ledger::posting::CallAttempt;

use super::date_range::{end_ms, preset_links, start_ms};
use super::search::Searched;
use crate::api;
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::developer::test_otp;
use crate::dashboard::texts::figures::{Decimal, Percent};
use crate::dashboard::texts::{Text, Translate, deliveries as texts, verifications};
use crate::dashboard::web::*;

const PAGE_SIZE: u32 = 30;
const PATH: &str = "/dashboard/deliveries";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/deliveries").get(show))
        .service(web::resource("/deliveries.csv").get(csv))
        .service(web::resource("/deliveries/{id}").get(show_one));
}

/// The fields of the search form, as typed.
#[derive(Debug, Default, Clone)]
struct SearchForm {
    search: String,
    status: String,
    carrier: String,
    from: String,
    to: String,
}

impl SearchForm {
    fn of(request: &HttpRequest) -> SearchForm {
        let get = |name| query(request, name).unwrap_or_default().trim().to_owned();
        SearchForm {
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

    /// A link to `path` with this search, at the page after `after`.
    fn link(&self, path: &str, after: &str) -> String {
        cursor_link(path, self.pairs().into_iter().chain([("after", after)]))
    }

    /// The same search with other dates.
    fn with_dates(&self, from: &str, to: &str) -> SearchForm {
        SearchForm { from: from.to_owned(), to: to.to_owned(), ..self.clone() }
    }

    fn is_empty(&self) -> bool {
        self.pairs().iter().all(|(_, value)| value.is_empty())
    }

    /// The filter; `None` if the search text is neither a phone number nor a reference. Ids are handled before.
    fn filter(&self, l: Locale, site: &SiteState) -> Option<DeliveryFilter> {
        let Searched { phone, reference } = Searched::parse(&self.search, site)?;
        Some(DeliveryFilter {
            status: Status::named(&self.status),
            carrier: Carrier::named(&self.carrier),
            phone,
            reference,
            from_ms: start_ms(l, &self.from),
            to_ms: end_ms(l, &self.to),
        })
    }
}

async fn show(request: HttpRequest, member: Member, site: Site) -> PageResult {
    let l = member.locale();
    let form = SearchForm::of(&request);
    if let Ok(id) = form.search.parse::<DeliveryId>()
        && site.store.deliveries().get(member.id(), id).await?.is_some()
    {
        return Ok(redirect(&member, &format!("{PATH}/{id}")));
    }
    let after =
        query(&request, "after").and_then(|text| api::resources::deliveries::read_cursor(&text));
    let filter = form.filter(l, &site);
    let page = match &filter {
        Some(filter) => site.store.deliveries().page(member.id(), filter, after, PAGE_SIZE).await?,
        None => DeliveryPage { deliveries: Vec::new(), next: None },
    };
    let newest = after.map(|_| form.link(PATH, ""));
    let next =
        page.next.map(|next| form.link(PATH, &api::resources::deliveries::write_cursor(next)));
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), html! {
            a.button.second href=(form.link("/dashboard/deliveries.csv", "")) { (l.t(texts::CSV)) }
            a.button.second href="/dashboard/test-otp" { (l.t(test_otp::TITLE)) }
        }))
        (search_form(l, &form))
        (preset_links(l, (&form.from, &form.to), |from, to| form.with_dates(from, to).link(PATH, "")))
        @if filter.is_none() {
            (error_notice(&l.t_with(texts::SEARCH_WRONG, &[("text", &form.search)])))
        }
        @if page.deliveries.is_empty() {
            (empty_state(l.t(if form.is_empty() { texts::NONE } else { texts::NONE_FOUND })))
        } @else {
            (delivery_table(l, &page.deliveries))
        }
        (pager(l, newest.as_deref(), next.as_deref()))
        p.faint.small { (l.zone_note()) }
    };
    let status = match filter {
        Some(_) => StatusCode::OK,
        None => StatusCode::BAD_REQUEST,
    };
    let page = Page::new(NavItem::Deliveries, l.t(texts::TITLE), body).with_status(status);
    Ok(page.respond(&member))
}

fn search_form(l: Locale, form: &SearchForm) -> Markup {
    let input = |name: &'static str, label: Text, kind: &'static str, value: &str| {
        let field = Field::new(name, l.t(label)).kind(kind).value(value);
        html! { (field.optional()) }
    };
    let any = ("", l.t(texts::ANY));
    let statuses = Status::ALL.map(|status| (status.as_str(), l.t(status_name(status))));
    let statuses = [any].into_iter().chain(statuses);
    let carriers = Carrier::all().map(|carrier| (carrier.name(), carrier.brand()));
    let carriers = [any].into_iter().chain(carriers);
    html! {
        form.row.tight.filters method="get" action=(PATH) role="search" {
            (input("q", texts::SEARCH, "search", &form.search))
            (select("status", l.t(texts::STATUS), &form.status, statuses))
            (select("carrier", l.t(texts::CARRIER), &form.carrier, carriers))
            (input("from", texts::FROM, "date", &form.from))
            (input("to", texts::TO, "date", &form.to))
            div.actions {
                button type="submit" { (l.t(texts::FILTER)) }
                @if !form.is_empty() { a href=(PATH) { (l.t(texts::CLEAR)) } }
            }
        }
    }
}

async fn csv(
    request: HttpRequest,
    member: Member,
    site: Site,
    edge: web::Data<api::ApiState>,
) -> PageResult {
    let Some(filter) = SearchForm::of(&request).filter(member.locale(), &site) else {
        return Err(PageError::not_found(member.locale()));
    };
    let response = api::resources::deliveries::whole_csv(&request, edge, member.id(), filter).await;
    response.map_err(|error| PageError::of_list(error, member.locale()))
}

async fn show_one(member: Member, id: Id, site: Site) -> PageResult {
    let l = member.locale();
    let not_found = || PageError::not_found(l);
    let id: DeliveryId = id.parse().map_err(|_| not_found())?;
    let delivery = site.store.deliveries().get(member.id(), id).await?;
    let delivery = delivery.ok_or_else(not_found)?;
    let is_live = delivery.status == Status::Sent;
    let source = is_live.then(|| format!("{PATH}/{id}"));
    let calls = site.store.deliveries().call_attempts(id).await?;
    let entries = site.store.ledger().delivery_entries(member.id(), id).await?;
    let webhooks = site.store.webhooks().delivery_attempts(id).await?;
    let body = html! {
        div #delivery data-live=[source] {
            (page_head(l.t(texts::ONE_TITLE), Some(&delivery.phone.to_string()), html! {
                (status_pill(l, delivery.status))
                (refund_pill(l, &delivery))
                (sandbox_pill(l, &delivery))
            }))
            div.grid.two-to-one {
                (facts(l, &delivery))
                (ledger_entries(l, &entries))
            }
            section.card {
                h2 { (l.t(texts::CALL)) }
                (call(l, &site, &delivery, &calls))
            }
            h2 { (l.t(texts::WEBHOOKS)) }
            @if webhooks.is_empty() {
                (empty_state(l.t(if is_live { texts::WEBHOOKS_LATER } else { texts::NO_WEBHOOKS })))
            }
            @else { (attempt_table(&member, &webhooks)) }
        }
    };
    Ok(Page::new(NavItem::Deliveries, l.t(texts::ONE_TITLE), body).respond(&member))
}

fn facts(l: Locale, delivery: &Delivery) -> Markup {
    html! {
        section.card {
            dl.facts {
                dt { (l.t(texts::ID)) } dd { code { (delivery.id) } }
                dt { (l.t(texts::CARRIER)) }
                dd { (delivery.carrier.brand()) }
                dt { (l.t(texts::ACCEPTED)) } dd { (exact_time(l, delivery.created_at_ms)) }
                @if let Some(at_ms) = delivery.completed_at_ms {
                    dt { (l.t(texts::ENDED)) } dd { (exact_time(l, at_ms)) }
                }
                @if let Some(status) = &delivery.carrier_status {
                    dt { (l.t(texts::CARRIER_STATUS)) } dd { code { (status) } }
                }
                @if let Some(code) = &delivery.error_code {
                    dt { (l.t(texts::ERROR_CODE)) } dd { code { (code) } }
                }
                @if let Some(verification) = delivery.verification_id {
                    dt { (l.t(verifications::ONE_TITLE)) }
                    dd { a href=(verification_path(verification)) { (verification) } }
                }
                @if let Some(reference) = &delivery.fields.reference {
                    dt { (l.t(texts::REFERENCE)) } dd { (reference) }
                }
                @if let Some(metadata) = &delivery.fields.metadata {
                    @for (name, value) in metadata.members() { dt { (name) } dd { (value) } }
                }
                dt { (l.t(texts::COST)) }
                dd {
                    (usd(l, net_cost(delivery)))
                    @if is_paid_back(delivery) {
                        " " span.faint { (l.t_with(texts::COST_REFUNDED, &[("cost", &delivery.cost)])) }
                    }
                }
            }
        }
    }
}

fn ledger_entries(l: Locale, entries: &[DeliveryEntry]) -> Markup {
    html! {
        section.card {
            h2 { (l.t(texts::ENTRIES)) }
            @if entries.is_empty() { p.faint { (l.t(texts::NO_ENTRIES)) } }
            @else {
                (table(l, texts::ENTRIES, [
                    Head(texts::KIND), Left(texts::BUCKET), Right(texts::AMOUNT),
                ], entries.iter().map(|entry| [
                    html! { (entry_name(l, entry.kind)) },
                    html! { (l.t(bucket_name(entry.bucket))) },
                    usd(l, entry.amount),
                ])))
            }
        }
    }
}

/// The name of a delivery's ledger entry.
fn entry_name(l: Locale, kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Debit => l.t(texts::DEBIT),
        EntryKind::Refund => l.t(texts::REFUND),
        other => other.as_str(),
    }
}

/// The ladder of each gateway that was tried, live while the call is in progress.
pub(super) fn call(
    l: Locale,
    site: &SiteState,
    delivery: &Delivery,
    calls: &[CallAttempt],
) -> Markup {
    let far_end = delivery.phone.to_string();
    let progress = match delivery.status {
        Status::Sent => site.live_deliveries.progress(delivery.id),
        Status::Delivered | Status::Failed => None,
    };
    html! {
        @if delivery.status == Status::Sent {
            p.live role="status" { span { (l.t(texts::LIVE)) } }
        } @else if calls.is_empty() {
            p.faint { (l.t(texts::NO_CALL)) }
        }
        @for attempt in calls {
            h3 { (l.t_with(texts::GATEWAY, &[("name", &attempt.gateway)])) }
            (ladder::draw(l, &ladder::of_attempt(l, attempt), &far_end))
            @if let Some(quality) = attempt.quality {
                p.faint.small {
                    (l.t(texts::QUALITY)) ": "
                    (l.t_with(texts::QUALITY_VALUES, &[
                        ("mos", &Decimal(f64::from(quality.mos_hundredths) / 100.0, 2)),
                        ("loss", &Percent(f64::from(quality.loss_ppm) / 1e4, 2)),
                        ("jitter", &l.milliseconds(f64::from(quality.jitter_us) / 1e3)),
                    ]))
                }
            }
        }
        @if let Some(progress) = progress {
            h3 { (l.t_with(texts::GATEWAY, &[("name", &progress.gateway)])) }
            (ladder::draw(l, &ladder::of_progress(l, &progress), &far_end))
        }
    }
}
