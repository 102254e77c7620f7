//! Tests of amounts, times and dates as each language and time zone shows and accepts them.

use harness::visitor::{PageResponse, Visitor, between};
use harness::{Backend, Gateway, answer, client, phone};
use nexo_domain::time_zone::{Zone, date};

const WALLET: &str = "/dashboard/wallet";
const TOP_UP: &str = "/dashboard/wallet/top-up";
const SETTINGS: &str = "/dashboard/settings";
const NOTICE: &str = "/dashboard/wallet/low-balance";

async fn choose(visitor: &mut Visitor, fields: &[(&str, &str)]) -> PageResponse {
    visitor.submit(SETTINGS, "/dashboard/settings/languages", fields).await
}

/// The first time on a page: its title, and its text.
fn first_time(seen: &PageResponse) -> (&str, &str) {
    let time = between(&seen.text, "<time ", "</time>").unwrap_or_else(|| panic!("{}", seen.text));
    let title = between(time, "title=\"", "\"").unwrap_or_else(|| panic!("{time}"));
    (title, time.rsplit('>').next().unwrap())
}

#[actix_web::test]
async fn amounts_are_shown_and_accepted_in_the_language_of_the_page() {
    let gateway = Gateway::start(Backend::Sqlite, &[("NEXO_DEPOSITS__VND_PER_USD", "26000")]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    lan.get(WALLET).await.must_contain(">$0.11<");
    choose(&mut lan, &[("pages", "vi"), ("calls", "")]).await;
    let seen = lan.get(WALLET).await;
    seen.must_contain("0,11\u{a0}USD");
    assert!(!seen.text.contains("$0"), "{}", seen.text);
    lan.get(TOP_UP).await.must_contain("26.000\u{a0}₫").must_contain("value=\"20,00\"");

    let opened = lan.submit(TOP_UP, TOP_UP, &[("amount", "10,00")]).await;
    assert_eq!(opened.status, 303, "{}", opened.text);
    let seen = lan.get(opened.location()).await;
    seen.must_contain("260.000\u{a0}₫").must_contain("10,00\u{a0}USD");

    // What the page shows is accepted; what may have been meant as a thousandth is not.
    for (typed, shown) in [("1.234,5", "1234,50"), ("13,972", "13,972"), ("10.00", "10,00")] {
        let saved = lan.submit(WALLET, NOTICE, &[("threshold", typed)]).await;
        assert_eq!(saved.status, 303, "{typed}: {}", saved.text);
        lan.get(WALLET).await.must_contain(&format!("value=\"{shown}\""));
    }
    let refused = lan.submit(WALLET, NOTICE, &[("threshold", "1.000")]).await;
    assert_eq!(refused.status, 400);
    refused.must_contain("10,00");
    lan.get("/vi").await.must_contain("0,022\u{a0}USD");
    lan.get("/en").await.must_contain("$0.022");
}

#[actix_web::test]
async fn times_and_dates_are_those_of_the_chosen_time_zone() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let key = lan.new_key("server").await;
    let body = format!(r#"{{"phone":"{}","code":"4829"}}"#, phone(90));
    let sent = client().post(format!("{}/api/v1/send-otp", gateway.url)).bearer_auth(&key);
    let sent = answer(sent.body(body)).await;
    let id = sent.json["id"].as_str().unwrap().to_owned();
    let delivery = format!("/dashboard/deliveries/{id}");
    let created = lan.get(&delivery).await;
    let created = between(&created.text, "datetime=\"", "\"").unwrap().to_owned();
    let at_ms = nexo_domain::timestamp::parse(&created).unwrap();
    let utc = format!("{} UTC", created.replace('T', " ").trim_end_matches('Z'));

    let list = lan.get("/dashboard/deliveries").await;
    assert_eq!(first_time(&list), (utc.as_str(), "just now"));
    list.must_contain("Times are in UTC.");
    // The cookie is the browser's time zone, as the script tells it.
    lan.cookies.insert("nexo_time_zone".to_owned(), "America/New_York".to_owned());
    let local = |zone: &str| Zone::named(zone).unwrap().local(at_ms).to_string().replace('T', " ");
    let seen = lan.get(&delivery).await;
    assert_eq!(first_time(&seen), (utc.as_str(), local("America/New_York").as_str()));

    let seen = choose(&mut lan, &[("pages", "en"), ("calls", ""), ("zone", "Asia/Saigon")]).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    lan.get(SETTINGS).await.must_contain("value=\"Asia/Ho_Chi_Minh\" selected");
    let seen = lan.get(&delivery).await;
    assert_eq!(first_time(&seen), (utc.as_str(), local("Asia/Ho_Chi_Minh").as_str()));
    lan.get("/dashboard/deliveries").await.must_contain("Asia/Ho Chi Minh (UTC+7)");
    let wrong = choose(&mut lan, &[("pages", "en"), ("calls", ""), ("zone", "Mars/Olympus")]).await;
    assert_eq!(wrong.status, 400);

    // A filter's dates are days of the zone, both included.
    let day = Zone::vietnam().day_of(at_ms);
    for (from, to, is_found) in
        [(day, day, true), (day + 1, day + 1, false), (day - 1, day - 1, false)]
    {
        let query = format!("from={}&to={}", date(from), date(to));
        for path in ["/dashboard/deliveries", "/dashboard/deliveries.csv"] {
            let seen = lan.get(&format!("{path}?{query}")).await;
            assert_eq!(seen.text.contains(&id), is_found, "{path}?{query}: {}", seen.text);
        }
    }
    // Downloads are in UTC.
    lan.get("/dashboard/deliveries.csv").await.must_contain(&created);

    // Without a choice, Vietnamese pages show the time of Vietnam.
    choose(&mut lan, &[("pages", "vi"), ("calls", ""), ("zone", "")]).await;
    lan.get("/dashboard/deliveries")
        .await
        .must_contain("Asia/Ho Chi Minh (UTC+7)")
        .must_contain("Hôm nay");
    let seen = lan.get(&delivery).await;
    let (_, shown) = first_time(&seen);
    let (date, clock) = local("Asia/Ho_Chi_Minh")
        .split_once(' ')
        .map(|(d, c)| (d.to_owned(), c.to_owned()))
        .unwrap();
    let mut parts: Vec<&str> = date.split('-').collect();
    parts.reverse();
    assert_eq!(shown, format!("{} {clock}", parts.join("/")));
}
