//! The parent span of spans in another process or a later task (W3C Trace Context, level 1).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A span of a sampled trace. Its text is the value of a `traceparent` header (W3C Trace Context §3.2):
/// `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: u128,
    pub span_id: u64,
}

/// The text is not a `traceparent` of version 00 with the sampled flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a traceparent such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
pub struct InvalidTraceParent;

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace_id, self.span_id)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let fields: Vec<&str> = text.split('-').collect();
        let ["00", trace_id, span_id, "01"] = fields[..] else {
            return Err(InvalidTraceParent);
        };
        let hex = |field: &str, length| {
            let is_hex = field.len() == length && field.bytes().all(|b| b.is_ascii_hexdigit());
            u128::from_str_radix(field, 16).ok().filter(|id| is_hex && *id != 0)
        };
        Ok(TraceParent {
            trace_id: hex(trace_id, 32).ok_or(InvalidTraceParent)?,
            span_id: hex(span_id, 16).ok_or(InvalidTraceParent)? as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_parsed_and_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read: TraceParent = text.parse().unwrap();
        assert_eq!(read.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(read.span_id, 0xb7ad_6b71_6920_3331);
        assert_eq!(read.to_string(), text);
    }

    #[test]
    fn leading_zeros_are_kept() {
        let parent = TraceParent { trace_id: 1, span_id: 2 };
        let text = "00-00000000000000000000000000000001-0000000000000002-01";
        assert_eq!(parent.to_string(), text);
        assert_eq!(text.parse(), Ok(parent));
    }

    #[test]
    fn text_that_is_not_a_sampled_traceparent_is_refused() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text}");
        }
    }
}
