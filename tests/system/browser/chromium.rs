//! Chromium controlled through chromedriver.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Map, Value, json};

use harness::ports;
use harness::visitor::PASSWORD;

/// Screen size, colour scheme and script support.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Screen {
    Wide,
    /// A phone, 390 pixels wide.
    Phone,
    /// A wide screen with a dark colour scheme.
    Dark,
    /// A wide screen with scripts blocked.
    NoScript,
}

/// A browser window. The driver process ends when it is dropped.
pub struct Browser {
    pub client: Client,
    pub base: String,
    screen: Screen,
    name: String,
    driver: Child,
    shots: usize,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn capabilities(screen: Screen, language: &str) -> Map<String, Value> {
    let mut arguments = vec![
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-gpu".to_owned(),
        "--hide-scrollbars".to_owned(),
        "--window-size=1360,900".to_owned(),
        format!("--lang={language}"),
        format!("--accept-lang={language}"),
    ];
    if screen == Screen::Dark {
        arguments.push("--force-dark-mode".to_owned());
    }
    let mut options = json!({
        "args": arguments,
        "prefs": { "intl.accept_languages": language },
    });
    if screen == Screen::NoScript {
        // 2 means block. Scripts of the driver itself still run.
        options["prefs"]["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    if screen == Screen::Phone {
        options["mobileEmulation"] = json!({
            "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 2.0 },
        });
    }
    let mut capabilities = Map::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities
}

impl Browser {
    /// Opens a browser without cookies. `name` is the prefix of its screenshots.
    pub async fn open(base: &str, screen: Screen, language: &str, name: &str) -> Browser {
        let port = ports::free_ports(1);
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: tests/run installs it");
        let until = Instant::now() + Duration::from_secs(30);
        let client = loop {
            let client = ClientBuilder::new(hyper_util_connector())
                .capabilities(capabilities(screen, language))
                .connect(&format!("http://127.0.0.1:{port}"))
                .await;
            match client {
                Ok(client) => break client,
                Err(error) => assert!(Instant::now() < until, "no browser: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        Browser { client, base: base.to_owned(), screen, name: name.to_owned(), driver, shots: 0 }
    }

    pub async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    pub async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Replaces the text of the field with this id.
    pub async fn fill(&self, id: &str, text: &str) {
        self.write(&format!("[id='{id}']"), text).await;
    }

    /// Replaces the text of the field that matches this selector.
    pub async fn write(&self, css: &str, text: &str) {
        let found = self.client.find(Locator::Css(css)).await;
        let field = found.unwrap_or_else(|error| panic!("{css}: {error}"));
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Clicks the element that matches this selector.
    pub async fn click(&self, css: &str) {
        let found = self.client.find(Locator::Css(css)).await;
        found.unwrap_or_else(|error| panic!("{css}: {error}")).click().await.unwrap();
    }

    /// Clicks a link or a submit button and waits until the next page is loaded.
    pub async fn follow(&self, css: &str) {
        // The driver's own wait sometimes ends before the navigation starts.
        self.run("window.leaving = true").await;
        self.click(css).await;
        let until = Instant::now() + Duration::from_secs(60);
        let arrived = "return window.leaving === undefined && document.readyState === 'complete'";
        // During a navigation, a script may have no document to run in.
        while self.client.execute(arrived, Vec::new()).await.ok() != Some(Value::Bool(true)) {
            assert!(Instant::now() < until, "{css} leads nowhere");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Signs in with this e-mail address.
    pub async fn sign_in(&self, email: &str) {
        self.goto("/auth/sign-in").await;
        self.fill("email", email).await;
        self.fill("password", PASSWORD).await;
        self.follow("form[action='/auth/sign-in'] button").await;
        assert_eq!(self.path().await, "/dashboard");
    }

    pub async fn text(&self) -> String {
        let body = self.client.find(Locator::Css("body")).await.unwrap();
        body.text().await.unwrap()
    }

    /// Waits until the page contains this text. Reloads the page if scripts are blocked.
    pub async fn wait_for(&self, text: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let page_text = self.text().await;
            if page_text.contains(text) {
                return;
            }
            assert!(Instant::now() < until, "{text:?} not found in: {page_text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.screen == Screen::NoScript {
                tokio::time::sleep(Duration::from_millis(400)).await;
                self.client.refresh().await.unwrap();
            }
        }
    }

    async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Saves a screenshot and checks the page: no horizontal overflow, no serious accessibility violation.
    pub async fn check_page(&mut self, what: &str) {
        self.shots += 1;
        let wide = self
            .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            .await;
        assert!(wide.as_i64().unwrap() <= 0, "{what} is too wide by {wide}");
        let file = format!("{}-{:02}-{what}.png", self.name, self.shots);
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(screenshots().join(file), picture).unwrap();
        if self.screen != Screen::NoScript {
            self.assert_accessible(what).await;
        }
    }

    /// Asserts that axe-core finds no serious or critical violation.
    async fn assert_accessible(&self, what: &str) {
        let axe = std::env::var("NEXO_TEST_AXE").expect("NEXO_TEST_AXE: tests/run sets it");
        let source = std::fs::read_to_string(axe).unwrap();
        self.client.execute(&source, Vec::new()).await.unwrap();
        let found = self
            .client
            .execute_async(
                "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] })\
                 .then((r) => done(r.violations.filter((v) => \
                 ['serious', 'critical'].includes(v.impact)).map((v) => ({ id: v.id, \
                 nodes: v.nodes.map((n) => n.html.slice(0, 160) + ' ' + n.failureSummary) }))))\
                 .catch((e) => done([{ id: String(e) }]));",
                Vec::new(),
            )
            .await
            .unwrap();
        assert_eq!(found, json!([]), "{what}: {found:#}");
    }
}

fn hyper_util_connector() -> hyper_util::client::legacy::connect::HttpConnector {
    hyper_util::client::legacy::connect::HttpConnector::new()
}

/// The folder for screenshots.
pub fn screenshots() -> PathBuf {
    let folder = std::env::var_os("NEXO_TEST_SCREENSHOTS").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
