//! Debian's Prometheus with the shipped configuration and shorter times: it scrapes each second, and alerts
//! fire after two seconds instead of minutes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use harness::ports::free_ports;
use harness::{Gateway, answer, client, until};

pub struct Prometheus {
    pub url: String,
    rules: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    /// Starts Prometheus with the files in `shipped`, scraping this gateway.
    pub async fn start(shipped: &Path, gateway: &Gateway) -> Prometheus {
        let dir = tempfile::tempdir().unwrap();
        let target = gateway.metrics.trim_start_matches("http://").trim_end_matches("/metrics");
        let read = |name: &str| std::fs::read_to_string(shipped.join(name)).unwrap();
        let config = read("prometheus.yml");
        let nodes = r#"["nexo-a:9464", "nexo-b:9464"]"#;
        assert!(config.contains(nodes) && config.contains("scrape_interval: 5s"), "{config}");
        let config = config
            .replace(nodes, &format!(r#"["{target}"]"#))
            .replace("scrape_interval: 5s", "scrape_interval: 1s")
            .replace("evaluation_interval: 15s", "evaluation_interval: 1s");
        let rules: Vec<String> = read("rules/nexo.yml").lines().map(shortened).collect();
        let rules = rules.join("\n");
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        std::fs::write(dir.path().join("rules/nexo.yml"), &rules).unwrap();
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let address = format!("127.0.0.1:{}", free_ports(1));
        let path = |name: &str| dir.path().join(name).display().to_string();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml")))
            .arg(format!("--storage.tsdb.path={}", path("data")))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn()
            .expect("Debian's package prometheus");
        let prometheus = Prometheus { url: format!("http://{address}"), rules, child, _dir: dir };
        until("Prometheus is ready", Duration::from_secs(30), async || {
            let ready = client().get(format!("{}/-/ready", prometheus.url)).send();
            ready.await.ok().filter(|ready| ready.status() == 200).map(|_| ())
        })
        .await;
        prometheus
    }

    /// Waits until the gateway was scraped.
    pub async fn scraped(&self) {
        until("the first scrape", Duration::from_secs(30), async || {
            let up = self.query("up == 1").await;
            (!up.is_empty()).then_some(())
        })
        .await;
    }

    async fn get(&self, path: &str) -> Value {
        let response = answer(client().get(format!("{}/api/v1/{path}", self.url))).await;
        assert_eq!(response.json["status"], "success", "{path}: {}", response.text);
        response.json["data"].clone()
    }

    /// The series that this query returns now.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let arguments = [("query", query)];
        let url = url::Url::parse_with_params(&format!("{}/api/v1/query", self.url), arguments);
        let response = client().get(url.unwrap());
        let response = answer(response).await;
        assert_eq!(response.json["status"], "success", "{query}: {}", response.text);
        response.json["data"]["result"].as_array().unwrap().clone()
    }

    /// The names of the firing alerts.
    pub async fn firing(&self) -> BTreeSet<String> {
        let alerts = self.get("alerts").await;
        let alerts = alerts["alerts"].as_array().unwrap();
        alerts
            .iter()
            .filter(|alert| alert["state"] == "firing")
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Asserts that every rule was evaluated without an error.
    pub async fn rules_are_healthy(&self) {
        let groups = self.get("rules").await;
        let groups = groups["groups"].as_array().unwrap();
        let rules: Vec<&Value> =
            groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        assert!(rules.len() > 30);
        for rule in rules {
            assert_eq!(rule["health"], "ok", "{rule:#}");
        }
    }

    /// The series that the recording rules write.
    pub fn recorded(&self) -> Vec<&str> {
        let recorded: Vec<&str> =
            self.rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
        assert!(recorded.len() > 5);
        recorded
    }

    /// The metrics that the rules read.
    pub fn metrics_of_rules(&self) -> BTreeSet<String> {
        let expressions = self.rules.lines().filter(|line| line.trim().starts_with("expr:"));
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        expressions
            .flat_map(|line| line.split(move |c: char| !is_of_name(c)))
            .filter(|word| word.starts_with("nexo_"))
            .map(str::to_owned)
            .collect()
    }
}

/// A line of the rules with its duration reduced to two seconds.
fn shortened(line: &str) -> String {
    match line.split_once("for: ") {
        Some((indent, duration)) if indent.trim().is_empty() && duration != "0m" => {
            format!("{indent}for: 2s")
        }
        _ => line.to_owned(),
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
