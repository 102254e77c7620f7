//! A kill at an fsync loses no approval that was answered, and approves none twice.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nexo_domain::installation_secret::InstallationSecret;
use nexo_domain::verification::code::{CodeKey, CodeLength};
use serde_json::{Value, json};

use super::gateway::{Process, Site};
use harness::{Backend, client};

const SYNCS: &str = "fsync,fdatasync";
/// The fsyncs of each thread at which it is killed, in the short and in the long form.
const SHORT_RUN: [u32; 5] = [1, 3, 8, 17, 30];
const LONG_RUN: std::ops::RangeInclusive<u32> = 1..=30;
/// How many verifications one process makes at most, and how many at the same time.
const ROUNDS: u32 = 12;
const AT_ONCE: u32 = 4;
const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_an_fsync_loses_and_doubles_no_approval() {
    kill_at_each(SHORT_RUN).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: tests/system/crash/run fsync"]
async fn a_kill_at_each_of_the_first_thirty_fsyncs_loses_and_doubles_no_approval() {
    kill_at_each(LONG_RUN).await;
}

/// What the customer was told.
#[derive(Default)]
struct Told {
    started: HashSet<String>,
    approved: HashSet<String>,
}

async fn kill_at_each(numbers: impl IntoIterator<Item = u32>) {
    let site = Site::new(Backend::Sqlite);
    let mut told = Told::default();
    let (mut next, mut kills) = (0, 0);
    for n in numbers {
        let inject = format!("{SYNCS}:signal=KILL:when={n}");
        if let Some(mut process) = site.start_injected(&inject) {
            let deadline = Instant::now() + TIMEOUT;
            for _ in 0..ROUNDS {
                if process.has_exited() || Instant::now() >= deadline {
                    break;
                }
                let requests = (0..AT_ONCE).map(|_| {
                    next += 1;
                    verify(&site, &process, next)
                });
                for (id, approvals) in join_all(requests).await.into_iter().flatten() {
                    assert!(approvals <= 1, "{id} was approved {approvals} times");
                    told.approved.extend((approvals == 1).then(|| id.clone()));
                    told.started.insert(id);
                }
            }
            kills += u32::from(process.has_exited());
            process.kill();
        }
        let process = site.start();
        check_all(&site, &process, &told).await;
        process.kill();
    }
    println!("{} started, {} approved, {kills} kills", told.started.len(), told.approved.len());
    assert!(kills > 0 && told.approved.len() >= 5, "the run proves nothing");
}

/// Starts a verification and checks the right code twice at once. Returns its id and how often it was told to be
/// approved; `None` if the start was not answered.
async fn verify(site: &Site, process: &Process, n: u32) -> Option<(String, usize)> {
    let phone = format!("+8498{n:05}40");
    let (status, started) = post(site, process, "verifications", json!({ "phone": phone })).await?;
    assert!([202, 503, 500].contains(&status), "{started}");
    let id = started["id"].as_str().filter(|_| status == 202)?.to_owned();
    let path = format!("verifications/{id}/check");
    let code = code(site, &id)?;
    let checks = (0..2).map(|_| post(site, process, &path, json!({ "code": code })));
    let answers = join_all(checks).await;
    let approvals = answers.iter().flatten().filter(|(_, json)| json["valid"] == true).count();
    Some((id, approvals))
}

/// After a restart: what was told is so, and nothing is approved a second time.
async fn check_all(site: &Site, process: &Process, told: &Told) {
    for id in &told.started {
        let url = format!("{}/api/v1/verifications/{id}", process.url);
        let answer = client().get(url).bearer_auth(&site.key).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{id} was started and is lost");
        let verification: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let is_approved = verification["status"] == "approved";
        assert!(is_approved || !told.approved.contains(id), "lost: {verification}");
        if is_approved {
            let check = json!({ "code": code(site, id).unwrap() });
            let path = format!("verifications/{id}/check");
            let (status, again) = post(site, process, &path, check).await.unwrap();
            assert_eq!((status, &again["status"]), (409, &json!("approved")), "{again}");
        }
    }
    let audit = site.command(&["audit"]);
    assert_eq!(audit["ok"], true, "{audit:#}");
}

/// `None` if the gateway died.
async fn post(site: &Site, process: &Process, path: &str, body: Value) -> Option<(u16, Value)> {
    let url = format!("{}/api/v1/{path}", process.url);
    let request = client().post(url).bearer_auth(&site.key).body(body.to_string());
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_str(&answer.text().await.ok()?).ok()?))
}

/// The code, computed from the secret that the gateway has made.
fn code(site: &Site, id: &str) -> Option<String> {
    let database = Path::new(site.database.url.strip_prefix("sqlite://").unwrap());
    let secret = std::fs::read_to_string(format!("{}.secret", database.display())).ok()?;
    let key = CodeKey::of(&InstallationSecret::from_hex(secret.trim_end()).ok()?);
    let code = key.code(id.parse().ok()?, CodeLength::default());
    Some(code.digits().iter().map(|digit| char::from(b'0' + digit)).collect())
}
