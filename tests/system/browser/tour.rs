//! A new customer's tour from the referral link to a revoked key, and the operator's pages.

use fantoccini::Locator;

use super::chromium::{Browser, Screen};
use harness::visitor::{PASSWORD, Visitor, between};
use harness::waiting;
use harness::{Answer, Backend, Gateway, Receiver, answer, client, phone};

const OPEN: [(&str, &str); 7] = [
    ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
    ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
    ("NEXO_DEPOSITS__BANK_BIN", "970436"),
    ("NEXO_DEPOSITS__BANK_ACCOUNT", "0123456789"),
    ("NEXO_DEPOSITS__BANK_HOLDER", "CONG TY NEXO"),
    ("NEXO_DEPOSITS__VND_PER_USD", "25000"),
    ("NEXO_DEPOSITS__NOTIFICATION_SECRET", "a-secret-of-the-bank-0001"),
];

async fn send(gateway: &Gateway, key: &str, phone: &str, from: &str) -> Answer {
    let url = format!("{}/api/v1/send-otp", gateway.url);
    let body = format!(r#"{{"phone":"{phone}","code":"4829"}}"#);
    let request = client().post(url).bearer_auth(key).body(body);
    answer(request.header("X-Forwarded-For", from)).await
}

struct Words {
    /// On the overview of a new account.
    five: &'static str,
    delivered: &'static str,
    in_progress: &'static str,
    revoked: &'static str,
    /// The commission of one OTP, a tenth of its price, as the referrer sees it. The driver reads a no-break space as
    /// a blank.
    commission: &'static str,
}

const ENGLISH: Words = Words {
    five: "enough for 5 OTPs",
    delivered: "delivered",
    in_progress: "Call in progress",
    revoked: "was revoked",
    commission: "$0.0022",
};

const VIETNAMESE: Words = Words {
    five: "đủ cho 5 OTP",
    delivered: "thành công",
    in_progress: "Cuộc gọi đang diễn ra",
    revoked: "Đã thu hồi khóa",
    commission: "0,0022 USD",
};

async fn walk(screen: Screen, language: &str, words: &Words, name: &str) {
    let gateway = Gateway::start(Backend::Sqlite, &OPEN);
    let receiver = Receiver::start();
    let referrer = Visitor::signed_up(&gateway, "minh@example.org").await;
    let code = referral_code(referrer).await;
    let mut b = Browser::open(&gateway.url, screen, language, name).await;
    b.goto(&format!("/{language}?ref={code}")).await;
    b.check_page("landing").await;
    b.follow(".hero a.button").await;
    b.check_page("sign-up").await;
    b.fill("email", "lan@example.com").await;
    b.fill("password", "correct horse battery").await;
    b.follow("form button[type=submit]").await;
    assert_eq!(b.path().await, "/dashboard");
    b.wait_for(words.five).await;
    b.check_page("overview-new").await;

    b.goto("/dashboard/api-keys").await;
    b.fill("name", "máy chủ <1>").await;
    b.follow("#new button[type=submit]").await;
    let secret = b.client.find(Locator::Id("secret")).await.unwrap();
    let key = secret.prop("value").await.unwrap().unwrap();
    assert!(key.starts_with("sk_live_"), "{key}");
    b.check_page("key-shown-once").await;

    let sent = send(&gateway, &key, &phone(21), "").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    b.goto("/dashboard/deliveries").await;
    b.check_page("deliveries").await;
    b.follow("tbody a").await;
    b.wait_for(words.in_progress).await;
    b.check_page("ringing").await;
    // The page updates itself without a reload.
    b.wait_for(words.delivered).await;
    b.check_page("delivered").await;

    b.goto("/dashboard/webhooks").await;
    b.fill("url", &receiver.url()).await;
    b.follow("form[action='/dashboard/webhooks'] button").await;
    b.check_page("webhook-secret").await;
    let sent = send(&gateway, &key, &phone(90), "").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let first = receiver.next();
    b.goto("/dashboard/webhooks").await;
    b.check_page("webhooks").await;
    b.follow("tbody a").await;
    b.wait_for("otp.failed").await;
    b.check_page("endpoint").await;
    b.follow("tbody th a").await;
    b.check_page("attempt").await;
    b.follow("form[action$='/replay'] button").await;
    let again = receiver.next();
    assert_eq!(again.body, first.body);
    b.wait_for("200").await;

    b.goto("/dashboard/api-keys").await;
    b.check_page("keys").await;
    b.follow("a[href$='/allowlist']").await;
    b.fill("allowlist", "203.0.113.0/24").await;
    b.follow("form[action$='/allowlist'] button").await;
    b.check_page("allowlist-warning").await;
    b.click("#knows").await;
    b.follow("form[action$='/allowlist'] button").await;
    assert_eq!(b.path().await, "/dashboard/api-keys");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let refused = send(&gateway, &key, &phone(21), "198.51.100.7").await;
    assert_eq!((refused.status, refused.error()), (403, "ip_not_allowed"));
    b.follow("a[href$='/revoke']").await;
    b.check_page("revoke").await;
    b.follow("form[action$='/revoke'] button").await;
    b.wait_for(words.revoked).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let refused = send(&gateway, &key, &phone(21), "203.0.113.9").await;
    assert_eq!((refused.status, refused.error()), (401, "invalid_key"));

    b.goto("/dashboard/wallet").await;
    b.check_page("wallet").await;
    b.goto("/dashboard/wallet/top-up").await;
    b.check_page("top-up").await;
    b.follow("form[action='/dashboard/wallet/top-up'] button").await;
    b.wait_for("CONG TY NEXO").await;
    b.check_page("top-up-to-pay").await;
    b.goto("/dashboard/webhooks").await;
    b.follow("tbody a").await;
    for (step, what) in [("/rotate", "webhook-rotate"), ("/remove", "webhook-remove")] {
        let endpoint = b.path().await;
        b.follow(&format!("a[href$='{step}']")).await;
        b.check_page(what).await;
        b.goto(&endpoint).await;
    }
    for (path, what) in [
        ("/dashboard", "overview"),
        ("/dashboard/referrals", "referrals-new"),
        ("/dashboard/settings", "settings"),
        ("/dashboard/settings/second-factor", "second-factor"),
        ("/dashboard/docs", "docs"),
        ("/docs", "docs-public"),
        ("/docs/openapi", "openapi"),
        ("/dashboard/nothing", "not-found"),
        ("/auth/new-password?token=x", "link-lost"),
    ] {
        b.goto(path).await;
        b.check_page(what).await;
    }
    if screen == Screen::Phone {
        b.goto("/dashboard").await;
        b.click(".menu summary").await;
        b.check_page("menu").await;
        b.follow(".menu .whose button").await;
    } else {
        b.goto("/dashboard").await;
        b.follow("nav.wide .whose button").await;
    }
    assert_eq!(b.path().await, "/auth/sign-in");
    b.check_page("sign-in").await;
    b.goto("/auth/reset").await;
    b.check_page("reset").await;
    // One OTP of the new customer was delivered: the referrer earns a tenth.
    b.sign_in("minh@example.org").await;
    b.goto(&format!("/dashboard/referrals?lang={language}")).await;
    b.wait_for(words.commission).await;
    b.check_page("referrals").await;
    b.client.clone().close().await.unwrap();
    gateway.audit();
}

/// The code in the referrer's link.
async fn referral_code(mut referrer: Visitor) -> String {
    let page = referrer.get("/dashboard/referrals").await;
    between(&page.text, "?ref=", "\"").expect("a link").to_owned()
}

/// Decides every pending item on each operator page and checks the page, the page that asks to confirm, and the page
/// after it.
async fn decide(b: &mut Browser) {
    for (page, decisions) in [
        ("carriers", &[("/drain?", "")][..]),
        ("deposits", &[("/credit", "account"), ("/refuse", "reason")]),
        ("reviews", &[("/close", "note")]),
        ("reviews?all=yes", &[]),
        ("payouts", &[("/sent", "reference")]),
        ("revocations", &[("/revocations/", "reason")]),
    ] {
        let path = format!("/dashboard/operators/{page}");
        b.goto(&path).await;
        b.check_page(&page.replace("?all=yes", "-all")).await;
        for (decision, field) in decisions {
            let link = format!("tbody .row-actions a[href*='{decision}']");
            // Back by the link, and once more.
            b.follow(&link).await;
            b.check_page(&format!("{page}-confirm")).await;
            b.follow(".confirm a.second").await;
            b.follow(&link).await;
            if !field.is_empty() {
                b.fill(field, "lan@example.com").await;
            }
            b.follow(".confirm form button").await;
            b.check_page(&format!("{page}-decided")).await;
        }
        let left = b.client.find_all(Locator::Css("tbody .row-actions a")).await.unwrap();
        assert_eq!(left.is_empty(), page != "carriers", "{page}");
    }
}

/// Checks an operator's pages, each with a pending item, before and after the decision.
async fn oversee(screen: Screen, language: &str, name: &str) {
    let gateway = Gateway::start(Backend::Sqlite, &OPEN);
    let operator = ["--email", "op@example.com", "--password", PASSWORD];
    gateway.nexo(&[&["account", "create", "--operator"], &operator[..]].concat());
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    waiting::one_of_each(&gateway, &mut lan, "lan@example.com").await;
    let mut b = Browser::open(&gateway.url, screen, language, name).await;
    b.sign_in("op@example.com").await;
    b.goto("/dashboard/operators/accounts?q=lan").await;
    b.check_page("accounts").await;
    b.follow("tbody a").await;
    b.wait_for("lan@example.com").await;
    b.check_page("account").await;
    decide(&mut b).await;
    b.goto("/dashboard/operators/accounts?q=lan").await;
    b.follow("tbody a").await;
    b.follow("a[href$='/suspend']").await;
    b.check_page("suspend").await;
    b.fill("reason", "a card that is not theirs").await;
    b.follow("form[action$='/suspend'] button").await;
    b.wait_for("a card that is not theirs").await;
    b.check_page("account-suspended").await;
    b.client.clone().close().await.unwrap();
    let actions = gateway.nexo(&["operator", "actions"]);
    let actions = actions["actions"].as_array().unwrap().clone();
    let by_operator = actions.iter().filter(|a| a["operator"] == "op@example.com");
    let decided: Vec<&str> = by_operator.map(|a| a["action"].as_str().unwrap()).collect();
    assert_eq!(
        decided,
        [
            "suspend",
            "revoke_referral",
            "payout_sent",
            "close_review",
            "refuse_deposit",
            "credit_payment",
            "drain_gateway",
        ]
    );
    gateway.audit();
}

#[actix_web::test]
async fn an_operator_on_a_wide_screen_in_english() {
    oversee(Screen::Wide, "en", "operator-wide-en").await;
}

#[actix_web::test]
async fn an_operator_on_a_phone_in_vietnamese() {
    oversee(Screen::Phone, "vi", "operator-phone-vi").await;
}

#[actix_web::test]
async fn an_operator_without_scripts() {
    oversee(Screen::NoScript, "en", "operator-no-script").await;
}

#[actix_web::test]
async fn a_newcomer_without_scripts() {
    walk(Screen::NoScript, "en", &ENGLISH, "no-script-en").await;
}

#[actix_web::test]
async fn a_newcomer_on_a_wide_screen_in_english() {
    walk(Screen::Wide, "en", &ENGLISH, "wide-en").await;
}

#[actix_web::test]
async fn a_newcomer_on_a_phone_in_vietnamese() {
    walk(Screen::Phone, "vi", &VIETNAMESE, "phone-vi").await;
}

#[actix_web::test]
async fn a_newcomer_in_dark_mode() {
    walk(Screen::Dark, "en", &ENGLISH, "dark-en").await;
}
