//! The pages of verifications: the list with its search, and one verification with its calls. A code is never shown.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use maud::{Markup, html};
use nexo_domain::ids::VerificationId;
use nexo_domain::verification::Status;
use nexo_entities::store::deliveries::Delivery;
use nexo_entities::store::verifications::Verification;
use nexo_entities::store::verifications::pages::{VerificationFilter, VerificationPage};

use super::date_range::{end_ms, preset_links, start_ms};
use super::deliveries::call;
use super::search::Searched;
use crate::api::verifications::read::{read_cursor, write_cursor};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, deliveries, verifications as texts};
use crate::dashboard::web::*;

const PAGE_SIZE: u32 = 30;
const PATH: &str = "/dashboard/verifications";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/verifications").get(show))
        .service(web::resource("/verifications/{id}").get(show_one));
}

/// The fields of the search form, as typed.
#[derive(Debug, Default, Clone)]
struct SearchForm {
    search: String,
    status: String,
    from: String,
    to: String,
}

impl SearchForm {
    fn of(request: &HttpRequest) -> SearchForm {
        let get = |name| query(request, name).unwrap_or_default().trim().to_owned();
        SearchForm { search: get("q"), status: get("status"), from: get("from"), to: get("to") }
    }

    fn pairs(&self) -> [(&'static str, &str); 4] {
        [("q", &self.search), ("status", &self.status), ("from", &self.from), ("to", &self.to)]
    }

    /// A link to this search, at the page after `after`.
    fn link(&self, after: &str) -> String {
        cursor_link(PATH, self.pairs().into_iter().chain([("after", after)]))
    }

    /// The same search with other dates.
    fn with_dates(&self, from: &str, to: &str) -> SearchForm {
        SearchForm { from: from.to_owned(), to: to.to_owned(), ..self.clone() }
    }

    fn is_empty(&self) -> bool {
        self.pairs().iter().all(|(_, value)| value.is_empty())
    }

    /// The filter; `None` if the search text is neither a phone number nor a reference. Ids are handled before.
    fn filter(&self, l: Locale, site: &SiteState) -> Option<VerificationFilter> {
        let Searched { phone, reference } = Searched::parse(&self.search, site)?;
        Some(VerificationFilter {
            status: Status::named(&self.status),
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
    if let Ok(id) = form.search.parse::<VerificationId>()
        && site.store.verifications().get(member.id(), id).await?.is_some()
    {
        return Ok(redirect(&member, &verification_path(id)));
    }
    let after = query(&request, "after").and_then(|text| read_cursor(&text));
    let filter = form.filter(l, &site);
    let page = match &filter {
        Some(filter) => {
            let verifications = site.store.verifications();
            verifications.page(member.id(), filter, after, PAGE_SIZE, l.now_ms).await?
        }
        None => VerificationPage { verifications: Vec::new(), next: None },
    };
    let newest = after.map(|_| form.link(""));
    let next = page.next.map(|next| form.link(&write_cursor(next)));
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), html! {}))
        (search_form(l, &form))
        (preset_links(l, (&form.from, &form.to), |from, to| form.with_dates(from, to).link("")))
        @if filter.is_none() {
            (error_notice(&l.t_with(texts::SEARCH_WRONG, &[("text", &form.search)])))
        }
        @if page.verifications.is_empty() {
            (empty_state(l.t(if form.is_empty() { texts::NONE } else { texts::NONE_FOUND })))
        } @else {
            (verification_table(l, &page.verifications))
        }
        (pager(l, newest.as_deref(), next.as_deref()))
        p.faint.small { (l.zone_note()) }
    };
    let status = match filter {
        Some(_) => StatusCode::OK,
        None => StatusCode::BAD_REQUEST,
    };
    let page = Page::new(NavItem::Verifications, l.t(texts::TITLE), body).with_status(status);
    Ok(page.respond(&member))
}

fn search_form(l: Locale, form: &SearchForm) -> Markup {
    let input = |name: &'static str, label: Text, kind: &'static str, value: &str| {
        let field = Field::new(name, l.t(label)).kind(kind).value(value);
        html! { (field.optional()) }
    };
    let name = |status: Status| l.t(verification_status_name(status));
    let statuses = Status::ALL.map(|status| (status.as_str(), name(status)));
    let statuses = [("", l.t(deliveries::ANY))].into_iter().chain(statuses);
    html! {
        form.row.tight.filters method="get" action=(PATH) role="search" {
            (input("q", deliveries::SEARCH, "search", &form.search))
            (select("status", l.t(texts::STATUS), &form.status, statuses))
            (input("from", deliveries::FROM, "date", &form.from))
            (input("to", deliveries::TO, "date", &form.to))
            div.actions {
                button type="submit" { (l.t(deliveries::FILTER)) }
                @if !form.is_empty() { a href=(PATH) { (l.t(deliveries::CLEAR)) } }
            }
        }
    }
}

async fn show_one(member: Member, id: Id, site: Site) -> PageResult {
    let l = member.locale();
    let not_found = || PageError::not_found(l);
    let id: VerificationId = id.parse().map_err(|_| not_found())?;
    let verification = site.store.verifications().get(member.id(), id).await?;
    let verification = verification.ok_or_else(not_found)?;
    let mut calls = Vec::new();
    let sends = site.store.verifications().sends([id]).await?.remove(&id).unwrap_or_default();
    for send in sends {
        let Some(delivery) = site.store.deliveries().get(member.id(), send.delivery_id).await?
        else {
            continue;
        };
        let attempts = site.store.deliveries().call_attempts(delivery.id).await?;
        calls.push((delivery, attempts));
    }
    let webhooks = site.store.webhooks().verification_attempts(id).await?;
    let is_pending = verification.state.status_at(l.now_ms) == Status::Pending;
    let source = is_pending.then(|| verification_path(id));
    let deliveries: Vec<Delivery> = calls.iter().map(|(delivery, _)| delivery.clone()).collect();
    let body = html! {
        div #verification data-live=[source] {
            (page_head(l.t(texts::ONE_TITLE), Some(&verification.phone.to_string()), html! {
                (verification_pills(l, &verification))
            }))
            (facts(l, &verification))
            h2 { (l.t(texts::CALLS_TITLE)) }
            @if calls.is_empty() { (empty_state(l.t(texts::NO_CALLS))) }
            @else { (delivery_table(l, &deliveries)) }
            @for (n, (delivery, attempts)) in calls.iter().enumerate() {
                section.card {
                    h2 { (l.t_with(texts::CALL_NUMBER, &[("number", &(n + 1))])) }
                    (call(l, &site, delivery, attempts))
                }
            }
            h2 { (l.t(deliveries::WEBHOOKS)) }
            @if webhooks.is_empty() {
                (empty_state(l.t(if is_pending { texts::WEBHOOKS_LATER } else { texts::NO_WEBHOOKS })))
            }
            @else { (attempt_table(&member, &webhooks)) }
        }
    };
    Ok(Page::new(NavItem::Verifications, l.t(texts::ONE_TITLE), body).respond(&member))
}

fn facts(l: Locale, verification: &Verification) -> Markup {
    let digits = u32::from(verification.code_length.get());
    html! {
        section.card {
            dl.facts {
                dt { (l.t(texts::ID)) } dd { code { (verification.id) } }
                dt { (l.t(texts::STARTED)) } dd { (exact_time(l, verification.created_at_ms)) }
                dt { (l.t(texts::EXPIRES)) } dd { (exact_time(l, verification.state.expires_at_ms)) }
                @if let Some(at_ms) = verification.closed_at_ms {
                    dt { (l.t(texts::ENDED)) } dd { (exact_time(l, at_ms)) }
                }
                dt { (l.t(texts::ATTEMPTS_LEFT)) } dd { (attempts_left(l, verification)) }
                dt { (l.t(texts::CALLS)) } dd { (calls_made(l, verification)) }
                dt { (l.t(texts::CODE_LENGTH)) }
                dd { (l.t_with(texts::DIGITS, &[("count", &digits)])) }
                @if let Some(replaced_by) = verification.replaced_by {
                    dt { (l.t(texts::REPLACED_BY)) }
                    dd { a href=(verification_path(replaced_by)) { (replaced_by) } }
                }
                @if let Some(reference) = &verification.fields.reference {
                    dt { (l.t(texts::REFERENCE)) } dd { (reference) }
                }
                @if let Some(metadata) = &verification.fields.metadata {
                    @for (name, value) in metadata.members() { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}
