//! Which form of a list the caller wants: JSON, or the same rows as CSV (RFC 9110 §12.5.1).

use actix_web::http::header::{ACCEPT, HeaderMap};

use crate::api::error::ApiError;

/// A form in which lists are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Csv,
}

impl Form {
    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Form::Json => ("application", "json"),
            Form::Csv => ("text", "csv"),
        }
    }
}

/// The form that the caller likes best; JSON where both are liked the same, or nothing is said.
///
/// # Errors
/// [`ApiError::NotAcceptable`] where the caller wants neither.
pub fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    let texts: Vec<&str> = headers
        .get_all(ACCEPT)
        .filter_map(|value| value.to_str().ok())
        .collect();
    let accept = texts.join(",");
    let ranges: Vec<Range> = accept.split(',').filter_map(Range::parse).collect();
    if ranges.is_empty() {
        return Ok(Form::Json);
    }
    let (json, csv) = (liking(Form::Json, &ranges), liking(Form::Csv, &ranges));
    match json.max(csv) {
        0 => Err(ApiError::NotAcceptable),
        _ if csv > json => Ok(Form::Csv),
        _ => Ok(Form::Json),
    }
}

/// A media range and how much it is liked, in thousandths.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    liking: u16,
}

impl<'a> Range<'a> {
    /// `None` for what is no media range: it says nothing.
    fn parse(text: &'a str) -> Option<Range<'a>> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        Some(Range {
            kind,
            subtype,
            liking: quality.map_or(Some(1000), thousandths)?,
        })
    }

    /// How closely it names `form`: not at all, by `*/*`, by its kind, by its name.
    fn closeness(&self, form: Form) -> Option<u8> {
        let (kind, subtype) = form.media_type();
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            (own, name) if own.eq_ignore_ascii_case(kind) && name.eq_ignore_ascii_case(subtype) => {
                Some(2)
            }
            _ => None,
        }
    }
}

/// What the range that names `form` most closely says of it.
fn liking(form: Form, ranges: &[Range]) -> u16 {
    let named = ranges
        .iter()
        .filter_map(|range| Some((range.closeness(form)?, range.liking)));
    named.max().map_or(0, |(_, liking)| liking)
}

/// `0.8` is 800. At most three decimals, at most 1.
fn thousandths(quality: &str) -> Option<u16> {
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let fraction: u16 = is_fraction
        .then(|| format!("{fraction:0<3}").parse().ok())
        .flatten()?;
    match (whole, fraction) {
        ("0", _) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn the_form_that_is_liked_best_is_given() {
        for (accept, form_given) in [
            ("", Ok(Form::Json)),
            ("*/*", Ok(Form::Json)),
            ("application/json", Ok(Form::Json)),
            ("application/*", Ok(Form::Json)),
            ("text/csv", Ok(Form::Csv)),
            ("TEXT/CSV; charset=utf-8", Ok(Form::Csv)),
            ("text/*", Ok(Form::Csv)),
            ("text/csv, application/json", Ok(Form::Json)),
            ("text/csv, application/json;q=0.9", Ok(Form::Csv)),
            ("text/csv;q=0.5, */*;q=0.1", Ok(Form::Csv)),
            ("text/csv;q=0.5, */*", Ok(Form::Json)),
            ("text/csv;q=0, */*", Ok(Form::Json)),
            ("application/json;q=0, */*;q=0.001", Ok(Form::Csv)),
            (
                "text/html, application/xhtml+xml, */*;q=0.8",
                Ok(Form::Json),
            ),
            ("nonsense", Ok(Form::Json)),
            ("text/csv;q=2, application/json;q=0.1", Ok(Form::Json)),
            ("text/html", Err(ApiError::NotAcceptable)),
            ("*/*;q=0", Err(ApiError::NotAcceptable)),
            ("text/csv;q=0.000", Err(ApiError::NotAcceptable)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            assert_eq!(form(&headers), form_given, "{accept:?}");
        }
        assert_eq!(form(&HeaderMap::new()), Ok(Form::Json));
    }

    #[test]
    fn several_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("application/json;q=0.1"));
        headers.append(ACCEPT, HeaderValue::from_static("text/csv"));
        assert_eq!(form(&headers), Ok(Form::Csv));
    }
}
