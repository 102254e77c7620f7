//! `GET /deliveries`: the account's OTPs, newest first.

use actix_web::{HttpRequest, HttpResponse, web};
use nexo_domain::call::outcome::Status;
use nexo_domain::customer_fields::{MAX_REFERENCE_CHARS, Reference};
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::timestamp::{TimeOrDate, rfc3339};
use nexo_entities::store::deliveries::Delivery;
use nexo_entities::store::deliveries::pages::{DeliveryCursor, DeliveryFilter};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::delivery_and_balance::ListedDelivery;
use crate::api::error::{ApiError, Error};
use crate::api::list::export::without_formula;
use crate::api::list::parameters::Parameters;
use crate::api::list::{self, List, Page, Query, cursor};
use crate::api::state::ApiState;

/// Distinguishes this list's cursors.
const CURSOR_TAG: u8 = 1;

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct DeliveryList {
    ok: bool,
    deliveries: Vec<ListedDelivery>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Handles the request.
///
/// # Errors
/// Every refusal.
#[utoipa::path(
    get,
    path = "/api/v1/deliveries",
    operation_id = "listDeliveries",
    summary = "The account's OTPs, newest first",
    description = "As JSON, or as CSV with `Accept: text/csv` (RFC 9110).",
    params(
        ("limit" = Option<u32>, Query, description = "Number of rows, 1 to 200. Default: 50 as JSON, all as CSV.", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the previous page; keep the other parameters."),
        ("status" = Option<Status>, Query, description = "Only OTPs with this status."),
        ("carrier" = Option<Carrier>, Query, description = "Only OTPs of this carrier."),
        ("phone" = Option<Phone>, Query, description = "The whole number in E.164.", example = "+84981234567"),
        ("reference" = Option<Reference>, Query, description = "Only OTPs with this reference."),
        ("from" = Option<TimeOrDate>, Query, description = "RFC 3339 time or date (midnight UTC), inclusive.", example = "2026-05-25T00:00:00+07:00"),
        ("to" = Option<TimeOrDate>, Query, description = "RFC 3339 time or date, exclusive.", example = "2026-05-26"),
    ),
    responses(
        (
            status = 200,
            description = "A page; as CSV the same rows after a header, in one stream unless `limit` is given.",
            content((DeliveryList = "application/json"), (String = "text/csv")),
            headers(
                ("Vary" = String, description = "`Accept`"),
                ("Link" = Option<String>, description = "The next page, `rel=\"next\"`, if there is one."),
                ("Content-Disposition" = Option<String>, description = "With CSV: the file name.")
            )
        ),
        (status = 400, description = "`invalid_request`: `parameter` is unknown, repeated or invalid; the message lists the allowed values.", body = Error),
        (status = 406, description = "`not_acceptable`: `Accept` allows neither JSON nor CSV.", body = Error),
        (status = 429, description = "`too_many_requests`: too many CSV exports, or too many requests of the account at the same time. `quota_exceeded`: the account's CSV exports of this day are used up.", body = Error),
    ),
    security(("api_key" = []))
)]
pub async fn list(
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    list::answer::<Deliveries>(request, state).await
}

/// All deliveries that match `filter` as one CSV stream, for the account's own pages. The caller has the account's turn
/// to read.
///
/// # Errors
/// Those of reading the first rows.
pub async fn whole_csv(
    request: &HttpRequest,
    state: web::Data<ApiState>,
    account: AccountId,
    filter: DeliveryFilter,
) -> Result<HttpResponse, ApiError> {
    list::whole_csv::<Deliveries>(request, state, account, filter).await
}

struct Deliveries;

impl List for Deliveries {
    const PARAMETERS: &'static [&'static str] =
        &["limit", "cursor", "status", "carrier", "phone", "reference", "from", "to"];
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "phone",
        "carrier",
        "status",
        "cost",
        "error_code",
        "carrier_status",
        "created_at",
        "completed_at",
        "refunded",
        "reference",
    ];
    const FILE_NAME: &'static str = "deliveries.csv";
    type Filter = DeliveryFilter;
    type Row = Delivery;
    type Place = DeliveryCursor;

    fn filter(parameters: &Parameters, state: &ApiState) -> Result<DeliveryFilter, ApiError> {
        let phone = |text: &str| Phone::parse(text, &state.routing.plan).ok();
        let carriers: Vec<_> = Carrier::all().map(|carrier| (carrier.name(), carrier)).collect();
        Ok(DeliveryFilter {
            status: parameters.word("status", &Status::ALL.map(|s| (s.as_str(), s)))?,
            carrier: parameters.word("carrier", &carriers)?,
            phone: parameters.get("phone", phone, || {
                "a Vietnamese mobile in E.164, such as +84981234567".to_owned()
            })?,
            reference: parameters.get("reference", Reference::parse, || {
                format!("1 to {MAX_REFERENCE_CHARS} printable characters")
            })?,
            from_ms: parameters.time("from")?,
            to_ms: parameters.time("to")?,
        })
    }

    async fn page(
        state: &ApiState,
        query: &Query<Self>,
        rows: u32,
    ) -> Result<Page<Self>, ApiError> {
        let page = state.store.deliveries().page(query.account, &query.filter, query.after, rows);
        let page = state.read("a page of deliveries", page).await?;
        Ok(Page { rows: page.deliveries, next: page.next })
    }

    fn shape(rows: &[Delivery], next_cursor: Option<String>) -> impl Serialize {
        DeliveryList {
            ok: true,
            deliveries: rows.iter().map(ListedDelivery::of).collect(),
            next_cursor,
        }
    }

    fn cells(delivery: &Delivery) -> Vec<String> {
        let foreign = |text: &Option<String>| text.as_deref().map(without_formula);
        vec![
            delivery.id.to_string(),
            delivery.phone.to_string(),
            delivery.carrier.name().to_owned(),
            delivery.status.as_str().to_owned(),
            delivery.cost.to_string(),
            foreign(&delivery.error_code).unwrap_or_default(),
            foreign(&delivery.carrier_status).unwrap_or_default(),
            rfc3339(delivery.created_at_ms),
            delivery.completed_at_ms.map(rfc3339).unwrap_or_default(),
            delivery.refunded.to_string(),
            delivery
                .fields
                .reference
                .as_ref()
                .map(|r| without_formula(r.as_str()))
                .unwrap_or_default(),
        ]
    }

    fn cursor(place: DeliveryCursor) -> String {
        write_cursor(place)
    }

    fn place(cursor: &str) -> Option<DeliveryCursor> {
        read_cursor(cursor)
    }
}

/// A place in the list as a cursor.
pub fn write_cursor(place: DeliveryCursor) -> String {
    let (high, low) = place.id.0.as_u64_pair();
    cursor::write(CURSOR_TAG, [place.created_at_ms as u64, high, low])
}

/// The place of a cursor; `None` if it is not one of this list.
pub fn read_cursor(text: &str) -> Option<DeliveryCursor> {
    let [created_at_ms, high, low] = cursor::read(CURSOR_TAG, text)?;
    Some(DeliveryCursor {
        created_at_ms: created_at_ms as i64,
        id: DeliveryId(Uuid::from_u64_pair(high, low)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_a_cursor() {
        let place =
            DeliveryCursor { created_at_ms: 1_780_000_000_123, id: DeliveryId(Uuid::now_v7()) };
        assert_eq!(read_cursor(&write_cursor(place)), Some(place));
    }
}
