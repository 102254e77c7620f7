//! Chromium controlled through chromedriver.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Map, Value, json};

use harness::visitor::PASSWORD;
use harness::{answer, client, ports};

/// Returns the faults of a page's layout. It scrolls only vertically, as a reader would.
const LAYOUT: &str = r#"
const faults = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) faults.push(`scrolls sideways by ${root.scrollWidth - root.clientWidth}`);
const name = (element) => element.outerHTML.slice(0, 120);
for (const element of document.querySelectorAll('main :is(a, button, summary, select, input, textarea)')) {
  if (element.type === 'hidden' || !element.checkVisibility({ opacityProperty: true })) continue;
  const place = () => element.getClientRects()[0];
  if (!place() || place().width < 2) continue;
  scrollTo({ top: scrollY + place().top - innerHeight / 2, behavior: 'instant' });
  const { left, right, top, bottom } = place();
  if (left < 0 || right > root.clientWidth + 0.5) {
    faults.push(`outside the screen (${Math.round(left)} to ${Math.round(right)}): ${name(element)}`);
    continue;
  }
  const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  // An open menu lies over the page.
  if (hit?.closest('details.menu[open]')) continue;
  if (!hit || !(element.contains(hit) || hit.control === element)) {
    faults.push(`covered by ${hit ? name(hit) : 'nothing'}: ${name(element)}`);
  }
}
// Fields side by side: labels on one line, controls on one line, none over another.
for (const row of document.querySelectorAll('.row')) {
  const parts = [...row.children].filter((part) => part.checkVisibility()).map((part) => {
    const label = part.querySelector('label');
    return { label, control: part.matches('button') ? part : part.querySelector('input, select, button') };
  }).filter((part) => part.control);
  for (let i = 1; i < parts.length; i++) {
    const [before, here] = [parts[i - 1], parts[i]].map((part) => part.control.getBoundingClientRect());
    if (here.left <= before.left) continue;
    const [labelBefore, label] = [parts[i - 1], parts[i]].map((part) => part.label?.getBoundingClientRect());
    if (Math.abs(here.top - before.top) > 1 || Math.abs(here.bottom - before.bottom) > 1) {
      faults.push(`not on the line of the field before: ${name(parts[i].control)}`);
    }
    if (label && labelBefore && Math.abs(label.bottom - labelBefore.bottom) > 1) {
      faults.push(`not on the line of the label before: ${name(parts[i].label)}`);
    }
    if (before.right > here.left) faults.push(`covers the next field: ${name(parts[i - 1].control)}`);
  }
}
for (const text of document.querySelectorAll('svg text')) {
  if (!text.checkVisibility()) continue;
  const size = parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a;
  if (size < 10) faults.push(`text of ${size.toFixed(1)} px: ${text.textContent}`);
}
scrollTo({ top: 0, behavior: 'instant' });
return faults;
"#;

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
    driver_port: u16,
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
        Browser {
            client,
            base: base.to_owned(),
            screen,
            name: name.to_owned(),
            driver,
            driver_port: port,
            shots: 0,
        }
    }

    /// Runs a command of the DevTools protocol and returns its result.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let session = self.client.session_id().await.unwrap().unwrap();
        let port = self.driver_port;
        let url = format!("http://127.0.0.1:{port}/session/{session}/goog/cdp/execute");
        let body = json!({ "cmd": command, "params": parameters }).to_string();
        let response = answer(client().post(url).body(body)).await;
        assert_eq!(response.status, 200, "{command}: {}", response.text);
        response.json["value"].clone()
    }

    /// Gives the page this width, in CSS pixels.
    pub async fn set_width(&self, width: u32) {
        let metrics = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Sets the colour scheme that the page sees: `light` or `dark`.
    pub async fn set_colour_scheme(&self, scheme: &str) {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", feature).await;
    }

    /// Sets the browser's time zone by its IANA name.
    pub async fn set_time_zone(&self, zone: &str) {
        self.devtools("Emulation.setTimezoneOverride", json!({ "timezoneId": zone })).await;
    }

    /// Saves a picture of the whole page.
    pub async fn save_picture(&self, file: &str) {
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", whole).await;
        let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(screenshots().join(file), picture).unwrap();
    }

    /// The paths that the elements matching this selector link to.
    pub async fn links(&self, css: &str) -> Vec<String> {
        let script = format!(
            "return [...document.querySelectorAll({})].map((a) => a.getAttribute('href'))",
            json!(css)
        );
        let found = self.run(&script).await;
        found.as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect()
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

    /// What is wrong with the page: it scrolls sideways; a link, button or field is outside the screen or covered; a
    /// diagram's text is too small; or axe-core finds a serious or critical violation.
    pub async fn faults(&self) -> Vec<Value> {
        let mut faults = self.layout_faults().await;
        // axe-core needs scripts.
        if self.screen != Screen::NoScript {
            faults.extend(self.accessibility_faults().await.as_array().unwrap().clone());
        }
        faults
    }

    /// What is outside the screen, covered or too small.
    pub async fn layout_faults(&self) -> Vec<Value> {
        self.run(LAYOUT).await.as_array().unwrap().clone()
    }

    /// Saves a screenshot and asserts that the page has no faults.
    pub async fn check_page(&mut self, what: &str) {
        self.shots += 1;
        let file = format!("{}-{:02}-{what}.png", self.name, self.shots);
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(screenshots().join(file), picture).unwrap();
        let faults = self.faults().await;
        assert!(faults.is_empty(), "{what}: {faults:#?}");
    }

    async fn accessibility_faults(&self) -> Value {
        let axe = std::env::var("NEXO_TEST_AXE").expect("NEXO_TEST_AXE: tests/run sets it");
        let source = std::fs::read_to_string(axe).unwrap();
        self.client.execute(&source, Vec::new()).await.unwrap();
        self.client
            .execute_async(
                "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] })\
                 .then((r) => done(r.violations.filter((v) => \
                 ['serious', 'critical'].includes(v.impact)).map((v) => ({ id: v.id, \
                 nodes: v.nodes.map((n) => n.html.slice(0, 160) + ' ' + n.failureSummary) }))))\
                 .catch((e) => done([{ id: String(e) }]));",
                Vec::new(),
            )
            .await
            .unwrap()
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
