//! Each answer of Verify and each error.

use harness::{Answer, Backend, Gateway, answer, per_database, phone};
use serde_json::{Value, json};

use super::{
    SECRET, cancel, check, code, count, execute, gateway, get, post, resend, start, started,
    wrong_code,
};

/// The names of an object's members, in their order.
fn keys(text: &str) -> Vec<String> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
    let mut keys: Vec<String> = object.keys().cloned().collect();
    keys.sort_by_key(|key| text.find(&format!("\"{key}\":")).unwrap());
    keys
}

fn assert_closed(answer: &Answer, status: &str) {
    let actual = (answer.status, answer.error(), &answer.json["status"]);
    assert_eq!(actual, (409, "verification_closed", &json!(status)), "{}", answer.text);
}

#[per_database]
async fn a_right_code_approves_once(backend: Backend) {
    let gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let number = phone(1);
    let body = json!({ "phone": number, "reference": "order-42", "metadata": { "a": "b" } });
    let started = start(&customer, &body).await;
    assert_eq!(started.status, 202, "{}", started.text);
    assert_eq!(
        keys(&started.text),
        [
            "ok",
            "id",
            "status",
            "phone",
            "delivery_id",
            "carrier",
            "cost",
            "balance",
            "total",
            "attempts_left",
            "expires_at"
        ]
    );
    let json = &started.json;
    let (id, delivery) = (json["id"].as_str().unwrap(), json["delivery_id"].as_str().unwrap());
    assert_eq!((&json["status"], &json["phone"]), (&json!("pending"), &json!(number)));
    assert_eq!((&json["attempts_left"], &json["carrier"]), (&json!(5), &json!("viettel")));
    assert!(started.text.contains(r#""cost":0.022,"balance":0.978,"total":0.978,"#));

    let wrong = check(&customer, id, &wrong_code(id, 6)).await;
    let expected =
        format!(r#"{{"ok":true,"id":"{id}","valid":false,"status":"pending","attempts_left":4}}"#);
    assert_eq!((wrong.status, wrong.text), (200, expected));
    // A code of another length is wrong, and one that is no code costs nothing.
    let other_length = check(&customer, id, &code(id, 6)[..4]).await;
    assert_eq!(other_length.json["attempts_left"], 3);
    for body in [
        json!({ "code": "123" }),
        json!({ "code": "123456789" }),
        json!({ "code": "12a456" }),
        json!({ "code": 123_456 }),
        json!({ "code": "١٢٣٤٥٦" }),
        json!({ "code": null }),
        json!({}),
    ] {
        let path = format!("verifications/{id}/check");
        let refused = answer(post(&customer, &path, &body.to_string())).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_code"), "{body}");
    }
    for body in ["", "[]", "{\"code\":\"123456\",\"code\":\"123456\"}", "{\"code\":\"\u{0}\"}"] {
        let refused = answer(post(&customer, &format!("verifications/{id}/check"), body)).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_request"), "{body}");
    }
    let pending = get(&customer, id).await;
    assert_eq!(
        keys(&pending.text)[..9],
        [
            "ok",
            "id",
            "status",
            "phone",
            "attempts_left",
            "created_at",
            "expires_at",
            "approved_at",
            "sends"
        ]
    );
    assert_eq!(
        (&pending.json["attempts_left"], &pending.json["approved_at"]),
        (&json!(3), &Value::Null)
    );
    let right = check(&customer, id, &code(id, 6)).await;
    let expected = format!(r#"{{"ok":true,"id":"{id}","valid":true,"status":"approved"}}"#);
    assert_eq!((right.status, right.text), (200, expected));
    assert_closed(&check(&customer, id, &code(id, 6)).await, "approved");
    assert_closed(&resend(&customer, id).await, "approved");
    assert_closed(&cancel(&customer, id).await, "approved");

    let approved = get(&customer, id).await;
    assert_eq!(approved.json["status"], "approved");
    assert!(approved.json["approved_at"].is_string());
    assert_eq!(approved.json["reference"], "order-42");
    assert_eq!(approved.json["metadata"], json!({ "a": "b" }));
    let sends = approved.json["sends"].as_array().unwrap();
    assert_eq!(sends.len(), 1);
    assert_eq!(sends[0]["delivery_id"], *delivery);
    // Its call is an OTP as any other.
    let call = customer.get(&format!("deliveries/{delivery}")).await;
    assert_eq!(
        (&call.json["phone"], &call.json["reference"]),
        (&json!(number), &json!("order-42"))
    );
    let converted = count(&gateway, "SELECT COUNT(*) FROM deliveries WHERE converted").await;
    assert_eq!(converted, 1);
    customer.terminal(delivery).await;
    assert_eq!(gateway.metric("nexo_verifications_total").await, 2.0);
    assert_eq!(gateway.metric("nexo_verification_checks_total").await, 4.0);
    gateway.audit();
}

#[per_database]
async fn the_fifth_wrong_code_fails_and_a_canceled_or_expired_one_is_closed(backend: Backend) {
    let mut gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let failed = started(&customer, &phone(90)).await;
    for left in [4, 3, 2, 1] {
        let wrong = check(&customer, &failed, &wrong_code(&failed, 6)).await;
        assert_eq!(
            (&wrong.json["status"], &wrong.json["attempts_left"]),
            (&json!("pending"), &json!(left))
        );
    }
    let last = check(&customer, &failed, &wrong_code(&failed, 6)).await;
    let expected = format!(
        r#"{{"ok":true,"id":"{failed}","valid":false,"status":"failed","attempts_left":0}}"#
    );
    assert_eq!((last.status, last.text), (200, expected));
    assert_closed(&check(&customer, &failed, &code(&failed, 6)).await, "failed");

    let canceled = started(&customer, &phone(90)).await;
    let answer = cancel(&customer, &canceled).await;
    let expected = format!(r#"{{"ok":true,"id":"{canceled}","status":"canceled"}}"#);
    assert_eq!((answer.status, answer.text), (200, expected));
    assert_closed(&check(&customer, &canceled, &code(&canceled, 6)).await, "canceled");
    assert_closed(&cancel(&customer, &canceled).await, "canceled");

    let body = json!({ "phone": phone(90), "ttl_seconds": 60, "length": 8 });
    let short = start(&customer, &body).await;
    let expired = short.json["id"].as_str().unwrap();
    gateway.set_clock(61_000);
    assert_closed(&check(&customer, expired, &code(expired, 8)).await, "expired");
    assert_closed(&resend(&customer, expired).await, "expired");
    assert_eq!(get(&customer, expired).await.json["status"], "expired");
    let listed = customer.get("verifications?status=expired").await;
    assert_eq!(listed.json["verifications"].as_array().unwrap().len(), 1);
    // And it is marked.
    let marked = "SELECT COUNT(*) FROM verifications WHERE status = 'expired'";
    harness::until("a mark", std::time::Duration::from_secs(10), async || {
        (count(&gateway, marked).await == 1).then_some(())
    })
    .await;
    gateway.audit();
}

#[per_database]
async fn a_wrong_request_is_refused_by_its_field_and_costs_nothing(backend: Backend) {
    let gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    for (parameter, values) in [
        (
            "length",
            vec![json!(3), json!(9), json!(4.5), json!("6"), json!(-4), json!(true), json!(1e300)],
        ),
        ("ttl_seconds", vec![json!(59), json!(901), json!(60.5), json!("300"), json!([])]),
        ("language", vec![json!("fr"), json!(1)]),
        ("reference", vec![json!(""), json!("x".repeat(65)), json!(7)]),
        ("metadata", vec![json!([]), json!({ "a": 1 }), json!({ "a": "x".repeat(1_024) })]),
    ] {
        for value in values {
            let refused = start(&customer, &json!({ "phone": phone(90), parameter: value })).await;
            let actual = (refused.status, refused.error(), &refused.json["parameter"]);
            assert_eq!(actual, (400, "invalid_request", &json!(parameter)), "{value}");
        }
    }
    for (body, error) in [
        (json!({}), "invalid_phone"),
        (json!({ "phone": "+84123" }), "invalid_phone"),
        (json!({ "phone": 84_981_234_567_u64 }), "invalid_phone"),
        (json!([]), "invalid_request"),
    ] {
        let refused = start(&customer, &body).await;
        assert_eq!((refused.status, refused.error()), (400, error), "{body}");
    }
    let twice = format!(r#"{{"phone":"{0}","phone":"{0}"}}"#, phone(90));
    let refused = answer(post(&customer, "verifications", &twice)).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_request"));
    let large = json!({ "phone": phone(90), "x": "x".repeat(17 * 1_024) });
    assert_eq!(start(&customer, &large).await.status, 413);
    let unknown = harness::Customer { key: "sk_live_mistyped".into(), ..customer.clone() };
    assert_eq!(start(&unknown, &json!({ "phone": phone(90) })).await.error(), "invalid_key");
    assert_eq!(customer.balance().await.0, "1.000");
    assert_eq!(count(&gateway, "SELECT COUNT(*) FROM verifications").await, 0);
    // Null counts as absent, 8.0 is 8, and unknown members are ignored.
    let body =
        json!({ "phone": phone(90), "length": 8.0, "ttl_seconds": null, "code": "1", "x": 1 });
    assert_eq!(start(&customer, &body).await.status, 202);
    gateway.audit();
}

#[per_database]
async fn another_accounts_verification_is_not_found(backend: Backend) {
    let gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let stranger = gateway.customer("b@example.com", "1.00");
    let test = gateway.with_test_key(&customer, "a@example.com");
    let id = started(&customer, &phone(90)).await;
    let nil = "00000000-0000-0000-0000-000000000000";
    for (who, id) in [(&stranger, id.as_str()), (&customer, nil), (&customer, "x"), (&test, &id)] {
        let answers =
            [check(who, id, "123456").await, resend(who, id).await, cancel(who, id).await];
        for refused in answers {
            assert_eq!((refused.status, refused.error()), (404, "not_found"), "{id}");
        }
    }
    for (who, id) in [(&stranger, id.as_str()), (&customer, nil), (&customer, "x")] {
        assert_eq!(get(who, id).await.status, 404, "{id}");
    }
    assert_eq!(stranger.get("verifications").await.json["verifications"], json!([]));
    let untouched = get(&customer, &id).await;
    assert_eq!(
        (&untouched.json["status"], &untouched.json["attempts_left"]),
        (&json!("pending"), &json!(5))
    );
    // A test verification of the same phone leaves the live one alone.
    let of_test = started(&test, untouched.json["phone"].as_str().unwrap()).await;
    assert_eq!(check(&customer, &of_test, &code(&of_test, 6)).await.status, 404);
    assert_eq!(check(&test, &of_test, &code(&of_test, 6)).await.json["valid"], true);
    assert_eq!(check(&customer, &id, &code(&id, 6)).await.json["valid"], true);
    gateway.audit();
}

#[per_database]
async fn a_refused_start_leaves_nothing_and_the_pending_one_open(backend: Backend) {
    let gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "0.022");
    let number = phone(90);
    let first = started(&customer, &number).await;
    // The window of the phone, and then the wallet.
    let refused = start(&customer, &json!({ "phone": number })).await;
    assert_eq!((refused.status, refused.error()), (429, "rate_limited"), "{}", refused.text);
    let refused = start(&customer, &json!({ "phone": phone(90) })).await;
    assert_eq!((refused.status, refused.error()), (402, "insufficient_balance"));
    for last_two in [95, 96] {
        let poor = gateway.customer(&format!("{last_two}@example.com"), "1.00");
        let number = phone(last_two);
        let refused = start(&poor, &json!({ "phone": number })).await;
        assert_eq!(refused.error(), "no_route", "{}", refused.text);
        assert!(refused.json["id"].is_string());
        assert_eq!(poor.balance().await.0, "1.000");
        assert_eq!(poor.get("verifications").await.json["verifications"], json!([]));
        assert_eq!(poor.get("deliveries").await.json["deliveries"].as_array().unwrap().len(), 1);
    }
    assert_eq!(get(&customer, &first).await.json["status"], "pending");
    assert_eq!(count(&gateway, "SELECT COUNT(*) FROM verifications").await, 1);
    gateway.audit();
}

#[per_database]
async fn a_start_that_no_gateway_accepts_reopens_the_one_that_it_canceled(backend: Backend) {
    let gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    // A number that no gateway accepts, with a verification from before.
    let number = phone(95);
    let other = started(&customer, &phone(90)).await;
    execute(&gateway, &format!("UPDATE verifications SET phone = '{number}'")).await;
    let refused = start(&customer, &json!({ "phone": number })).await;
    assert_eq!(refused.error(), "no_route", "{}", refused.text);
    assert_eq!(get(&customer, &other).await.json["status"], "pending");
    assert_eq!(check(&customer, &other, &code(&other, 6)).await.json["valid"], true);
    gateway.audit();
}

#[per_database]
async fn the_list_is_filtered_paged_and_exported(backend: Backend) {
    let gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let mut ids = Vec::new();
    for n in 0..3 {
        let body = json!({ "phone": phone(90), "reference": format!("=order-{n}") });
        let started = start(&customer, &body).await;
        ids.push(started.json["id"].as_str().unwrap().to_owned());
    }
    cancel(&customer, &ids[1]).await;
    let listed = async |query: &str| {
        let listed = customer.get(&format!("verifications{query}")).await;
        assert_eq!(listed.status, 200, "{}", listed.text);
        let rows = listed.json["verifications"].as_array().unwrap();
        let found: Vec<usize> =
            rows.iter().map(|row| ids.iter().position(|id| row["id"] == **id).unwrap()).collect();
        (found, listed.json["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(listed("").await.0, [2, 1, 0]);
    assert_eq!(listed("?status=pending").await.0, [2, 0]);
    assert_eq!(listed("?status=canceled").await.0, [1]);
    assert_eq!(listed("?reference=%3Dorder-0").await.0, [0]);
    let number = get(&customer, &ids[2]).await.json["phone"].as_str().unwrap().to_owned();
    assert_eq!(listed(&format!("?phone={number}")).await.0, [2]);
    let (page, cursor) = listed("?limit=2").await;
    assert_eq!(page, [2, 1]);
    assert_eq!(listed(&format!("?limit=2&cursor={}", cursor.unwrap())).await, (vec![0], None));
    for (query, parameter) in
        [("?status=sent", "status"), ("?carrier=viettel", "carrier"), ("?cursor=x", "cursor")]
    {
        let refused = customer.get(&format!("verifications{query}")).await;
        assert_eq!((refused.status, &refused.json["parameter"]), (400, &json!(parameter)));
    }
    let url = format!("{}/verifications", customer.api);
    let csv = customer.http.get(url).bearer_auth(&customer.key).header("Accept", "text/csv");
    let csv = answer(csv).await.text;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "id,phone,status,attempts_left,sends,created_at,expires_at,approved_at,reference"
    );
    assert_eq!(lines.len(), 4);
    assert!(lines[1].starts_with(&format!("{},{number},pending,5,1,", ids[2])), "{csv}");
    assert!(lines[1].ends_with(",,'=order-2"), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_verifications_say_what_to_set_and_the_rest_works() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let gateway = Gateway::start(Backend::Postgres, &[(SECRET, "")]);
    let customer = gateway.customer("a@example.com", "1.00");
    assert_eq!(customer.send(&phone(90), "482917").await.status, 202);
    let nil = "00000000-0000-0000-0000-000000000000";
    for refused in [
        start(&customer, &json!({ "phone": phone(90) })).await,
        check(&customer, nil, "123456").await,
        resend(&customer, nil).await,
        cancel(&customer, nil).await,
        get(&customer, nil).await,
        customer.get("verifications").await,
    ] {
        assert_eq!((refused.status, refused.error()), (501, "verify_not_configured"));
        assert!(refused.json["message"].as_str().unwrap().contains("[verify] secret"));
    }
}
