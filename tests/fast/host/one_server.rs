//! Tests that one gateway serves an SQLite file, by whatever name it is opened.

use std::path::Path;

use harness::{Backend, Customer, Gateway, phone};

const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");

/// Rings without an answer, so that the call is in progress for long.
const RINGS: u32 = 91;

/// Asserts that a second server with this database URL is refused and leaves the call in progress alone.
async fn assert_refused(gateway: &Gateway, customer: &Customer, url: &str, delivery: &str) {
    let (code, error) = gateway.second_server_with(&[("NEXO_DATABASE__URL", url)]);
    assert_eq!(code, Some(1), "{url}: {error}");
    assert!(error.contains("another nexo serves"), "{url}: {error}");
    assert_eq!(error.lines().count(), 1, "{url}: {error}");
    let delivery = customer.get(&format!("deliveries/{delivery}")).await;
    assert_eq!(delivery.json["status"], "sent", "{url}: {}", delivery.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_the_database_does_not_let_a_second_server_in() {
    let settings = [QUICK, ("NEXO_CALLS__RING_TIMEOUT_SECONDS", "40")];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "1.00");
    let sent = customer.send(&phone(RINGS), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let delivery = sent.json["id"].as_str().unwrap();
    let dir = gateway.dir.path();
    let file = dir.join("data/nexo.db");
    let elsewhere = dir.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&file, elsewhere.join("soft.db")).unwrap();
    std::os::unix::fs::symlink(dir.join("data"), elsewhere.join("data")).unwrap();
    std::fs::hard_link(&file, elsewhere.join("hard.db")).unwrap();
    let url = |path: &Path| format!("sqlite://{}", path.display());
    for url in [
        url(&elsewhere.join("soft.db")),
        url(&elsewhere.join("data/nexo.db")),
        url(&elsewhere.join("hard.db")),
        url(&dir.join("data/../data/nexo.db")),
        "sqlite://d%61ta/nexo.db".to_owned(),
        "sqlite:data/nexo.db?mode=rwc".to_owned(),
    ] {
        assert_refused(&gateway, &customer, &url, delivery).await;
    }
    // SQLite derives the names of its journal from the file's name: none was made beside the hard link.
    let names: Vec<_> = std::fs::read_dir(&elsewhere)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("hard.db-"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
    // A command would have used another journal through the hard link, and lost what is in the first one's.
    let hard = elsewhere.join("hard.db");
    let error = gateway.fail(&[("NEXO_DATABASE__URL", &url(&hard))], &["account", "list"]);
    assert!(error.contains("has 2 hard links"), "{error}");
    std::fs::remove_file(&hard).unwrap();
    // Commands work meanwhile.
    let keys = gateway.nexo(&["key", "list", "--account", "a@example.com"]);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    gateway.customer("b@example.com", "1.00");
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_ends_with_the_process() {
    let mut gateway = Gateway::start(Backend::Sqlite, &[QUICK]);
    let customer = gateway.customer("a@example.com", "1.00");
    gateway.kill_and_restart();
    let customer = Customer { api: format!("{}/api/v1", gateway.url), ..customer };
    let sent = customer.send(&phone(67), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
}
