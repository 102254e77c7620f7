//! Examples of API calls that several pages show.

/// A `curl` command that sends an OTP with the given key.
pub fn send_otp_curl(url: &str, key: &str) -> String {
    format!(
        r#"curl -X POST {url} \
  -H "Authorization: Bearer {key}" \
  -H "Content-Type: application/json" \
  -d '{{"phone":"+84981234567","code":"482917"}}'"#
    )
}
