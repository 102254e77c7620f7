//! Tests of the lists on both databases: pages, filters, CSV and isolation of accounts.

use harness::past::Past;
use harness::{Answer, Backend, Customer, Gateway, answer, client, per_database, phone};
use nexo_domain::money::Micros;
use nexo_domain::timestamp;
use serde_json::Value;

fn assert_refused(answer: &Answer, parameter: &str, expected: &str) {
    assert_eq!((answer.status, answer.error()), (400, "invalid_request"), "{}", answer.text);
    assert_eq!(answer.json["parameter"], parameter, "{}", answer.text);
    let message = answer.json["message"].as_str().unwrap();
    assert!(message.contains(expected), "{message}");
    assert!(answer.header("x-request-id").is_some());
}

async fn csv(customer: &Customer, path: &str) -> Answer {
    let url = format!("{}/{path}", customer.api);
    let request = client().get(url).bearer_auth(&customer.key);
    answer(request.header("Accept", "text/csv")).await
}

/// Parses CSV with an independent parser.
fn rows(text: &str) -> Vec<Vec<String>> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes())
        .into_records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

/// All items of a list, collected page by page.
async fn walk(customer: &Customer, path: &str, list: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = customer.get(&format!("{path}{separator}cursor={cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        all.extend(page.json[list].as_array().unwrap().iter().cloned());
        match page.json["next_cursor"].as_str() {
            Some(next) => {
                let link = page.header("link").unwrap();
                assert!(link.contains(next) && link.ends_with("; rel=\"next\""), "{link}");
                cursor = next.to_owned();
            }
            None => {
                assert!(page.json["next_cursor"].is_null());
                assert_eq!(page.header("link"), None);
                return all;
            }
        }
    }
}

#[per_database]
async fn a_listed_delivery_equals_the_single_delivery(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    let mut ids = Vec::new();
    for last_two in [90, 92, 93] {
        let sent = customer.send(&phone(last_two), "482917").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let id = sent.json["id"].as_str().unwrap().to_owned();
        customer.terminal(&id).await;
        ids.push(id);
    }
    let list = customer.get("deliveries").await;
    assert_eq!(list.status, 200);
    assert_eq!(list.header("content-type"), Some("application/json"));
    assert_eq!(list.header("vary"), Some("Accept"));
    assert!(list.text.starts_with(r#"{"ok":true,"deliveries":[{"id":""#));
    assert!(list.text.ends_with(r#"],"next_cursor":null}"#), "{}", list.text);
    let listed = list.json["deliveries"].as_array().unwrap();
    ids.reverse();
    assert_eq!(listed.len(), ids.len());
    for (listed, id) in listed.iter().zip(&ids) {
        let one = customer.get(&format!("deliveries/{id}")).await;
        let inside = one.text.strip_prefix(r#"{"ok":true,"#).unwrap();
        assert!(list.text.contains(&format!("{{{inside}")), "{}", list.text);
        assert_eq!(listed["id"], id.as_str());
    }
    assert!(gateway.metric("nexo_http_requests_total").await > 0.0);
}

#[per_database]
async fn filters_and_pages_agree_and_csv_agrees_with_json(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "100.00");
    let mut past = Past::of(&gateway, &customer, "a@example.com").await;
    past.deliveries(2_500).await;
    let all = walk(&customer, "deliveries?limit=200", "deliveries").await;
    assert_eq!(all.len(), 2_500);
    let first = customer.get("deliveries").await;
    assert_eq!(first.json["deliveries"].as_array().unwrap().len(), 50);
    assert_eq!(first.json["deliveries"][0]["id"], all[0]["id"]);
    let from = "2026-05-25T17:00:05+07:00";
    let to = "2026-05-25T10:00:10.5Z";
    for (query, count) in [
        ("status=failed", 834),
        ("status=delivered", 1_666),
        ("status=sent", 0),
        ("carrier=vinaphone", 250),
        ("carrier=vinaphone&status=failed", 84),
        ("phone=+84980000007", 1),
        ("phone=%2B84980000007&status=failed", 0),
        (&format!("from={from}"), 2_000),
        (&format!("from={from}&to={to}"), 550),
        (&format!("from={from}&to={to}&status=failed&carrier=viettel"), 165),
        ("from=2026-05-25&to=2026-05-26", 2_500),
        ("from=2026-05-26", 0),
        ("to=2026-05-25", 0),
    ] {
        let path = format!("deliveries?{query}");
        let found = walk(&customer, &format!("{path}&limit=200"), "deliveries").await;
        assert_eq!(found.len(), count, "{query}");
        let as_csv = csv(&customer, &path).await;
        assert_eq!(as_csv.status, 200);
        let rows = rows(&as_csv.text);
        assert_eq!(rows.len(), count + 1, "{query}");
        for (row, item) in rows[1..].iter().zip(&found) {
            assert_eq!(row[0], item["id"].as_str().unwrap());
            assert_eq!(row[1], item["phone"].as_str().unwrap());
            assert_eq!(row[3], item["status"].as_str().unwrap());
            assert_eq!(row[4], "0.022");
            assert_eq!(row[7], item["created_at"].as_str().unwrap());
            assert!(timestamp::parse(&row[8]).is_some());
        }
    }
    assert_csv_format(&customer).await;
}

async fn assert_csv_format(customer: &Customer) {
    let whole = csv(customer, "deliveries").await;
    assert_eq!(whole.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(
        whole.header("content-disposition"),
        Some("attachment; filename=\"deliveries.csv\"")
    );
    assert!(whole.text.starts_with(
        "id,phone,carrier,status,cost,error_code,carrier_status,created_at,completed_at,refunded,reference\r\n"
    ));
    assert!(whole.text.ends_with("\r\n"));
    assert_eq!(whole.header("link"), None);
    let part = csv(customer, "deliveries?limit=3").await;
    assert_eq!(rows(&part.text).len(), 4);
    assert!(whole.text.starts_with(&part.text));
    let link = part.header("link").unwrap();
    let next = link.split(['<', '>']).nth(1).unwrap();
    let next = next.strip_prefix("/api/v1/").unwrap();
    let rest = csv(customer, &next.replace("limit=3&", "")).await;
    let (_, body) = rest.text.split_once("\r\n").unwrap();
    assert_eq!(format!("{}{body}", part.text), whole.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_parameters_are_refused_by_name() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "0");
    for (query, parameter, expected) in [
        ("limit=0", "limit", "from 1 to 200"),
        ("limit=201", "limit", "from 1 to 200"),
        ("limit=ten", "limit", "from 1 to 200"),
        ("limit=1&limit=2", "limit", "given once"),
        ("status=done", "status", "one of sent, delivered, failed"),
        ("status=Sent", "status", "one of sent, delivered, failed"),
        ("carrier=vodafone", "carrier", "viettel"),
        ("phone=0981234567", "phone", "E.164"),
        ("phone=+84241234567", "phone", "E.164"),
        ("from=yesterday", "from", "2026-05-25T10:00:00Z"),
        ("to=2026-02-30", "to", "2026-05-25"),
        ("cursor=nonsense", "cursor", "next_cursor"),
        ("page=2", "page", "limit, cursor, status, carrier, phone, reference, from, to"),
        ("phone=%ff", "phone", "UTF-8"),
    ] {
        let refused = customer.get(&format!("deliveries?{query}")).await;
        assert_refused(&refused, parameter, expected);
    }
    let empty = customer.get("deliveries?limit=&cursor=&status=&carrier=&phone=&from=&to=").await;
    assert_eq!(empty.text, r#"{"ok":true,"deliveries":[],"next_cursor":null}"#);
    let url = format!("{}/deliveries", customer.api);
    let no_key = answer(client().get(&url)).await;
    assert_eq!((no_key.status, no_key.error()), (401, "missing_auth"));
    let posted = answer(client().post(&url).bearer_auth(&customer.key)).await;
    assert_eq!((posted.status, posted.error()), (405, "method_not_allowed"));
    assert_eq!(posted.header("allow"), Some("GET, HEAD, OPTIONS"));
    let with = |accept: &str| {
        let request = client().get(&url).bearer_auth(&customer.key);
        answer(request.header("Accept", accept))
    };
    let image = with("image/png").await;
    assert_eq!((image.status, image.error()), (406, "not_acceptable"));
    let browser = with("text/html, */*;q=0.8").await;
    assert_eq!(browser.header("content-type"), Some("application/json"));
    let preferred = with("application/json;q=0.4, text/csv;q=0.5").await;
    assert!(preferred.header("content-type").unwrap().starts_with("text/csv"));
}

#[per_database]
async fn deliveries_of_other_accounts_are_not_listed(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    let other = gateway.customer("b@example.com", "10.00");
    let to = phone(90);
    let sent = customer.send(&to, "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let other_sent = other.send(&phone(90), "482917").await;
    let seen = other.get("deliveries").await;
    let listed = seen.json["deliveries"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], other_sent.json["id"]);
    let by_phone = other.get(&format!("deliveries?phone={to}")).await;
    assert_eq!(by_phone.json["deliveries"].as_array().unwrap().len(), 0);
    customer.send(&phone(90), "482917").await;
    let page = customer.get("deliveries?limit=1").await;
    let cursor = page.json["next_cursor"].as_str().unwrap();
    let stolen = other.get(&format!("deliveries?cursor={cursor}")).await;
    assert!(!stolen.text.contains(sent.json["id"].as_str().unwrap()));
    let as_csv = csv(&other, "deliveries").await;
    assert_eq!(rows(&as_csv.text).len(), 2);
}

/// The micro-dollars of a decimal number, exactly.
fn micros(text: &str) -> i64 {
    text.parse::<Micros>().unwrap().get()
}

/// Asserts that the totals in each row of the ledger's CSV are the sums of the amounts so far. Returns the total.
fn assert_adds_up(newest_first: &[Vec<String>]) -> i64 {
    let mut buckets = std::collections::HashMap::<&str, i64>::new();
    for row in newest_first.iter().rev() {
        let sum = buckets.entry(&row[2]).or_default();
        *sum += micros(&row[3]);
        assert_eq!(*sum, micros(&row[4]), "{row:?}");
        let total: i64 = buckets.values().sum();
        assert_eq!(total, micros(&row[5]), "{row:?}");
    }
    buckets.values().sum()
}

#[per_database]
async fn the_ledger_lists_every_entry_with_the_totals_after_it(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "100.00");
    let bonus = [
        "wallet",
        "credit",
        "--account",
        "a@example.com",
        "--bucket",
        "bonus",
        "--amount",
        "0.033",
        "--reference",
        "=HYPERLINK(\"x\")",
    ];
    gateway.nexo(&bonus);
    let mut past = Past::of(&gateway, &customer, "a@example.com").await;
    past.deliveries(1_200).await;
    // A current call that is refunded.
    let sent = customer.send(&phone(93), "482917").await;
    let id = sent.json["id"].as_str().unwrap();
    customer.terminal(id).await;
    let first = customer.get("ledger?limit=2").await;
    assert!(
        first.text.starts_with(r#"{"ok":true,"currency":"USD","entries":[{"posting_id":""#),
        "{}",
        first.text
    );
    let newest = &first.json["entries"][0];
    assert_eq!((&newest["kind"], &newest["delivery_id"]), (&"refund".into(), &id.into()));
    assert_eq!(number_of(&first, "amount"), "0.022");
    let (_, total) = customer.balance().await;
    assert_eq!(number_of(&first, "total"), total);
    assert_eq!(first.json["entries"][1]["kind"], "debit");

    let all = walk(&customer, "ledger?limit=200", "entries").await;
    let whole = csv(&customer, "ledger").await;
    assert_eq!(whole.header("content-disposition"), Some("attachment; filename=\"ledger.csv\""));
    let rows = rows(&whole.text);
    assert_eq!(
        rows[0].join(","),
        "posting_id,kind,bucket,amount,bucket_total,total,delivery_id,reference,note,created_at"
    );
    let rows = &rows[1..];
    assert_eq!(rows.len(), all.len());
    for (row, item) in rows.iter().zip(&all) {
        assert_eq!(row[0], item["posting_id"].as_str().unwrap());
        assert_eq!(row[9], item["created_at"].as_str().unwrap());
    }
    assert_eq!(assert_adds_up(rows), micros(&total));
    let grant = rows.iter().find(|row| row[1] == "grant").unwrap();
    assert_eq!(grant[7], "'=HYPERLINK(\"x\")");
    assert_filters_agree(&customer, rows).await;
    gateway.audit();
}

fn number_of(page: &Answer, key: &str) -> String {
    harness::number(&page.text, key)
}

async fn assert_filters_agree(customer: &Customer, rows: &[Vec<String>]) {
    let noon = "2026-05-25T10:00:05Z";
    type Matches<'a> = Box<dyn Fn(&[String]) -> bool + Send + 'a>;
    let cases: [(String, Matches); 7] = [
        ("kind=debit".into(), Box::new(|row| row[1] == "debit")),
        (
            "kind=refund&bucket=balance".into(),
            Box::new(|row| row[1] == "refund" && row[2] == "balance"),
        ),
        ("bucket=bonus".into(), Box::new(|row| row[2] == "bonus")),
        ("kind=deposit".into(), Box::new(|row| row[1] == "deposit")),
        ("kind=payout".into(), Box::new(|_| false)),
        (format!("to={noon}"), Box::new(|row| row[9].as_str() < noon)),
        (
            format!("from={noon}&kind=debit"),
            Box::new(|row| row[9].as_str() >= noon && row[1] == "debit"),
        ),
    ];
    for (query, matches) in cases {
        let found = csv(customer, &format!("ledger?{query}")).await;
        let found = self::rows(&found.text);
        let expected: Vec<_> = rows.iter().filter(|row| matches(row)).cloned().collect();
        assert_eq!(found[1..], expected, "{query}");
        let pages = walk(customer, &format!("ledger?limit=200&{query}"), "entries").await;
        assert_eq!(pages.len(), expected.len(), "{query}");
    }
}

#[per_database]
async fn the_ledger_refuses_invalid_parameters_and_hides_other_accounts(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let other = gateway.customer("b@example.com", "2.00");
    customer.send(&phone(90), "482917").await;
    let page = customer.get("ledger?limit=1").await;
    let cursor = page.json["next_cursor"].as_str().unwrap();
    let stolen = other.get(&format!("ledger?cursor={cursor}")).await;
    assert_eq!(stolen.status, 200);
    let ledger = other.get("ledger").await;
    assert_eq!(ledger.json["entries"].as_array().unwrap().len(), 1);
    assert_eq!(number_of(&ledger, "total"), "2.000");
    let deliveries = customer.get("deliveries?limit=1").await;
    assert!(deliveries.json["next_cursor"].is_null());
    for (query, parameter, expected) in [
        ("kind=spend", "kind", "debit, refund, deposit, grant"),
        ("bucket=cash", "bucket", "one of free, bonus, balance"),
        ("status=sent", "status", "limit, cursor, kind, bucket, from, to"),
        ("limit=0", "limit", "from 1 to 200"),
        ("from=now", "from", "2026-05-25"),
        ("cursor=AAAA", "cursor", "next_cursor"),
    ] {
        let refused = customer.get(&format!("ledger?{query}")).await;
        assert_refused(&refused, parameter, expected);
    }
}

#[per_database]
async fn an_account_with_calls_in_progress_can_be_closed(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    // The phone rings until the ring timeout.
    let ringing = customer.send(&phone(91), "482917").await;
    assert_eq!(ringing.status, 202, "{}", ringing.text);
    let close = ["account", "close", "--account", "a@example.com"];
    let closing = gateway.nexo(&close);
    assert_eq!(closing["payout"].to_string(), "0.978");
    assert_eq!(closing["reference"], "closing-1");
    assert_eq!(closing["under_way"], 1);
    gateway.audit();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    loop {
        let refused = customer.send(&phone(90), "482917").await;
        if refused.status == 401 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", refused.text);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let again = gateway.nexo(&close);
    assert_eq!(again["payout"].to_string(), "0.0");
    assert_eq!(again["reference"], Value::Null);
    gateway.audit();
}
