//! A browser without rendering and scripts: it keeps cookies, submits forms and returns redirects.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use totp_rs::{Builder, Secret};

use crate::Gateway;

pub const PASSWORD: &str = "correct horse battery";

/// The response to a page request.
#[derive(Debug, Clone)]
pub struct PageResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl PageResponse {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn location(&self) -> &str {
        self.header(LOCATION.as_str())
    }

    /// The value of the page's first `<input id="secret">`.
    pub fn secret(&self) -> String {
        between(&self.text, "id=\"secret\"", ">")
            .and_then(|input| between(input, "value=\"", "\""))
            .unwrap_or_else(|| panic!("no secret: {}", self.text))
            .to_owned()
    }

    pub fn form_token(&self) -> Option<&str> {
        between(&self.text, "name=\"form_token\" value=\"", "\"")
    }

    pub fn must_contain(&self, text: &str) -> &Self {
        assert!(self.text.contains(text), "{text:?} is not on: {}", self.text);
        self
    }
}

pub fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

#[derive(Clone)]
pub struct Visitor {
    pub base: String,
    pub http: reqwest::Client,
    pub cookies: BTreeMap<String, String>,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
}

impl Visitor {
    pub fn of(gateway: &Gateway) -> Visitor {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_idle_timeout(Duration::from_secs(2))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Visitor { base: gateway.url.clone(), http, cookies: BTreeMap::new(), headers: Vec::new() }
    }

    /// A visitor that has just signed up.
    pub async fn signed_up(gateway: &Gateway, email: &str) -> Visitor {
        let mut visitor = Visitor::of(gateway);
        let fields = [("email", email), ("password", PASSWORD)];
        let seen = visitor.submit("/auth/sign-up", "/auth/sign-up", &fields).await;
        assert_eq!((seen.status, seen.location()), (303, "/dashboard"), "{}", seen.text);
        visitor
    }

    pub async fn sign_in(&mut self, email: &str, password: &str) -> PageResponse {
        let fields = [("email", email), ("password", password)];
        self.submit("/auth/sign-in", "/auth/sign-in", &fields).await
    }

    pub async fn get(&mut self, path: &str) -> PageResponse {
        let request = self.http.get(format!("{}{path}", self.base));
        self.send(request).await
    }

    /// Posts only these fields, without a form token.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> PageResponse {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.finish());
        self.send(request).await
    }

    /// Opens `page` and posts these fields with its form token to `path`.
    pub async fn submit(
        &mut self,
        page: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> PageResponse {
        let form = self.get(page).await;
        let token = form
            .form_token()
            .unwrap_or_else(|| panic!("no form on {page}: {}", form.text))
            .to_owned();
        let fields = [fields, &[("form_token", token.as_str())]].concat();
        self.post(path, &fields).await
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> PageResponse {
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("Cookie", pairs.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            match value.is_empty() || attributes.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        PageResponse {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await.unwrap(),
        }
    }

    /// Creates an API key and returns its text.
    pub async fn new_key(&mut self, name: &str) -> String {
        let page = "/dashboard/api-keys";
        let fields = [("name", name), ("kind", "live")];
        let seen = self.submit(page, page, &fields).await;
        assert_eq!(seen.status, 201, "{}", seen.text);
        seen.secret()
    }

    /// The first id that follows `path` on a page.
    pub async fn id_after(&mut self, page: &str, path: &str) -> String {
        let seen = self.get(page).await;
        let mut ids =
            seen.text.split(path).skip(1).map(|rest| rest.chars().take(36).collect::<String>());
        ids.find(|id| uuid::Uuid::parse_str(id).is_ok())
            .unwrap_or_else(|| panic!("no {path} on {page}: {}", seen.text))
    }
}

/// The code of an authenticator app, `steps` 30-second steps from now.
pub fn app_code(secret: &str, steps: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let totp =
        Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap();
    totp.generate(now.checked_add_signed(30 * steps).unwrap()).to_string()
}
