//! `GET /verifications/{id}` and `GET /verifications`.

use actix_web::{HttpRequest, HttpResponse, web};
use nexo_actors::clock;
use nexo_domain::call::outcome::Status as DeliveryStatus;
use nexo_domain::customer_fields::{MAX_REFERENCE_CHARS, Metadata, Reference};
use nexo_domain::ids::{DeliveryId, VerificationId};
use nexo_domain::phone::{Phone, RecordedPhone};
use nexo_domain::timestamp::{TimeOrDate, rfc3339};
use nexo_domain::verification::Status;
use nexo_entities::store::verifications::Verification as Record;
use nexo_entities::store::verifications::pages::{VerificationCursor, VerificationFilter};
use nexo_entities::store::verifications::sends::Send as SendRecord;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{caller, find};
use crate::api::body;
use crate::api::error::{ApiError, Error};
use crate::api::list::export::without_formula;
use crate::api::list::parameters::Parameters;
use crate::api::list::{self, List, Page, Query, cursor};
use crate::api::state::ApiState;

/// Distinguishes this list's cursors.
const CURSOR_TAG: u8 = 3;

/// One verification, without its code, which nothing stores.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Verification {
    ok: bool,
    #[serde(flatten)]
    verification: ListedVerification,
}

/// One verification of a list: the fields of `GET /verifications/{id}` without `ok`.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ListedVerification {
    #[schema(value_type = Uuid)]
    id: VerificationId,
    #[schema(example = "approved")]
    status: Status,
    #[schema(value_type = RecordedPhone, example = "+84981234567")]
    phone: String,
    /// How many wrong codes are left.
    #[schema(minimum = 0, maximum = 5, example = 5)]
    attempts_left: u8,
    #[schema(format = DateTime, example = "2026-05-25T10:00:00Z")]
    created_at: String,
    #[schema(format = DateTime, example = "2026-05-25T10:05:00Z")]
    expires_at: String,
    /// Null unless it is `approved`.
    #[schema(required = true, format = DateTime, example = "2026-05-25T10:00:42Z")]
    approved_at: Option<String>,
    /// The calls that read the code, oldest first.
    sends: Vec<CodeCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
}

/// One call that read the code.
#[derive(Serialize, ToSchema)]
#[schema(as = VerificationSend)]
pub(in crate::api) struct CodeCall {
    /// As in `GET /deliveries/{id}`.
    #[schema(value_type = Uuid)]
    delivery_id: DeliveryId,
    #[schema(example = "delivered")]
    status: DeliveryStatus,
    #[schema(format = DateTime, example = "2026-05-25T10:00:00Z")]
    created_at: String,
}

impl ListedVerification {
    fn of(record: &Record, sends: &[SendRecord], now_ms: i64) -> ListedVerification {
        ListedVerification {
            id: record.id,
            status: record.state.status_at(now_ms),
            phone: record.phone.to_string(),
            attempts_left: record.state.attempts_left(),
            created_at: rfc3339(record.created_at_ms),
            expires_at: rfc3339(record.state.expires_at_ms),
            approved_at: record.approved_at_ms().map(rfc3339),
            sends: sends
                .iter()
                .map(|send| CodeCall {
                    delivery_id: send.delivery_id,
                    status: send.status,
                    created_at: rfc3339(send.created_at_ms),
                })
                .collect(),
            reference: record.fields.reference.clone(),
            metadata: record.fields.metadata.clone(),
        }
    }
}

/// A page of verifications.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct VerificationList {
    ok: bool,
    verifications: Vec<ListedVerification>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Answers with one verification of the caller's account.
///
/// # Errors
/// [`ApiError::NotFound`] for an unknown, foreign or malformed id.
#[utoipa::path(
    get,
    path = "/api/v1/verifications/{id}",
    operation_id = "getVerification",
    summary = "One verification and its calls",
    params(("id" = Uuid, Path, description = "The id from the 202 answer. A malformed or foreign one is 404.")),
    responses(
        (status = 200, description = "The verification.", body = Verification),
        (status = 404, description = "`not_found`: unknown, foreign or malformed.", body = Error),
        (status = 501, description = "`verify_not_configured`: the operator has set no secret.", body = Error),
    ),
    security(("api_key" = []))
)]
pub async fn verification(
    request: HttpRequest,
    id: web::Path<String>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let (key, _) = caller(&request, &state).await?;
    let record = find(&id, key.account_id, &state).await?;
    let sends = state.store.verifications().sends([record.id]);
    let sends = state.read("the calls of a verification", sends).await?;
    let sends = sends.get(&record.id).map_or(&[][..], Vec::as_slice);
    let verification = ListedVerification::of(&record, sends, clock::unix_ms());
    Ok(body::ok(&Verification { ok: true, verification }))
}

/// Handles the request.
///
/// # Errors
/// Every refusal.
#[utoipa::path(
    get,
    path = "/api/v1/verifications",
    operation_id = "listVerifications",
    summary = "The account's verifications, newest first",
    description = "As JSON, or as CSV with `Accept: text/csv` (RFC 9110).",
    params(
        ("limit" = Option<u32>, Query, description = "Number of rows, 1 to 200. Default: 50 as JSON, all as CSV.", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the previous page; keep the other parameters."),
        ("status" = Option<Status>, Query, description = "Only verifications with this status."),
        ("phone" = Option<Phone>, Query, description = "The whole number in E.164.", example = "+84981234567"),
        ("reference" = Option<Reference>, Query, description = "Only verifications with this reference."),
        ("from" = Option<TimeOrDate>, Query, description = "RFC 3339 time or date (midnight UTC), inclusive.", example = "2026-05-25T00:00:00+07:00"),
        ("to" = Option<TimeOrDate>, Query, description = "RFC 3339 time or date, exclusive.", example = "2026-05-26"),
    ),
    responses(
        (
            status = 200,
            description = "A page; as CSV the same rows after a header, in one stream unless `limit` is given.",
            content((VerificationList = "application/json"), (String = "text/csv")),
            headers(
                ("Vary" = String, description = "`Accept`"),
                ("Link" = Option<String>, description = "The next page, `rel=\"next\"`, if there is one."),
                ("Content-Disposition" = Option<String>, description = "With CSV: the file name.")
            )
        ),
        (status = 400, description = "`invalid_request`: `parameter` is unknown, repeated or invalid; the message lists the allowed values.", body = Error),
        (status = 406, description = "`not_acceptable`: `Accept` allows neither JSON nor CSV.", body = Error),
        (status = 429, description = "`too_many_requests`: too many CSV exports, or too many requests of the account at the same time. `quota_exceeded`: the account's CSV exports of this day are used up.", body = Error),
        (status = 501, description = "`verify_not_configured`: the operator has set no secret.", body = Error),
    ),
    security(("api_key" = []))
)]
pub async fn list(
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    caller(&request, &state).await?;
    list::answer::<Verifications>(request, state).await
}

struct Verifications;

/// A verification and its calls, as of the time when they were read.
struct Row {
    record: Record,
    sends: Vec<SendRecord>,
    now_ms: i64,
}

impl List for Verifications {
    const PARAMETERS: &'static [&'static str] =
        &["limit", "cursor", "status", "phone", "reference", "from", "to"];
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "phone",
        "status",
        "attempts_left",
        "sends",
        "created_at",
        "expires_at",
        "approved_at",
        "reference",
    ];
    const FILE_NAME: &'static str = "verifications.csv";
    type Filter = VerificationFilter;
    type Row = Row;
    type Place = VerificationCursor;

    fn filter(parameters: &Parameters, state: &ApiState) -> Result<VerificationFilter, ApiError> {
        let phone = |text: &str| Phone::parse(text, &state.routing.plan).ok();
        Ok(VerificationFilter {
            status: parameters.word("status", &Status::ALL.map(|s| (s.as_str(), s)))?,
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
        let now_ms = clock::unix_ms();
        let store = state.store.verifications();
        let page = store.page(query.account, &query.filter, query.after, rows, now_ms);
        let page = state.read("a page of verifications", page).await?;
        let ids = page.verifications.iter().map(|record| record.id);
        let sends = store.sends(ids.collect::<Vec<_>>());
        let mut sends = state.read("the calls of verifications", sends).await?;
        let rows = page.verifications.into_iter().map(|record| {
            let sends = sends.remove(&record.id).unwrap_or_default();
            Row { record, sends, now_ms }
        });
        Ok(Page { rows: rows.collect(), next: page.next })
    }

    fn shape(rows: &[Row], next_cursor: Option<String>) -> impl Serialize {
        let of = |row: &Row| ListedVerification::of(&row.record, &row.sends, row.now_ms);
        VerificationList { ok: true, verifications: rows.iter().map(of).collect(), next_cursor }
    }

    fn cells(row: &Row) -> Vec<String> {
        let record = &row.record;
        let reference = record.fields.reference.as_ref();
        vec![
            record.id.to_string(),
            record.phone.to_string(),
            record.state.status_at(row.now_ms).as_str().to_owned(),
            record.state.attempts_left().to_string(),
            record.state.sends.to_string(),
            rfc3339(record.created_at_ms),
            rfc3339(record.state.expires_at_ms),
            record.approved_at_ms().map(rfc3339).unwrap_or_default(),
            reference.map(|r| without_formula(r.as_str())).unwrap_or_default(),
        ]
    }

    fn cursor(place: VerificationCursor) -> String {
        write_cursor(place)
    }

    fn place(cursor: &str) -> Option<VerificationCursor> {
        read_cursor(cursor)
    }
}

/// A place in the list as a cursor.
pub fn write_cursor(place: VerificationCursor) -> String {
    let (high, low) = place.id.0.as_u64_pair();
    cursor::write(CURSOR_TAG, [place.created_at_ms as u64, high, low])
}

/// The place of a cursor; `None` if it is not one of this list.
pub fn read_cursor(text: &str) -> Option<VerificationCursor> {
    let [created_at_ms, high, low] = cursor::read(CURSOR_TAG, text)?;
    Some(VerificationCursor {
        created_at_ms: created_at_ms as i64,
        id: VerificationId(Uuid::from_u64_pair(high, low)),
    })
}
