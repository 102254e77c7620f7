//! More than it can take, through the binary: 503 with `Retry-After` at once, nothing spent, and all well
//! afterwards.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::ports::free_ports;
use harness::{Answer, Backend, Customer, Gateway, answer, per_database, phone};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use serde_json::json;

const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");
/// How soon a store that stands still has to be noticed. The debit that finds it so waits for two seconds.
const SOON: Duration = Duration::from_millis(3_500);

fn assert_overloaded(answer: &Answer) {
    let said = (answer.status, answer.error());
    assert_eq!(said, (503, "overloaded"), "{}", answer.text);
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds));
}

async fn timed<F: Future<Output = Answer>>(asked: F) -> Answer {
    let since = Instant::now();
    let answer = asked.await;
    assert!(
        since.elapsed() < SOON,
        "{:?}: {}",
        since.elapsed(),
        answer.text
    );
    answer
}

/// Holds up everything that writes a wallet until it is rolled back.
async fn stall(database: &DatabaseConnection) -> sea_orm::DatabaseTransaction {
    let options = sea_orm::TransactionOptions {
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction = database.begin_with_options(options).await.unwrap();
    if database.get_database_backend() == sea_orm::DatabaseBackend::Postgres {
        let lock = "LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE";
        transaction.execute_unprepared(lock).await.unwrap();
    }
    transaction
}

async fn deliveries(database: &DatabaseConnection) -> i64 {
    let statement = sea_orm::Statement::from_string(
        database.get_database_backend(),
        "SELECT COUNT(*) FROM deliveries",
    );
    let row = database.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn keyed(customer: &Customer, key: &str, phone: &str) -> Answer {
    let request = customer
        .http
        .post(format!("{}/send-otp", customer.api))
        .bearer_auth(&customer.key)
        .header("Idempotency-Key", key)
        .body(json!({ "phone": phone, "code": "482917" }).to_string());
    answer(request).await
}

/// Asks until the answer is another than 503, as a customer does who is told to try again.
async fn in_the_end<F: Future<Output = Answer>>(mut ask: impl FnMut() -> F) -> Answer {
    let give_up = Instant::now() + Duration::from_secs(15);
    loop {
        let answer = ask().await;
        if answer.status != 503 {
            return answer;
        }
        assert_overloaded(&answer);
        assert!(Instant::now() < give_up, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn accepted_in_the_end(customer: &Customer, to: &str) {
    let sent = in_the_end(|| customer.send(to, "482917")).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
}

#[per_database]
async fn a_store_that_stands_still_is_a_503_at_once_and_takes_nothing(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let customer = gateway.customer("a@example.com", "10.00");
    // A call that ends while nothing can be written.
    let before = customer.send(&phone(90), "1234").await;
    assert_eq!(before.status, 202);
    let database = Database::connect(gateway.database_url()).await.unwrap();
    let stalled = stall(&database).await;
    let phones: Vec<String> = (0..40).map(|_| phone(90)).collect();
    // Two rounds: the second arrives where the first has been refused already.
    for _ in 0..2 {
        let plain = join_all(
            phones[..20]
                .iter()
                .map(|to| timed(customer.send(to, "1234"))),
        );
        let with_keys = join_all(
            phones[20..]
                .iter()
                .map(|to| timed(keyed(&customer, to, to))),
        );
        let (plain, with_keys) = tokio::join!(plain, with_keys);
        plain.iter().chain(&with_keys).for_each(assert_overloaded);
    }
    stalled.rollback().await.unwrap();
    assert_eq!(deliveries(&database).await, 1);
    // No phone is left behind a window, and no key taken.
    accepted_in_the_end(&customer, &phones[0]).await;
    for to in &phones[1..20] {
        assert_eq!(customer.send(to, "1234").await.status, 202);
    }
    for to in &phones[20..] {
        let sent = keyed(&customer, to, to).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        assert_eq!(sent.header("idempotent-replayed"), None);
    }
    assert_eq!(deliveries(&database).await, 41);
    let ended = customer.terminal(before.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["error_code"], "busy");
    assert_eq!(gateway.metric("nexo_internal_errors_total").await, 0.0);
    gateway.audit();
}

#[per_database]
async fn a_full_trunk_is_a_503_at_once_and_is_free_again_when_a_call_ends(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let config = gateway.dir.path().join("nexo.toml");
    std::fs::write(&config, "[[carriers]]\nname = \"viettel\"\nchannels = 2\n").unwrap();
    let mut gateway = gateway;
    gateway.kill_and_restart();
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = join_all((0..10).map(|_| phone(67)).map(|to| {
        let customer = customer.clone();
        async move { timed(customer.send(&to, "1234")).await }
    }))
    .await;
    let accepted: Vec<&Answer> = sent.iter().filter(|answer| answer.status == 202).collect();
    assert_eq!(accepted.len(), 2);
    for refused in sent.iter().filter(|answer| answer.status != 202) {
        assert_overloaded(refused);
    }
    assert_eq!(customer.balance().await.0, "9.956");
    for sent in accepted {
        customer.terminal(sent.json["id"].as_str().unwrap()).await;
    }
    accepted_in_the_end(&customer, &phone(90)).await;
    gateway.audit();
}

/// A PostgreSQL of the test's own, to be stopped and frozen.
struct Server {
    dir: tempfile::TempDir,
    port: u16,
    bin: PathBuf,
}

impl Server {
    fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let port = free_ports(1);
        let mut bins: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .unwrap()
            .map(|version| version.unwrap().path().join("bin"))
            .collect();
        bins.sort();
        let bin = bins.pop().unwrap();
        let server = Server { dir, port, bin };
        if is_root() {
            let owner = ["postgres".as_ref(), server.dir.path().as_os_str()];
            let owned = Command::new("chown").args(owner).status().unwrap();
            assert!(owned.success());
        }
        let data = server.data();
        server.run(
            "initdb",
            &["-D", &data, "-U", "nexo", "-A", "trust", "--no-sync"],
        );
        server.up();
        server
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    fn url(&self) -> String {
        format!("postgres://nexo@127.0.0.1:{}/postgres", self.port)
    }

    fn run(&self, program: &str, args: &[&str]) {
        let program = self.bin.join(program);
        let mut command = as_postgres(&program);
        let status = command
            .args(args)
            .current_dir("/")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program:?} {args:?}");
    }

    fn up(&self) {
        let sockets = self.dir.path().display();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={sockets}",
            self.port
        );
        let log = self.dir.path().join("log").display().to_string();
        self.run(
            "pg_ctl",
            &[
                "-D",
                &self.data(),
                "-l",
                &log,
                "-w",
                "-o",
                &options,
                "start",
            ],
        );
    }

    fn down(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let mut stop = as_postgres(&self.bin.join("pg_ctl"));
        stop.args(["-D", &data, "-m", "immediate", "stop"]);
        let _ = stop
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// PostgreSQL does not run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_is_a_503_and_never_a_401_or_500() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let server = Server::start();
    let url = server.url();
    let gateway = Gateway::start(Backend::Sqlite, &[QUICK, ("NEXO_DATABASE__URL", &url)]);
    let known = gateway.customer("a@example.com", "10.00");
    let unknown = gateway.customer("b@example.com", "10.00");
    let sent = known.send(&phone(90), "1234").await;
    assert_eq!(sent.status, 202);
    let delivery = format!("deliveries/{}", sent.json["id"].as_str().unwrap());
    known.terminal(sent.json["id"].as_str().unwrap()).await;
    server.down();
    for _ in 0..3 {
        for customer in [&known, &unknown] {
            let (to, other) = (phone(90), phone(90));
            let (plain, keyed, balance, read) = tokio::join!(
                timed(customer.send(&to, "1234")),
                timed(keyed(customer, "k", &other)),
                timed(customer.get("balance")),
                timed(customer.get(&delivery)),
            );
            [plain, keyed, balance, read]
                .iter()
                .for_each(assert_overloaded);
        }
    }
    server.up();
    for (customer, left) in [(&known, "9.934"), (&unknown, "9.956")] {
        accepted_in_the_end(customer, &phone(90)).await;
        let to = phone(90);
        let sent = in_the_end(|| keyed(customer, "k", &to)).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let balance = in_the_end(|| customer.get("balance")).await;
        assert_eq!(harness::number(&balance.text, "balance"), left);
    }
    gateway.audit();
}
