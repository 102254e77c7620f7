//! `GET /ledger`: the account's entries, the latest first, each with what was held after it.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::ledger::entries::{LedgerEntry, LedgerFilter, LedgerPage, LedgerPlace};

use crate::api::Edge;
use crate::api::auth::caller::authorize;
use crate::api::error::ApiError;
use crate::api::list::accept::{Form, form};
use crate::api::list::cursor;
use crate::api::list::export;
use crate::api::list::export::{Chunk, Csv, harmless};
use crate::api::list::parameters::{DEFAULT_LIMIT, Parameters};

const PARAMETERS: [&str; 6] = ["limit", "cursor", "kind", "bucket", "from", "to"];
/// Marks this list's cursors.
const LIST: u8 = 2;

const COLUMNS: [&str; 10] = [
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

/// What one request asks for.
#[derive(Clone, Copy)]
struct Wanted {
    account: AccountId,
    filter: LedgerFilter,
    after: Option<LedgerPlace>,
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
        filter: LedgerFilter {
            kind: parameters.word("kind", &EntryKind::ALL.map(|k| (k.as_str(), k)))?,
            bucket: parameters.word("bucket", &Bucket::ALL.map(|b| (b.as_str(), b)))?,
            from_ms: parameters.time("from")?,
            to_ms: parameters.time("to")?,
        },
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

async fn page(edge: &Edge, wanted: &Wanted, rows: u32) -> Result<LedgerPage, ApiError> {
    let page = edge
        .store
        .ledger_page(wanted.account, &wanted.filter, wanted.after, rows);
    edge.read("a page of the ledger", page).await
}

fn json(page: &LedgerPage, next: Option<&str>) -> HttpResponse {
    let items: Vec<String> = page.entries.iter().map(item).collect();
    // A cursor is of characters that JSON takes as they are.
    let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::VARY, "Accept"))
        .body(format!(
            r#"{{"ok":true,"currency":"USD","entries":[{}],"next_cursor":{next}}}"#,
            items.join(",")
        ))
}

fn item(entry: &LedgerEntry) -> String {
    let quoted = |text: Option<&str>| {
        text.map_or("null".to_owned(), |t| {
            serde_json::Value::from(t).to_string()
        })
    };
    let delivery = entry.delivery_id.map(|id| id.to_string());
    format!(
        concat!(
            r#"{{"posting_id":"{}","kind":"{}","bucket":"{}","amount":{},"bucket_total":{},"#,
            r#""total":{},"delivery_id":{},"reference":{},"note":{},"created_at":"{}"}}"#
        ),
        entry.posting_id,
        entry.kind.as_str(),
        entry.bucket.as_str(),
        entry.amount,
        entry.after.of(entry.bucket),
        entry.after.total(),
        quoted(delivery.as_deref()),
        quoted(entry.reference.as_deref()),
        quoted(entry.note.as_deref()),
        rfc3339(entry.created_at_ms),
    )
}

fn csv(edge: web::Data<Edge>, wanted: Wanted, first: &LedgerPage) -> HttpResponse {
    let mut text = Csv::default();
    text.row(COLUMNS);
    let first = chunk(text, first, wanted.limit.is_some());
    export::answer("ledger.csv", first, move |after| {
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

/// All of an account's entries as CSV, for a page of its own.
///
/// # Errors
/// As reading the ledger.
pub async fn csv_of(edge: web::Data<Edge>, account: AccountId) -> Result<HttpResponse, ApiError> {
    let wanted = Wanted {
        account,
        filter: LedgerFilter::default(),
        after: None,
        limit: None,
    };
    let first = page(&edge, &wanted, export::ROWS_AT_ONCE).await?;
    Ok(csv(edge, wanted, &first))
}

fn chunk(mut text: Csv, page: &LedgerPage, is_all: bool) -> Chunk<LedgerPlace> {
    for entry in &page.entries {
        write_row(&mut text, entry);
    }
    Chunk {
        text: text.into_text(),
        next: page.next.filter(|_| !is_all),
    }
}

fn write_row(csv: &mut Csv, entry: &LedgerEntry) {
    let told = |text: &Option<String>| text.as_deref().map(harmless).unwrap_or_default();
    let delivery = entry.delivery_id.map(|id| id.to_string());
    csv.row([
        &entry.posting_id.to_string(),
        entry.kind.as_str(),
        entry.bucket.as_str(),
        &entry.amount.to_string(),
        &entry.after.of(entry.bucket).to_string(),
        &entry.after.total().to_string(),
        &delivery.unwrap_or_default(),
        &told(&entry.reference),
        &told(&entry.note),
        &rfc3339(entry.created_at_ms),
    ]);
}

/// The place as an opaque text.
pub fn text(place: LedgerPlace) -> String {
    let held = Bucket::ALL.map(|bucket| place.held.of(bucket).get() as u64);
    cursor::write(LIST, [place.before as u64, held[0], held[1], held[2]])
}

/// What [`text`] wrote. `None` also for totals that no wallet holds: whoever makes a cursor up is told so.
pub fn place(text: &str) -> Option<LedgerPlace> {
    let [before, free, bonus, balance] = cursor::read(LIST, text)?;
    let micros = |number: u64| {
        let micros = Micros::new(number as i64);
        (Micros::ZERO..=LARGEST).contains(&micros).then_some(micros)
    };
    Some(LedgerPlace {
        before: i64::try_from(before).ok()?,
        held: Buckets {
            free: micros(free)?,
            bonus: micros(bonus)?,
            balance: micros(balance)?,
        },
    })
}

/// More than any bucket holds, and three of it are a sum that 64 bits hold.
const LARGEST: Micros = Micros::new(i64::MAX / 4);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(before: i64, balance: i64) -> LedgerPlace {
        LedgerPlace {
            before,
            held: Buckets {
                balance: Micros::new(balance),
                ..Buckets::default()
            },
        }
    }

    #[test]
    fn a_place_survives_being_a_cursor() {
        assert_eq!(place(&text(at(7, 22_000))), Some(at(7, 22_000)));
    }

    #[test]
    fn a_place_that_cannot_be_is_refused() {
        for there in [at(-1, 0), at(7, -1), at(7, i64::MAX)] {
            assert_eq!(place(&text(there)), None, "{there:?}");
        }
    }
}
