//! The format of a list that the caller prefers: JSON, or the same rows as CSV (RFC 9110 §12.5.1).

use actix_web::HttpMessage;
use actix_web::http::header::{Accept, Header, Quality, QualityItem};
use actix_web::mime::{APPLICATION_JSON, Mime, STAR, TEXT_CSV};

use crate::api::error::ApiError;

/// A format in which lists are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
}

/// The caller's preferred format; JSON on a tie, or without a valid `Accept` header.
///
/// # Errors
/// [`ApiError::NotAcceptable`] if the caller accepts neither.
pub fn format(request: &impl HttpMessage) -> Result<Format, ApiError> {
    let accept = Accept::parse(request).map_or_else(|_| Vec::new(), |accept| accept.0);
    if accept.is_empty() {
        return Ok(Format::Json);
    }
    let json = quality(&APPLICATION_JSON, &accept);
    let csv = quality(&TEXT_CSV, &accept);
    match json.max(csv) {
        Quality::ZERO => Err(ApiError::NotAcceptable),
        _ if csv > json => Ok(Format::Csv),
        _ => Ok(Format::Json),
    }
}

/// The quality of the most specific range that matches `media_type`.
fn quality(media_type: &Mime, accept: &[QualityItem<Mime>]) -> Quality {
    let matching = accept.iter().filter_map(|range| {
        let specificity = match (range.item.type_(), range.item.subtype()) {
            (STAR, STAR) => 0,
            (own, STAR) if own == media_type.type_() => 1,
            (own, sub) if own == media_type.type_() && sub == media_type.subtype() => 2,
            _ => return None,
        };
        Some((specificity, range.quality))
    });
    matching.max().map_or(Quality::ZERO, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::ACCEPT;
    use actix_web::test::TestRequest;

    #[test]
    fn the_preferred_format_wins() {
        for (accept, expected) in [
            ("", Ok(Format::Json)),
            ("*/*", Ok(Format::Json)),
            ("application/json", Ok(Format::Json)),
            ("application/*", Ok(Format::Json)),
            ("text/csv", Ok(Format::Csv)),
            ("TEXT/CSV; charset=utf-8", Ok(Format::Csv)),
            ("text/*", Ok(Format::Csv)),
            ("text/csv, application/json", Ok(Format::Json)),
            ("text/csv, application/json;q=0.9", Ok(Format::Csv)),
            ("text/csv;q=0.5, */*;q=0.1", Ok(Format::Csv)),
            ("text/csv;q=0.5, */*", Ok(Format::Json)),
            ("text/csv;q=0, */*", Ok(Format::Json)),
            ("application/json;q=0, */*;q=0.001", Ok(Format::Csv)),
            ("text/html, application/xhtml+xml, */*;q=0.8", Ok(Format::Json)),
            ("nonsense", Ok(Format::Json)),
            ("text/csv;q=2, application/json;q=0.1", Ok(Format::Json)),
            ("text/html", Err(ApiError::NotAcceptable)),
            ("*/*;q=0", Err(ApiError::NotAcceptable)),
            ("text/csv;q=0.000", Err(ApiError::NotAcceptable)),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT, accept));
            assert_eq!(format(&request.to_http_request()), expected, "{accept:?}");
        }
        assert_eq!(format(&TestRequest::default().to_http_request()), Ok(Format::Json));
    }

    #[test]
    fn several_headers_are_one_list() {
        let request = TestRequest::default()
            .append_header((ACCEPT, "application/json;q=0.1"))
            .append_header((ACCEPT, "text/csv"));
        assert_eq!(format(&request.to_http_request()), Ok(Format::Csv));
    }
}
