//! The public URL under which customers reach the gateway.

use url::Url;

/// The configured public URL, parsed once.
#[derive(Debug, Clone)]
pub struct PublicUrl {
    base: String,
    host: String,
    host_name: String,
    is_https: bool,
}

impl PublicUrl {
    /// Parses a URL that the configuration has already validated.
    pub fn of(text: &str) -> PublicUrl {
        let parsed = Url::parse(text).ok();
        let host = parsed.as_ref().map_or(String::new(), |url| {
            let host = url.host_str().unwrap_or_default();
            url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"))
        });
        PublicUrl {
            base: text.trim_end_matches('/').to_owned(),
            host,
            host_name: parsed.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned(),
            is_https: parsed.is_some_and(|url| url.scheme() == "https"),
        }
    }

    /// The absolute URL of `path`, which begins with a slash.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The host, with the port unless it is the scheme's default, as browsers write it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host without the port.
    pub fn host_name(&self) -> &str {
        &self.host_name
    }

    /// Whether browsers use https: cookies are then `Secure`, and browsers never use plain http again.
    pub fn is_https(&self) -> bool {
        self.is_https
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_gives_links_and_the_host() {
        let url = PublicUrl::of("https://otp.example.com/");
        assert_eq!(url.link("/en"), "https://otp.example.com/en");
        assert_eq!((url.host(), url.is_https()), ("otp.example.com", true));
        let url = PublicUrl::of("http://127.0.0.1:8080");
        assert_eq!(url.host_name(), "127.0.0.1");
        assert_eq!((url.host(), url.is_https()), ("127.0.0.1:8080", false));
    }
}
