//! `GET /ledger`: the account's entries, newest first, each with the wallet after it.

use actix_web::{HttpRequest, HttpResponse, web};
use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::money::Micros;
use nexo_domain::timestamp::{TimeOrDate, rfc3339};
use nexo_entities::store::ledger::entries::{LedgerCursor, LedgerEntry as Record, LedgerFilter};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::error::{ApiError, Error};
use crate::api::list::export::without_formula;
use crate::api::list::parameters::Parameters;
use crate::api::list::{self, List, Page, Query, cursor};
use crate::api::state::ApiState;

/// Distinguishes this list's cursors.
const CURSOR_TAG: u8 = 2;
/// More than any bucket holds; three times this still fits 64 bits.
const MAX_BUCKET: Micros = Micros::new(i64::MAX / 4);

/// A page of ledger entries.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct LedgerList {
    ok: bool,
    #[schema(pattern = "^USD$", example = "USD")]
    currency: &'static str,
    entries: Vec<LedgerEntry>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// One signed line of one bucket, in USD. Never changed, never deleted.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct LedgerEntry {
    /// The same for all entries that were written together.
    posting_id: Uuid,
    #[schema(example = "debit")]
    kind: EntryKind,
    #[schema(example = "balance")]
    bucket: Bucket,
    /// Negative if it left the bucket.
    #[schema(example = -0.022)]
    amount: Micros,
    /// The bucket after this entry.
    #[schema(example = 9.978)]
    bucket_total: Micros,
    /// The whole wallet after this entry.
    #[schema(example = 12.044)]
    total: Micros,
    /// The OTP of a debit, refund or commission.
    #[schema(required = true, value_type = Option<Uuid>)]
    delivery_id: Option<DeliveryId>,
    /// The reference of a deposit, grant, payout, forfeit or correction.
    #[schema(required = true)]
    reference: Option<String>,
    /// An operator's note.
    #[schema(required = true)]
    note: Option<String>,
    #[schema(format = DateTime, example = "2026-05-25T10:00:00Z")]
    created_at: String,
}

/// Handles the request.
///
/// # Errors
/// Every refusal.
#[utoipa::path(
    get,
    path = "/api/v1/ledger",
    operation_id = "listLedger",
    summary = "The account's ledger entries, newest first",
    description = "As JSON, or as CSV with `Accept: text/csv` (RFC 9110).",
    params(
        ("limit" = Option<u32>, Query, description = "Number of rows, 1 to 200. Default: 50 as JSON, all as CSV.", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the previous page; keep the other parameters."),
        ("kind" = Option<EntryKind>, Query, description = "Only entries of this kind."),
        ("bucket" = Option<Bucket>, Query, description = "Only entries of this bucket."),
        ("from" = Option<TimeOrDate>, Query, description = "RFC 3339 time or date (midnight UTC), inclusive.", example = "2026-05-25T00:00:00+07:00"),
        ("to" = Option<TimeOrDate>, Query, description = "RFC 3339 time or date, exclusive.", example = "2026-05-26"),
    ),
    responses(
        (
            status = 200,
            description = "A page; as CSV the same rows after a header, in one stream unless `limit` is given.",
            content((LedgerList = "application/json"), (String = "text/csv")),
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
    list::answer::<Ledger>(request, state).await
}

/// All entries of an account as one CSV stream, for the account's own pages. The caller has the account's turn to read.
///
/// # Errors
/// Those of reading the first rows.
pub async fn whole_csv(
    request: &HttpRequest,
    state: web::Data<ApiState>,
    account: AccountId,
) -> Result<HttpResponse, ApiError> {
    list::whole_csv::<Ledger>(request, state, account, LedgerFilter::default()).await
}

struct Ledger;

impl List for Ledger {
    const PARAMETERS: &'static [&'static str] =
        &["limit", "cursor", "kind", "bucket", "from", "to"];
    const COLUMNS: &'static [&'static str] = &[
        "posting_id",
        "kind",
        "bucket",
        "amount",
        "bucket_total",
        "total",
        "delivery_id",
        "reference",
        "note",
        "created_at",
    ];
    const FILE_NAME: &'static str = "ledger.csv";
    type Filter = LedgerFilter;
    type Row = Record;
    type Place = LedgerCursor;

    fn filter(parameters: &Parameters, _: &ApiState) -> Result<LedgerFilter, ApiError> {
        Ok(LedgerFilter {
            kind: parameters.word("kind", &EntryKind::ALL.map(|k| (k.as_str(), k)))?,
            bucket: parameters.word("bucket", &Bucket::ALL.map(|b| (b.as_str(), b)))?,
            from_ms: parameters.time("from")?,
            to_ms: parameters.time("to")?,
        })
    }

    async fn page(
        state: &ApiState,
        query: &Query<Self>,
        rows: u32,
    ) -> Result<Page<Self>, ApiError> {
        let page = state.store.ledger().entries(query.account, &query.filter, query.after, rows);
        let page = state.read("a page of the ledger", page).await?;
        Ok(Page { rows: page.entries, next: page.next })
    }

    fn shape(rows: &[Record], next_cursor: Option<String>) -> impl Serialize {
        let entries = rows.iter().map(|entry| LedgerEntry {
            posting_id: entry.posting_id,
            kind: entry.kind,
            bucket: entry.bucket,
            amount: entry.amount,
            bucket_total: entry.after.of(entry.bucket),
            total: entry.after.total(),
            delivery_id: entry.delivery_id,
            reference: entry.reference.clone(),
            note: entry.note.clone(),
            created_at: rfc3339(entry.created_at_ms),
        });
        LedgerList { ok: true, currency: "USD", entries: entries.collect(), next_cursor }
    }

    fn cells(entry: &Record) -> Vec<String> {
        let foreign = |text: &Option<String>| text.as_deref().map(without_formula);
        let delivery = entry.delivery_id.map(|id| id.to_string());
        vec![
            entry.posting_id.to_string(),
            entry.kind.as_str().to_owned(),
            entry.bucket.as_str().to_owned(),
            entry.amount.to_string(),
            entry.after.of(entry.bucket).to_string(),
            entry.after.total().to_string(),
            delivery.unwrap_or_default(),
            foreign(&entry.reference).unwrap_or_default(),
            foreign(&entry.note).unwrap_or_default(),
            rfc3339(entry.created_at_ms),
        ]
    }

    fn cursor(place: LedgerCursor) -> String {
        write_cursor(place)
    }

    fn place(cursor: &str) -> Option<LedgerCursor> {
        read_cursor(cursor)
    }
}

/// A place in the list as a cursor.
pub fn write_cursor(place: LedgerCursor) -> String {
    let held = Bucket::ALL.map(|bucket| place.held.of(bucket).get() as u64);
    cursor::write(CURSOR_TAG, [place.before as u64, held[0], held[1], held[2]])
}

/// The place of a cursor; `None` if it is not one of this list, or if its totals are impossible.
pub fn read_cursor(text: &str) -> Option<LedgerCursor> {
    let [before, free, bonus, balance] = cursor::read(CURSOR_TAG, text)?;
    let micros = |number: u64| {
        let micros = Micros::new(number as i64);
        (Micros::ZERO..=MAX_BUCKET).contains(&micros).then_some(micros)
    };
    Some(LedgerCursor {
        before: i64::try_from(before).ok()?,
        held: Buckets { free: micros(free)?, bonus: micros(bonus)?, balance: micros(balance)? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(before: i64, balance: i64) -> LedgerCursor {
        LedgerCursor {
            before,
            held: Buckets { balance: Micros::new(balance), ..Buckets::default() },
        }
    }

    #[test]
    fn a_place_survives_being_a_cursor() {
        assert_eq!(read_cursor(&write_cursor(at(7, 22_000))), Some(at(7, 22_000)));
    }

    #[test]
    fn an_impossible_place_is_refused() {
        for place in [at(-1, 0), at(7, -1), at(7, i64::MAX)] {
            assert_eq!(read_cursor(&write_cursor(place)), None, "{place:?}");
        }
    }
}
