//! How customers reach this gateway.

use url::Url;

/// The configured public URL, taken apart once.
#[derive(Debug, Clone)]
pub struct PublicUrl {
    base: String,
    host: String,
    is_https: bool,
}

impl PublicUrl {
    /// Of a URL that the configuration has checked.
    pub fn of(text: &str) -> PublicUrl {
        let parsed = Url::parse(text).ok();
        let host = parsed.as_ref().map_or(String::new(), |url| {
            let host = url.host_str().unwrap_or_default();
            url.port()
                .map_or(host.to_owned(), |port| format!("{host}:{port}"))
        });
        PublicUrl {
            base: text.trim_end_matches('/').to_owned(),
            host,
            is_https: parsed.is_some_and(|url| url.scheme() == "https"),
        }
    }

    /// A link to `path`, which begins with a slash.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Host, and port where it is not the scheme's own, as browsers write it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether browsers reach it by https: cookies are then `Secure`, and plain http is refused for good.
    pub fn is_https(&self) -> bool {
        self.is_https
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_gives_links_and_its_host() {
        let url = PublicUrl::of("https://otp.example.com/");
        assert_eq!(url.link("/en"), "https://otp.example.com/en");
        assert_eq!((url.host(), url.is_https()), ("otp.example.com", true));
        let url = PublicUrl::of("http://127.0.0.1:8080");
        assert_eq!((url.host(), url.is_https()), ("127.0.0.1:8080", false));
    }
}
