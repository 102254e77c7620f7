//! Tests of the request options of `send-otp`: language, repetitions, reference and metadata.

use harness::visitor::Visitor;
use harness::{Backend, Gateway, Receiver, answer, client, per_database, phone};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

const OPEN: [(&str, &str); 2] =
    [("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")];

/// A request to a number that is busy at once, with other members.
fn body(members: Value) -> String {
    let mut body = json!({ "phone": phone(90), "code": "482917" });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body.to_string()
}

#[per_database]
async fn a_wrong_option_is_refused_by_its_name_and_costs_nothing(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let eleven: serde_json::Map<_, _> = (0..11).map(|n| (n.to_string(), json!("x"))).collect();
    for (parameter, values) in [
        ("language", vec![json!("fr"), json!("VI"), json!(""), json!(1), json!(["vi"])]),
        ("repeat", vec![json!(0), json!(4), json!(-1), json!(1.5), json!("2"), json!(true)]),
        (
            "reference",
            vec![json!(""), json!("x".repeat(65)), json!("a\nb"), json!("a\u{202e}b"), json!(7)],
        ),
        (
            "metadata",
            vec![
                json!([]),
                json!("a"),
                json!({ "a": 1 }),
                json!({ "a": null }),
                json!({ "a": { "b": "c" } }),
                json!({ "a": "x".repeat(1_024) }),
                Value::Object(eleven),
            ],
        ),
    ] {
        for value in values {
            let refused = customer.post(&body(json!({ parameter: value }))).await;
            let actual = (refused.status, refused.error(), &refused.json["parameter"]);
            assert_eq!(actual, (400, "invalid_request", &json!(parameter)), "{value}");
            let message = refused.json["message"].as_str().unwrap();
            assert!(message.contains(parameter), "{message}");
        }
    }
    let twice = format!(r#"{{"phone":"{}","code":"482917","repeat":1,"repeat":2}}"#, phone(90));
    assert_eq!(customer.post(&twice).await.error(), "invalid_request");
    // Null counts as absent, and unknown members are ignored.
    let none =
        json!({ "language": null, "repeat": null, "reference": null, "metadata": null, "x": 1 });
    assert_eq!(customer.post(&body(none)).await.status, 202);
    assert_eq!(customer.get("deliveries").await.json["deliveries"].as_array().unwrap().len(), 1);
    gateway.audit();
}

#[per_database]
async fn a_reference_and_metadata_come_back_where_they_were_given(backend: Backend) {
    let gateway = Gateway::start(backend, &OPEN);
    let customer = gateway.customer("a@example.com", "1.00");
    let other = gateway.customer("b@example.com", "1.00");
    let receiver = Receiver::start();
    gateway.add_webhook("a@example.com", &receiver.url());
    let given = r#""reference":"đơn 42","metadata":{"z":"1","a":"\u0000<b>"}}"#;
    let text = format!(r#"{{"phone":"{}","code":"482917",{given}"#, phone(90));
    let sent = customer.post(&text).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let keys: Vec<&String> = sent.json.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 7, "{}", sent.text);
    let id = sent.json["id"].as_str().unwrap();
    assert!(customer.terminal(id).await.text.ends_with(&format!(r#""refunded":false,{given}"#)));
    let hook = receiver.next();
    assert!(hook.body.ends_with(given) && hook.body.contains("completed_at"), "{}", hook.body);

    let plain = customer.post(&body(json!({}))).await;
    let plain = customer.terminal(plain.json["id"].as_str().unwrap()).await;
    assert!(plain.text.ends_with(r#""refunded":false}"#), "{}", plain.text);
    assert!(receiver.next().body.ends_with(r#"Z"}"#));

    for sender in [&customer, &other] {
        let sent = sender.post(&body(json!({ "reference": "đơn 42" }))).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
    }
    let found = customer.get("deliveries?reference=%C4%91%C6%A1n%2042&limit=1").await;
    let next = found.json["next_cursor"].as_str().unwrap();
    let path = format!("deliveries?reference=%C4%91%C6%A1n%2042&limit=1&cursor={next}");
    let last = customer.get(&path).await;
    assert_eq!(last.json["deliveries"][0]["id"], id, "{}", last.text);
    assert!(last.json["next_cursor"].is_null());
    let refused = customer.get("deliveries?reference=%0A").await;
    assert_eq!((refused.status, &refused.json["parameter"]), (400, &json!("reference")));
    let none = customer.get("deliveries?reference=42&status=failed&carrier=viettel").await;
    assert_eq!(none.json["deliveries"], json!([]));
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_is_in_the_csv_without_becoming_a_formula() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    for reference in ["=1+1", "a,\"b\""] {
        let sent = customer.post(&body(json!({ "reference": reference }))).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
    }
    let request = client().get(format!("{}/deliveries", customer.api));
    let csv = answer(request.bearer_auth(&customer.key).header("Accept", "text/csv")).await;
    let mut rows = csv::Reader::from_reader(csv.text.as_bytes());
    assert_eq!(rows.headers().unwrap().iter().next_back(), Some("reference"));
    let last = rows.records().map(|row| row.unwrap().iter().next_back().unwrap().to_owned());
    assert_eq!(last.collect::<Vec<_>>(), ["a,\"b\"", "'=1+1"]);
}

#[per_database]
async fn a_crash_keeps_the_reference_for_the_webhook(backend: Backend) {
    let mut gateway = Gateway::start(backend, &OPEN);
    let customer = gateway.customer("a@example.com", "1.00");
    let receiver = Receiver::start();
    gateway.add_webhook("a@example.com", &receiver.url());
    let ringing = json!({ "phone": phone(91), "code": "482917", "reference": "r-1" });
    assert_eq!(customer.post(&ringing.to_string()).await.status, 202);
    gateway.kill_and_restart();
    let hook = receiver.next();
    assert_eq!(
        (hook.json()["error_code"].as_str(), hook.json()["reference"].as_str()),
        (Some("interrupted"), Some("r-1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_read_as_often_as_the_request_says() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let database = Database::connect(gateway.database_url()).await.unwrap();
    for repeat in [1, 3] {
        let order = json!({ "phone": phone(67), "code": "4829", "repeat": repeat });
        let sent = customer.post(&order.to_string()).await;
        let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
        assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
        let newest = "SELECT steps FROM call_attempts ORDER BY started_at_ms DESC LIMIT 1";
        let statement = Statement::from_string(database.get_database_backend(), newest);
        let row = database.query_one_raw(statement).await.unwrap().unwrap();
        let steps: String = row.try_get_by_index(0).unwrap();
        assert_eq!(steps.matches("read:").count(), repeat, "{steps}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_finds_an_otp_by_its_reference() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut member = Visitor::signed_up(&gateway, "a@example.com").await;
    let key = member.new_key("k").await;
    let given = json!({ "reference": "order <42>", "metadata": { "user": "<script>" } });
    let sent = client().post(format!("{}/api/v1/send-otp", gateway.url)).bearer_auth(&key);
    let sent = answer(sent.body(body(given))).await;
    let id = sent.json["id"].as_str().unwrap();
    let list = member.get("/dashboard/deliveries?q=order%20%3C42%3E").await;
    list.must_contain(&format!("/dashboard/deliveries/{id}"));
    let none = member.get("/dashboard/deliveries?q=order").await;
    assert!(!none.text.contains(id));
    let page = member.get(&format!("/dashboard/deliveries/{id}")).await;
    page.must_contain("order &lt;42&gt;").must_contain("&lt;script&gt;");
}
