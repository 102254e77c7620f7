//! A list as CSV (RFC 4180), streamed in chunks.
//!
//! Each chunk is read by its own query after the client has taken the one before: a million rows need no more memory
//! than a thousand, and a slow client holds no transaction open and no connection to the database.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::stream::try_unfold;

use crate::api::error::ApiError;
use crate::read_limits::ExportSlot;

/// How many rows are read by one query and sent as one chunk.
pub const ROWS_PER_CHUNK: u32 = 1_000;

/// The text of some rows, and the place of the next ones.
pub struct Chunk<P> {
    pub text: Vec<u8>,
    /// The place of the next chunk; `None` after the last one.
    pub next: Option<P>,
}

/// An answer that starts with `first` and continues with what `read` returns for each next place.
///
/// Each chunk after the first is read in a turn of `slot`, which is kept until the end of the stream. If `read` fails,
/// the connection is broken, so that the client does not take a part for the whole.
pub fn stream<P, F, R>(
    file_name: &str,
    first: Chunk<P>,
    slot: Option<ExportSlot>,
    read: F,
) -> HttpResponse
where
    P: 'static,
    F: Fn(P) -> R + 'static,
    R: Future<Output = Result<Chunk<P>, ApiError>> + 'static,
{
    enum Due<P> {
        Text(Chunk<P>),
        Read(P),
    }
    let start = (Some(Due::Text(first)), slot, read);
    let body = try_unfold(start, async |(due, slot, read)| {
        let chunk = match due {
            None => return Ok(None),
            Some(Due::Text(chunk)) => chunk,
            Some(Due::Read(place)) => {
                let slot = slot.as_ref().ok_or(ReadFailed)?;
                let _turn = slot.next_page().await.ok_or(ReadFailed)?;
                read(place).await.map_err(|_| ReadFailed)?
            }
        };
        if let Some(slot) = &slot {
            slot.page_ready();
        }
        let text = Bytes::from(chunk.text);
        Ok(Some((text, (chunk.next.map(Due::Read), slot, read))))
    });
    begin(file_name).streaming::<_, ReadFailed>(body)
}

/// The head of such an answer without the body. Its length is unknown.
pub fn head(file_name: &str) -> HttpResponse {
    let nothing = actix_web::body::None::new();
    begin(file_name).body(nothing)
}

fn begin(file_name: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/csv; charset=utf-8; header=present")
        .insert_header((header::CONTENT_DISPOSITION, attachment(file_name)));
    answer
}

fn attachment(file_name: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("attachment; filename=\"{file_name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// Reading the rest of a list failed; the log has the reason.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the list could not be read")]
struct ReadFailed;

/// Rows as CSV with CRLF line ends.
pub fn csv(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer
            .write_record(&row)
            .expect("a Vec takes every write, and all rows have the same length");
    }
    writer.into_inner().expect("a Vec takes every write")
}

/// Prefixes an apostrophe to text from third parties that a spreadsheet would treat as a formula.
pub fn without_formula(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_if_needed_and_rows_end_with_crlf() {
        let rows = [["id", "phone"], ["a,b", "say \"x\"\r\nbye"], ["", "+84981234567"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            String::from_utf8(csv(rows)).unwrap(),
            "id,phone\r\n\"a,b\",\"say \"\"x\"\"\r\nbye\"\r\n,+84981234567\r\n"
        );
    }

    #[test]
    fn no_foreign_text_begins_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1"] {
            assert_eq!(without_formula(text), format!("'{text}"));
        }
        for text in ["", "INV-2026/001", "busy", "503", "a=b"] {
            assert_eq!(without_formula(text), text);
        }
    }
}
