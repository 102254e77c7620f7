//! Examples of API calls that several pages show.

/// The number of examples with a test key: no phone rings.
const TEST_PHONE: &str = "+84981234567";
/// In examples with a live key, to be replaced by the reader's own number.
const OWN_PHONE: &str = "+84…";

/// A `curl` command that sends an OTP with the given key. With a live key it names no number that may be somebody's.
pub fn send_otp_curl(url: &str, key: &str) -> String {
    let phone = match key.starts_with("sk_live_") {
        true => OWN_PHONE,
        false => TEST_PHONE,
    };
    format!(
        r#"curl -X POST {url} \
  -H "Authorization: Bearer {key}" \
  -H "Content-Type: application/json" \
  -d '{{"phone":"{phone}","code":"482917"}}'"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_with_a_live_key_dials_no_number() {
        let live = send_otp_curl("http://x", "sk_live_abc");
        assert!(live.contains(r#""phone":"+84…""#), "{live}");
        for key in ["sk_test_abc", "$NEXO_KEY"] {
            assert!(send_otp_curl("http://x", key).contains(TEST_PHONE));
        }
    }
}
