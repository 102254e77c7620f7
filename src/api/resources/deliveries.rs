//! `GET /deliveries`: the account's OTPs, newest first, as JSON a page at a time or as CSV in one stream.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use nexo_domain::call::outcome::Status;
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::deliveries::deliveries::Delivery;
use nexo_entities::store::deliveries::pages::{DeliveryFilter, DeliveryPage, DeliveryPlace};
use uuid::Uuid;

use super::delivery_and_balance;
use crate::api::Edge;
use crate::api::auth::caller::authorize;
use crate::api::error::ApiError;
use crate::api::list::accept::{Form, form};
use crate::api::list::cursor;
use crate::api::list::export;
use crate::api::list::export::{Chunk, Csv, harmless};
use crate::api::list::parameters::{DEFAULT_LIMIT, Parameters};

const PARAMETERS: [&str; 7] = [
    "limit", "cursor", "status", "carrier", "phone", "from", "to",
];
/// Marks this list's cursors.
const LIST: u8 = 1;

const COLUMNS: [&str; 9] = [
    "id",
    "phone",
    "carrier",
    "status",
    "cost",
    "error_code",
    "carrier_status",
    "created_at",
    "completed_at",
];

/// What one request asks for.
#[derive(Clone, Copy)]
struct Wanted {
    account: AccountId,
    filter: DeliveryFilter,
    after: Option<DeliveryPlace>,
    limit: Option<u32>,
}

/// Handles the request; every refusal is an [`ApiError`].
pub async fn list(request: HttpRequest, edge: web::Data<Edge>) -> HttpResponse {
    match answer(&request, edge).await {
        Ok(answer) => answer,
        Err(refused) => refused.response(),
    }
}

async fn answer(request: &HttpRequest, edge: web::Data<Edge>) -> Result<HttpResponse, ApiError> {
    let key = authorize(request, &edge).await?;
    let form = form(request.headers())?;
    let parameters = Parameters::read(request.query_string(), &PARAMETERS)?;
    let wanted = Wanted {
        account: key.account_id,
        filter: filter(&parameters, &edge)?,
        after: parameters.get("cursor", place, || "a next_cursor of this list".to_owned())?,
        limit: parameters.limit()?,
    };
    let rows = match form {
        Form::Json => wanted.limit.unwrap_or(DEFAULT_LIMIT),
        Form::Csv => wanted.limit.unwrap_or(export::ROWS_AT_ONCE),
    };
    let page = page(&edge, &wanted, rows).await?;
    let next = page.next.map(text);
    let link = parameters.next_page(request.path(), next.as_deref());
    let mut answer = match form {
        Form::Json => json(&page, next.as_deref()),
        Form::Csv => csv(edge, wanted, &page),
    };
    // A stream without a limit has no next page: it goes on to the end.
    if let Some(link) = link.filter(|_| form == Form::Json || wanted.limit.is_some())
        && let Ok(link) = link.parse()
    {
        answer.headers_mut().insert(header::LINK, link);
    }
    Ok(answer)
}

fn filter(parameters: &Parameters, edge: &Edge) -> Result<DeliveryFilter, ApiError> {
    let phone = |text: &str| Phone::parse(text, &edge.routing.plan).ok();
    Ok(DeliveryFilter {
        status: parameters.word("status", &Status::ALL.map(|s| (s.as_str(), s)))?,
        carrier: parameters.word("carrier", &carriers())?,
        phone: parameters.get("phone", phone, || {
            "a Vietnamese mobile in E.164, such as +84981234567".to_owned()
        })?,
        from_ms: parameters.time("from")?,
        to_ms: parameters.time("to")?,
    })
}

fn carriers() -> Vec<(&'static str, Carrier)> {
    Carrier::all()
        .map(|carrier| (carrier.name(), carrier))
        .collect()
}

async fn page(edge: &Edge, wanted: &Wanted, rows: u32) -> Result<DeliveryPage, ApiError> {
    let page = edge
        .store
        .delivery_page(wanted.account, &wanted.filter, wanted.after, rows);
    edge.read("a page of deliveries", page).await
}

fn json(page: &DeliveryPage, next: Option<&str>) -> HttpResponse {
    let items: Vec<String> = page
        .deliveries
        .iter()
        .map(|delivery| format!("{{{}}}", delivery_and_balance::fields(delivery)))
        .collect();
    // A cursor is of characters that JSON takes as they are.
    let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::VARY, "Accept"))
        .body(format!(
            r#"{{"ok":true,"deliveries":[{}],"next_cursor":{next}}}"#,
            items.join(",")
        ))
}

/// All that pass `filter`, as one stream of CSV: for the account's owner, who needs no key.
///
/// # Errors
/// What the first page's reading fails with.
pub async fn whole_csv(
    edge: web::Data<Edge>,
    account: AccountId,
    filter: DeliveryFilter,
) -> Result<HttpResponse, ApiError> {
    let wanted = Wanted {
        account,
        filter,
        after: None,
        limit: None,
    };
    let page = page(&edge, &wanted, export::ROWS_AT_ONCE).await?;
    Ok(csv(edge, wanted, &page))
}

fn csv(edge: web::Data<Edge>, wanted: Wanted, first: &DeliveryPage) -> HttpResponse {
    let mut text = Csv::default();
    text.row(COLUMNS);
    let first = chunk(text, first, wanted.limit.is_some());
    export::answer("deliveries.csv", first, move |after| {
        let edge = edge.clone();
        let wanted = Wanted {
            after: Some(after),
            ..wanted
        };
        async move {
            let page = page(&edge, &wanted, export::ROWS_AT_ONCE).await?;
            Ok(chunk(Csv::default(), &page, false))
        }
    })
}

fn chunk(mut text: Csv, page: &DeliveryPage, is_all: bool) -> Chunk<DeliveryPlace> {
    for delivery in &page.deliveries {
        write_row(&mut text, delivery);
    }
    Chunk {
        text: text.into_text(),
        next: page.next.filter(|_| !is_all),
    }
}

fn write_row(csv: &mut Csv, delivery: &Delivery) {
    let told = |text: &Option<String>| text.as_deref().map(harmless).unwrap_or_default();
    csv.row([
        &delivery.id.to_string(),
        &delivery.phone.to_string(),
        delivery.carrier.name(),
        delivery.status.as_str(),
        &delivery.cost.to_string(),
        &told(&delivery.error_code),
        &told(&delivery.carrier_status),
        &rfc3339(delivery.created_at_ms),
        &delivery.completed_at_ms.map(rfc3339).unwrap_or_default(),
    ]);
}

pub fn text(place: DeliveryPlace) -> String {
    let (high, low) = place.id.0.as_u64_pair();
    cursor::write(LIST, [place.created_at_ms as u64, high, low])
}

pub fn place(text: &str) -> Option<DeliveryPlace> {
    let [created_at_ms, high, low] = cursor::read(LIST, text)?;
    Some(DeliveryPlace {
        created_at_ms: created_at_ms as i64,
        id: DeliveryId(Uuid::from_u64_pair(high, low)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_a_cursor() {
        let there = DeliveryPlace {
            created_at_ms: 1_780_000_000_123,
            id: DeliveryId(Uuid::now_v7()),
        };
        assert_eq!(place(&text(there)), Some(there));
    }
}
