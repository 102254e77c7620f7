//! A list as CSV (RFC 4180), written page by page while it is read.
//!
//! A page is read when the last one has gone to the customer, by a query of its own: a million rows take
//! no more memory than a thousand, and a slow reader holds no transaction open.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use futures_util::stream;

use crate::api::error::ApiError;

/// How many rows are read and sent at once.
pub const ROWS_AT_ONCE: u32 = 1_000;

/// The text of some rows, and what follows them.
pub struct Chunk<P> {
    pub text: Vec<u8>,
    /// Where the next chunk starts; `None` where this is the last one.
    pub next: Option<P>,
}

/// The answer that begins with `first` and goes on with what `read` makes of each next place.
///
/// Where `read` fails the connection breaks, so that nobody takes a part for the whole.
pub fn answer<P, F, R>(file_name: &str, first: Chunk<P>, read: F) -> HttpResponse
where
    P: 'static,
    F: Fn(P) -> R + 'static,
    R: Future<Output = Result<Chunk<P>, ApiError>> + 'static,
{
    enum Due<P> {
        Text(Chunk<P>),
        Read(P),
    }
    let body = stream::try_unfold((Some(Due::Text(first)), read), async |(due, read)| {
        let chunk = match due {
            None => return Ok(None),
            Some(Due::Text(chunk)) => chunk,
            Some(Due::Read(place)) => read(place).await.map_err(|_| Broken)?,
        };
        let text = Bytes::from(chunk.text);
        Ok(Some((text, (chunk.next.map(Due::Read), read))))
    });
    HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8; header=present")
        .insert_header((header::CONTENT_DISPOSITION, attachment(file_name)))
        .insert_header((header::VARY, "Accept"))
        .streaming::<_, Broken>(body)
}

fn attachment(file_name: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("attachment; filename=\"{file_name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// The rest of a list could not be read; why is in the log.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the list could not be read")]
struct Broken;

/// Rows as CSV.
#[derive(Default)]
pub struct Csv(Vec<u8>);

impl Csv {
    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [&str; N]) {
        for (place, cell) in cells.into_iter().enumerate() {
            if place > 0 {
                self.0.push(b',');
            }
            self.cell(cell);
        }
        self.0.extend_from_slice(b"\r\n");
    }

    pub fn into_text(self) -> Vec<u8> {
        self.0
    }

    fn cell(&mut self, text: &str) {
        if !text.contains(['"', ',', '\r', '\n']) {
            return self.0.extend_from_slice(text.as_bytes());
        }
        self.0.push(b'"');
        self.0
            .extend_from_slice(text.replace('"', "\"\"").as_bytes());
        self.0.push(b'"');
    }
}

/// A text that others chose, such that no spreadsheet takes it for a formula: an apostrophe goes before
/// what could begin one.
pub fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_rows_end_with_crlf() {
        let mut csv = Csv::default();
        csv.row(["id", "phone"]);
        csv.row(["a,b", "say \"x\"\r\nbye"]);
        csv.row(["", "+84981234567"]);
        assert_eq!(
            String::from_utf8(csv.into_text()).unwrap(),
            "id,phone\r\n\"a,b\",\"say \"\"x\"\"\r\nbye\"\r\n,+84981234567\r\n"
        );
    }

    #[test]
    fn no_text_of_others_begins_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "INV-2026/001", "busy", "503", "a=b"] {
            assert_eq!(harmless(text), text);
        }
    }
}
