//! Tests of referrals: the link, the sign-up, the commission, the payout and the revocation.

use harness::visitor;
use std::time::{SystemTime, UNIX_EPOCH};

use harness::visitor::{Visitor, between};
use harness::{Backend, Customer, Gateway, client, number, per_database, phone};
use nexo_domain::timestamp::rfc3339;

/// The code is read once, so that a call takes about six seconds.
const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");
const PAGE: &str = "/dashboard/referrals";

fn this_month() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    rfc3339(now.as_millis() as i64)[..7].to_owned()
}

async fn code_of(visitor: &mut Visitor) -> String {
    let page = visitor.get(PAGE).await;
    let code = between(&page.text, "?ref=", "\"").expect("a link");
    assert!(page.text.contains(&format!("/en?ref={code}")));
    assert!(page.text.contains(&format!("/vi?ref={code}")));
    code.to_owned()
}

async fn deliver(gateway: &Gateway, key: &str, number: u32) {
    let customer = Customer {
        key: key.to_owned(),
        key_id: String::new(),
        api: format!("{}/api/v1", gateway.url),
        http: client(),
    };
    let sent = customer.send(&phone(number), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
}

#[per_database]
async fn a_sign_up_by_the_link_earns_the_referrer_a_tenth(backend: Backend) {
    let gateway = Gateway::start(backend, &[QUICK]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let code = code_of(&mut lan).await;
    lan.get(PAGE).await.must_contain("$0.00");

    // Every page remembers the link for 90 days. An unknown page need not.
    for page in ["/en", "/docs", "/auth/sign-in", "/auth/nowhere"] {
        let mut visitor = Visitor::of(&gateway);
        let seen = visitor.get(&format!("{page}?ref={code}")).await;
        let cookies = seen.headers.get_all("set-cookie");
        let kept = cookies.iter().any(|cookie| {
            let cookie = cookie.to_str().unwrap();
            cookie.starts_with(&format!("nexo_ref={code}"))
                && cookie.contains("Max-Age=7776000")
                && cookie.contains("HttpOnly")
                && cookie.contains("SameSite=Lax")
        });
        assert!(kept || page == "/auth/nowhere", "{page}: {:?}", seen.headers);
    }
    // A member's page redirects to the sign-in page, which remembers the link.
    let mut visitor = Visitor::of(&gateway);
    let redirected = visitor.get(&format!("/dashboard/wallet?ref={code}")).await;
    let sign_in = redirected.location().to_owned();
    assert!(sign_in.starts_with("/auth/sign-in?next="), "{sign_in}");
    visitor.get(&sign_in).await;
    assert_eq!(visitor.cookies.get("nexo_ref"), Some(&code));
    let mut friend = Visitor::of(&gateway);
    friend.get(&format!("/vi?ref={}", code.to_uppercase())).await;
    friend.get("/docs").await;
    let fields = [("email", "friend@example.org"), ("password", visitor::PASSWORD)];
    let seen = friend.submit("/auth/sign-up", "/auth/sign-up", &fields).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    let key = friend.new_key("server").await;
    // Paid with the free credit of the sign-up: this also earns a tenth.
    tokio::join!(deliver(&gateway, &key, 1), deliver(&gateway, &key, 2));

    let page = lan.get(PAGE).await;
    page.must_contain("$0.0044").must_contain("f•••@e•••.org");
    assert!(!page.text.contains("friend@example.org"));
    lan.get("/dashboard/referrals?lang=vi").await.must_contain("Giới thiệu");
    lan.get("/dashboard/referrals?lang=en").await;

    // Without a payout address the payout waits. An invalid address is refused with the reason.
    let month = this_month();
    let run = || gateway.nexo(&["payouts", "run", "--month", &month]);
    let waiting = run();
    assert_eq!(waiting["payouts"].as_array().unwrap().len(), 0);
    assert_eq!(waiting["waiting"][0]["account"], "lan@example.com");
    let wallet = "/dashboard/referrals/wallet";
    let typo = [
        ("kind", "usdt"),
        ("address", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6s"),
        ("password", visitor::PASSWORD),
    ];
    let seen = lan.submit(PAGE, wallet, &typo).await;
    assert_eq!(seen.status, 400);
    seen.must_contain("checksum").must_contain("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6s");
    let right = [
        ("kind", "bank"),
        ("address", "970436 0123456789 NGUYEN THI LAN"),
        ("password", visitor::PASSWORD),
    ];
    let seen = lan.submit(PAGE, wallet, &right).await;
    assert_eq!(seen.status, 303, "{}", seen.text);

    let paid = run();
    assert_eq!(paid["month"], month.as_str());
    assert_eq!(paid["payouts"].as_array().unwrap().len(), 1);
    assert_eq!(number(&paid.to_string(), "total"), "0.0044");
    assert_eq!(run()["payouts"].as_array().unwrap().len(), 0);
    let listed = gateway.nexo(&["payouts", "list"]);
    let payout = &listed["payouts"][0];
    assert_eq!(payout["account"], "lan@example.com");
    assert_eq!(payout["wallet_address"], "970436 0123456789 NGUYEN THI LAN");
    let id = payout["id"].as_str().unwrap();
    gateway.nexo(&["payouts", "sent", id, "--reference", "FT1"]);
    lan.get(PAGE).await.must_contain(&month).must_contain("970436");

    // A revocation reverses pending commissions, and later OTPs earn nothing.
    deliver(&gateway, &key, 3).await;
    lan.get(PAGE).await.must_contain("$0.0022");
    let revoke = ["referral", "revoke", "--account", "friend@example.org", "--reason", "bots"];
    let revoked = gateway.nexo(&revoke);
    assert_eq!(number(&revoked.to_string(), "reversed"), "0.0022");
    deliver(&gateway, &key, 4).await;
    let shown = gateway.nexo(&["referral", "show", "--account", "lan@example.com"]);
    assert_eq!(number(&shown.to_string(), "pending"), "0.0");
    assert_eq!(shown["people"], 1);
    lan.get(PAGE).await.must_contain("revoked");
    gateway.audit();
}

#[per_database]
async fn self_referrals_are_not_counted(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, "lan.nguyen@gmail.com").await;
    let code = code_of(&mut lan).await;
    // The account's own link is not remembered while it is signed in.
    lan.get(&format!("/en?ref={code}")).await;
    assert!(!lan.cookies.contains_key("nexo_ref"), "{:?}", lan.cookies);
    // Variants of the same e-mail address, in another browser.
    for email in ["lannguyen+2@gmail.com", "L.A.N.nguyen@googlemail.com"] {
        let mut again = Visitor::of(&gateway);
        again.get(&format!("/en?ref={code}")).await;
        assert_eq!(again.cookies.get("nexo_ref"), Some(&code));
        let fields = [("email", email), ("password", visitor::PASSWORD)];
        let seen = again.submit("/auth/sign-up", "/auth/sign-up", &fields).await;
        assert_eq!(seen.status, 303, "{}", seen.text);
    }
    // The account's own link is forgotten when its browser signs in.
    let mut browser = Visitor::of(&gateway);
    browser.get(&format!("/en?ref={code}")).await;
    browser.sign_in("lan.nguyen@gmail.com", visitor::PASSWORD).await;
    browser.get(PAGE).await;
    assert!(!browser.cookies.contains_key("nexo_ref"), "{:?}", browser.cookies);
    let none = gateway.nexo(&["referral", "list"]);
    assert_eq!(none["referrals"].as_array().unwrap().len(), 0);
    // An invalid code in the link does not prevent a sign-up.
    let mut stranger = Visitor::of(&gateway);
    for nonsense in ["", "%27%3B--", "ffffffffffff", "a%00b", &"9".repeat(500)] {
        let seen = stranger.get(&format!("/auth/sign-up?ref={nonsense}")).await;
        assert_eq!(seen.status, 200, "{nonsense}");
    }
    let fields = [("email", "x@example.com"), ("password", visitor::PASSWORD)];
    let seen = stranger.submit("/auth/sign-up", "/auth/sign-up", &fields).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    gateway.audit();
}
