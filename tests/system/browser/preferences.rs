//! What a browser remembers or tells: the chosen example of the documentation, and the time zone.

use super::chromium::{Browser, Screen};
use harness::visitor::Visitor;
use harness::{Backend, Gateway};

const GO: &str = "package main";
const CURL: &str = "curl -X POST";

#[actix_web::test]
async fn an_example_is_chosen_without_scripts_and_remembered_with_them() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    for screen in [Screen::Phone, Screen::NoScript] {
        let b = Browser::open(&gateway.url, screen, "en", "examples").await;
        b.goto("/docs").await;
        let text = b.text().await;
        assert!(text.contains(CURL) && !text.contains(GO), "{text}");
        b.click("label[for=example-go]").await;
        assert!(b.text().await.contains(GO));
        b.goto("/docs").await;
        assert_eq!(b.text().await.contains(GO), screen == Screen::Phone);
        b.client.clone().close().await.unwrap();
    }
}

#[actix_web::test]
async fn english_pages_show_the_time_zone_of_the_browser() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    Visitor::signed_up(&gateway, "lan@example.com").await;
    let b = Browser::open(&gateway.url, Screen::Wide, "en", "time-zone").await;
    // Chromium knows the zone of Vietnam by its older name.
    for (zone, shown) in [
        ("America/New_York", "Automatic: America/New York (UTC"),
        ("Asia/Saigon", "Automatic: Asia/Ho Chi Minh (UTC+7)"),
    ] {
        b.client.delete_all_cookies().await.unwrap();
        b.set_time_zone(zone).await;
        b.sign_in("lan@example.com").await;
        b.goto("/dashboard/settings").await;
        b.wait_for(shown).await;
    }
    b.client.clone().close().await.unwrap();
}
