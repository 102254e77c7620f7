//! The query parameters of a request: checked, and unknown ones refused.

use nexo_domain::timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::api::error::ApiError;

/// Rows in a page without `limit`.
pub const DEFAULT_LIMIT: u32 = 50;
/// The largest `limit`.
pub const MAX_LIMIT: u32 = 200;

/// An unknown parameter's name is repeated in the error up to this length.
const MAX_NAME_LENGTH: usize = 40;
/// RFC 3986 §2.3: all but the unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The given parameters. An empty value counts as absent, because HTML forms send it.
#[derive(Debug)]
pub struct Parameters {
    given: Vec<(&'static str, String)>,
}

impl Parameters {
    /// Reads the query of a URL. A `+` is a plus sign, not a blank, so that phones and time zones need no encoding.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] for a parameter that is not in `known`, is repeated or is not UTF-8.
    pub fn read(query: &str, known: &[&'static str]) -> Result<Parameters, ApiError> {
        let mut given: Vec<(&'static str, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = percent_decoded(name).unwrap_or_else(|| name.to_owned());
            let Some(name) = known.iter().copied().find(|known| *known == decoded) else {
                return Err(unknown(&decoded, known));
            };
            let value =
                percent_decoded(value).ok_or_else(|| invalid(name, "percent-encoded UTF-8"))?;
            if given.iter().any(|(other, _)| *other == name) {
                return Err(invalid(name, "given once"));
            }
            given.push((name, value));
        }
        given.retain(|(_, value)| !value.is_empty());
        Ok(Parameters { given })
    }

    /// The value of `name` as `read` parses it.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] with `allowed` if `read` returns `None`.
    pub fn get<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
        allowed: impl FnOnce() -> String,
    ) -> Result<Option<T>, ApiError> {
        let given = self.given.iter().find(|(known, _)| *known == name);
        match given {
            None => Ok(None),
            Some((_, value)) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(invalid(name, &allowed())),
            },
        }
    }

    /// `name` as one of `words`.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`], which lists them.
    pub fn word<T: Copy>(
        &self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<Option<T>, ApiError> {
        let read = |text: &str| {
            let word = words.iter().find(|(word, _)| *word == text);
            word.map(|(_, meaning)| *meaning)
        };
        self.get(name, read, || {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("one of {}", words.join(", "))
        })
    }

    /// `name` as a time: Unix milliseconds.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`].
    pub fn time(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        self.get(name, timestamp::parse, || {
            "a time such as 2026-05-25T10:00:00Z, or a date such as 2026-05-25".to_owned()
        })
    }

    /// The value of `limit`.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`].
    pub fn limit(&self) -> Result<Option<u32>, ApiError> {
        let read = |text: &str| {
            let is_number = text.bytes().all(|b| b.is_ascii_digit());
            let limit: u32 = is_number.then(|| text.parse().ok()).flatten()?;
            (1..=MAX_LIMIT).contains(&limit).then_some(limit)
        };
        self.get("limit", read, || format!("a whole number from 1 to {MAX_LIMIT}"))
    }

    /// A `Link` to the same query with this `cursor`; `None` without one.
    pub fn next_page(&self, path: &str, cursor: Option<&str>) -> Option<String> {
        let cursor = ("cursor", cursor?);
        let others = self.given.iter().filter(|(name, _)| *name != "cursor");
        let pairs: Vec<String> = others
            .map(|(name, value)| (*name, value.as_str()))
            .chain([cursor])
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, RESERVED)))
            .collect();
        Some(format!("<{path}?{}>; rel=\"next\"", pairs.join("&")))
    }
}

/// The refusal of a parameter: of a query, or of a body.
pub fn invalid(name: &str, allowed: &str) -> ApiError {
    ApiError::InvalidParameter {
        message: format!("The parameter {name} must be {allowed}."),
        parameter: name.to_owned(),
    }
}

fn unknown(name: &str, known: &[&str]) -> ApiError {
    let name: String = name.chars().take(MAX_NAME_LENGTH).collect();
    ApiError::InvalidParameter {
        message: format!("Unknown parameter {name:?}; allowed are {}.", known.join(", ")),
        parameter: name,
    }
}

/// Decodes percent-encoding strictly: `None` for an incomplete escape, or for bytes that are not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["limit", "phone", "from", "cursor"];

    fn message(result: Result<impl std::fmt::Debug, ApiError>) -> String {
        match result.unwrap_err() {
            ApiError::InvalidParameter { message, .. } => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plus_is_a_plus_however_it_is_written() {
        for query in ["phone=+84981234567", "phone=%2B84981234567", "&phone=%2b84981234567&"] {
            let given = Parameters::read(query, &KNOWN).unwrap();
            let phone = given.get("phone", |p| Some(p.to_owned()), String::new);
            assert_eq!(phone.unwrap().as_deref(), Some("+84981234567"), "{query}");
        }
    }

    #[test]
    fn unknown_repeated_and_undecodable_parameters_are_refused_by_name() {
        let read = |query: &str| message(Parameters::read(query, &KNOWN));
        assert_eq!(
            read("stauts=sent"),
            "Unknown parameter \"stauts\"; allowed are limit, phone, from, cursor."
        );
        assert_eq!(read("limit=1&limit=1"), "The parameter limit must be given once.");
        for query in ["phone=%ff", "phone=%2", "phone=%zz", "phone=%+1"] {
            assert_eq!(read(query), "The parameter phone must be percent-encoded UTF-8.");
        }
        assert!(read(&"x".repeat(5_000)).len() < 200);
    }

    #[test]
    fn an_empty_value_is_none() {
        let given = Parameters::read("limit=&from&phone=", &KNOWN).unwrap();
        assert_eq!(given.limit(), Ok(None));
        assert_eq!(given.time("from"), Ok(None));
    }

    #[test]
    fn a_limit_is_a_whole_number_from_1_to_200() {
        let limit =
            |value: &str| Parameters::read(&format!("limit={value}"), &KNOWN).unwrap().limit();
        assert_eq!(limit("1"), Ok(Some(1)));
        assert_eq!(limit("200"), Ok(Some(200)));
        for value in ["0", "201", "-1", "+1", "1.0", "ten", "99999999999999999999"] {
            assert_eq!(
                message(limit(value)),
                "The parameter limit must be a whole number from 1 to 200."
            );
        }
    }

    #[test]
    fn the_next_page_is_the_same_query_from_another_place() {
        let given = Parameters::read("cursor=old&phone=+849&limit=2", &KNOWN).unwrap();
        assert_eq!(
            given.next_page("/x", Some("new")).as_deref(),
            Some("</x?phone=%2B849&limit=2&cursor=new>; rel=\"next\"")
        );
        assert_eq!(given.next_page("/x", None), None);
    }
}
