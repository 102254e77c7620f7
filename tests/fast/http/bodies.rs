//! Tests of request bodies that are not valid JSON somewhere.

use harness::{Answer, Backend, Customer, Gateway, answer, phone};

async fn post(customer: &Customer, body: Vec<u8>) -> Answer {
    let request = customer.http.post(format!("{}/send-otp", customer.api));
    answer(request.bearer_auth(&customer.key).body(body)).await
}

#[actix_web::test]
async fn a_body_that_is_invalid_anywhere_is_refused_and_spends_nothing() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let to = phone(67);
    let otp = format!(r#""phone":"{to}","code":"482917""#);
    let with = |more: &[u8]| [b"{", otp.as_bytes(), b",", more, b"}"].concat();
    let deep = format!("\"x\":{}{}", "[".repeat(3_000), "]".repeat(3_000));
    for (what, body) in [
        ("bytes that are not UTF-8", with(b"\"x\":\"\xff\xfe\"")),
        ("a name that is not UTF-8", with(b"\"\xc3\x28\":1")),
        ("an encoded surrogate", with(b"\"x\":\"\xed\xa0\x80\"")),
        ("half a surrogate pair", with(br#""x":"\ud800""#)),
        ("a repeated field", with(br#""code":"482917""#)),
        ("a repeated field, escaped", with(br#""c\u006fde":"482917""#)),
        ("a repeated unknown field", with(br#""x":1,"x":2"#)),
        ("a repeated field below", with(br#""x":{"y":1,"y":1}"#)),
        ("NaN", with(br#""x":NaN"#)),
        ("infinity", with(br#""x":1e999"#)),
        ("a control character", with(b"\"x\":\"\x01\"")),
        ("too many levels", with(deep.as_bytes())),
        ("a comma at the end", with(b"")),
        ("a byte order mark", [b"\xef\xbb\xbf{", otp.as_bytes(), b"}"].concat()),
        ("UTF-16", format!("{{{otp}}}").encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("something behind it", [b"{", otp.as_bytes(), b"}x"].concat()),
        ("an array", br#"["+84981234567","482917"]"#.to_vec()),
        ("nothing", Vec::new()),
    ] {
        let refused = post(&customer, body).await;
        let actual = (refused.status, refused.error());
        assert_eq!(actual, (400, "invalid_request"), "{what}: {}", refused.text);
    }
    assert_eq!(customer.balance().await.1, "1.000");
    // Nothing claimed the phone, and unknown members are ignored.
    let more = r#""x":{"y":[1,-2.5e-3,null,true,"đ \ud83d\ude00"],"code":"x"}"#;
    let sent = post(&customer, with(more.as_bytes())).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    gateway.audit();
}
