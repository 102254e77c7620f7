//! Lists: query parameters, cursors, and a page as JSON or all rows as a CSV stream.
//!
//! An endpoint implements [`List`]; [`answer`] does the rest.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::ids::AccountId;
use serde::Serialize;

use self::accept::{Format, format};
use self::export::Chunk;
use self::parameters::{DEFAULT_LIMIT, Parameters};
use super::auth::caller::authorize;
use super::body;
use super::error::ApiError;
use super::state::ApiState;
use crate::http::methods::is_head;
use crate::read_limits::ExportSlot;

pub(super) mod accept;
pub(crate) mod cursor;
pub(super) mod export;
pub(super) mod parameters;

/// A list of an account's rows, newest first.
pub(super) trait List: Sized + 'static {
    /// The names of the query parameters.
    const PARAMETERS: &'static [&'static str];
    /// The header of the CSV.
    const COLUMNS: &'static [&'static str];
    const FILE_NAME: &'static str;
    type Filter: Clone;
    type Row;
    /// The position after which a page starts.
    type Place: Copy;

    /// Reads the filter from the query.
    fn filter(parameters: &Parameters, state: &ApiState) -> Result<Self::Filter, ApiError>;

    /// Reads at most `rows` rows after `after`.
    async fn page(state: &ApiState, query: &Query<Self>, rows: u32)
    -> Result<Page<Self>, ApiError>;

    /// The JSON shape of a page.
    fn shape(rows: &[Self::Row], next_cursor: Option<String>) -> impl Serialize;

    /// The cells of a row, as many as [`List::COLUMNS`].
    fn cells(row: &Self::Row) -> Vec<String>;

    /// A place as an opaque cursor.
    fn cursor(place: Self::Place) -> String;

    /// The place of a cursor that [`List::cursor`] wrote; `None` for any other text.
    fn place(cursor: &str) -> Option<Self::Place>;
}

/// What one request asks for.
pub(super) struct Query<L: List> {
    pub account: AccountId,
    pub filter: L::Filter,
    pub after: Option<L::Place>,
    limit: Option<u32>,
}

/// Some rows, and the place of the next page.
pub(super) struct Page<L: List> {
    pub rows: Vec<L::Row>,
    pub next: Option<L::Place>,
}

/// Answers a list request in the format that the caller prefers.
pub(super) async fn answer<L: List>(
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let key = authorize(&request, &state).await?;
    let format = format(&request)?;
    let parameters = Parameters::read(request.query_string(), L::PARAMETERS)?;
    let query = Query::<L> {
        account: key.account_id,
        filter: L::filter(&parameters, &state)?,
        after: parameters.get("cursor", L::place, || "a next_cursor of this list".to_owned())?,
        limit: parameters.limit()?,
    };
    let rows = query.limit.unwrap_or(match format {
        Format::Json => DEFAULT_LIMIT,
        Format::Csv => export::ROWS_PER_CHUNK,
    });
    if format == Format::Csv && is_head(&request) {
        return Ok(head::<L>());
    }
    let limits = &state.read_limits;
    let is_export = format == Format::Csv && query.limit.is_none();
    let export = is_export.then(|| limits.export(query.account)).transpose()?;
    let page = {
        let _turn = limits.read(query.account).await?;
        if format == Format::Csv {
            take_export(&state, query.account)?;
        }
        L::page(&state, &query, rows).await?
    };
    let next = page.next.map(L::cursor);
    let link = parameters.next_page(request.path(), next.as_deref());
    // A CSV stream without a limit contains all rows, so it has no next page.
    let link = link.filter(|_| format == Format::Json || query.limit.is_some());
    let mut answer = match format {
        Format::Json => body::ok(&L::shape(&page.rows, next)),
        Format::Csv => csv(state, query, page, export),
    };
    let headers = answer.headers_mut();
    headers.insert(header::VARY, header::HeaderValue::from_static("Accept"));
    if let Some(Ok(link)) = link.map(|link| link.parse()) {
        headers.insert(header::LINK, link);
    }
    Ok(answer)
}

/// All rows of an account that match `filter` as one CSV stream, for the account's own pages. The caller has the
/// account's turn to read.
///
/// # Errors
/// [`ApiError::TooManyRequests`], [`ApiError::QuotaExceeded`] if the exports of this day are used up, and those of
/// reading the first rows.
pub(super) async fn whole_csv<L: List>(
    request: &HttpRequest,
    state: web::Data<ApiState>,
    account: AccountId,
    filter: L::Filter,
) -> Result<HttpResponse, ApiError> {
    if is_head(request) {
        return Ok(head::<L>());
    }
    let query = Query::<L> { account, filter, after: None, limit: None };
    let export = state.read_limits.export(account)?;
    take_export(&state, account)?;
    let page = L::page(&state, &query, export::ROWS_PER_CHUNK).await?;
    Ok(csv(state, query, page, Some(export)))
}

/// The head of a CSV answer. No row is read for it.
fn head<L: List>() -> HttpResponse {
    let mut answer = export::head(L::FILE_NAME);
    let vary = header::HeaderValue::from_static("Accept");
    answer.headers_mut().insert(header::VARY, vary);
    answer
}

/// Counts an export of the account.
fn take_export(state: &ApiState, account: AccountId) -> Result<(), ApiError> {
    let taken = state.quotas.take_in_memory(QuotaKind::Exports, account);
    taken.map_err(ApiError::QuotaExceeded)
}

/// The rows as CSV. Without an `export` there is only the `first` page.
fn csv<L: List>(
    state: web::Data<ApiState>,
    query: Query<L>,
    first: Page<L>,
    export: Option<ExportSlot>,
) -> HttpResponse {
    let header = L::COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    let first_rows = first.rows.iter().map(L::cells);
    let first = Chunk {
        text: export::csv(std::iter::once(header).chain(first_rows)),
        next: first.next.filter(|_| export.is_some()),
    };
    export::stream(L::FILE_NAME, first, export, move |after| {
        let state = state.clone();
        let filter = query.filter.clone();
        let query = Query::<L> { filter, after: Some(after), ..query };
        async move {
            let page = L::page(&state, &query, export::ROWS_PER_CHUNK).await?;
            Ok(Chunk { text: export::csv(page.rows.iter().map(L::cells)), next: page.next })
        }
    })
}
