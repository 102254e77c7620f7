//! Every page with the data of a month, at 1280 and at 390 px: nothing is outside the screen, covered or illegible.
//!
//! The short form looks at each page in English with light colours on the wide screen, and in Vietnamese with dark ones
//! on the phone. The long form looks at every page in both languages and both colour schemes, checks its accessibility
//! and takes pictures:
//! `NEXO_TEST_VIEWS=all NEXO_TEST_SCREENSHOTS=FOLDER tests/run gallery`.

mod data;

use super::chromium::{Browser, Screen};
use data::{MEMBER, NEWCOMER, OPERATOR};
use harness::visitor::Visitor;
use harness::{Backend, Gateway, phone};

const OPEN: [(&str, &str); 3] = [
    ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
    ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
    ("NEXO_VERIFY__SECRET", data::SECRET),
];

const PUBLIC: [(&str, &str); 8] = [
    ("landing", "/en"),
    ("docs-public", "/docs"),
    ("openapi", "/docs/openapi"),
    ("sign-in", "/auth/sign-in"),
    ("sign-up", "/auth/sign-up"),
    ("reset", "/auth/reset"),
    ("new-password", "/auth/new-password?token=x"),
    ("not-found", "/nothing"),
];
const OF_NEWCOMER: [(&str, &str); 8] = [
    ("new-overview", "/dashboard"),
    ("new-deliveries", "/dashboard/deliveries"),
    ("new-verifications", "/dashboard/verifications"),
    ("new-api-keys", "/dashboard/api-keys"),
    ("new-webhooks", "/dashboard/webhooks"),
    ("new-integrations", "/dashboard/integrations"),
    ("new-wallet", "/dashboard/wallet"),
    ("new-referrals", "/dashboard/referrals"),
];
const OF_MEMBER: [(&str, &str); 16] = [
    ("overview", "/dashboard"),
    ("deliveries", "/dashboard/deliveries"),
    ("deliveries-none", "/dashboard/deliveries?carrier=gmobile&status=sent"),
    ("verifications", "/dashboard/verifications"),
    ("test-otp", "/dashboard/test-otp"),
    ("api-keys", "/dashboard/api-keys"),
    ("webhooks", "/dashboard/webhooks"),
    ("integrations", "/dashboard/integrations"),
    ("wallet", "/dashboard/wallet"),
    ("top-up", "/dashboard/wallet/top-up"),
    ("referrals", "/dashboard/referrals"),
    ("settings", "/dashboard/settings"),
    ("second-factor", "/dashboard/settings/second-factor"),
    ("access", "/dashboard/settings/access"),
    ("limits", "/dashboard/limits"),
    ("docs", "/dashboard/docs"),
];
/// Pages that a page of the member links to: a name, the page and the link on it.
const LINKED_OF_MEMBER: [(&str, &str, &str); 18] = [
    ("delivery", "/dashboard/deliveries?status=delivered", "tbody tr:nth-child(3) a"),
    ("delivery-failed", "/dashboard/deliveries?status=failed", "tbody a"),
    ("verification", "/dashboard/verifications?status=approved", "tbody th a"),
    ("verification-pending", "/dashboard/verifications?status=pending", "tbody th a"),
    ("verification-failed", "/dashboard/verifications?status=failed", "tbody th a"),
    ("allowlist", "/dashboard/api-keys", "a[href$='/allowlist']"),
    ("key-rotate", "/dashboard/api-keys", "a[href$='/rotate']"),
    ("key-revoke", "/dashboard/api-keys", "a[href$='/revoke']"),
    ("endpoint", "/dashboard/webhooks", "tbody tr:nth-child(1) th a"),
    ("endpoint-failing", "/dashboard/webhooks", "tbody tr:nth-child(2) th a"),
    ("attempt", "/dashboard/webhooks:1", "tbody th a"),
    ("attempt-failed", "/dashboard/webhooks:2", "tbody th a"),
    ("webhook-remove", "/dashboard/webhooks:1", "a[href$='/remove']"),
    ("integration-supabase", "/dashboard/integrations", "tbody tr:nth-child(1) th a"),
    ("integration-keycloak", "/dashboard/integrations", "tbody tr:nth-child(2) th a"),
    ("integration-remove", "/dashboard/integrations:1", "a[href$='/remove']"),
    ("top-up-to-pay", "/dashboard/wallet/top-up", "tbody tr:nth-child(1) a"),
    ("top-up-credited", "/dashboard/wallet/top-up", "tbody tr:nth-child(2) a"),
];
const OF_OPERATOR: [(&str, &str); 7] = [
    ("op-accounts", "/dashboard/operators/accounts"),
    ("op-carriers", "/dashboard/operators/carriers"),
    ("op-deposits", "/dashboard/operators/deposits"),
    ("op-reviews", "/dashboard/operators/reviews"),
    ("op-reviews-all", "/dashboard/operators/reviews?all=yes"),
    ("op-payouts", "/dashboard/operators/payouts"),
    ("op-revocations", "/dashboard/operators/revocations"),
];
const LINKED_OF_OPERATOR: [(&str, &str, &str); 9] = [
    ("op-account", "/dashboard/operators/accounts?q=lan.nguyen", "tbody a"),
    ("op-account-suspended", "/dashboard/operators/accounts?q=spam", "tbody a"),
    ("op-drain", "/dashboard/operators/carriers", "a[href*='/drain?']"),
    ("op-approve", "/dashboard/operators/deposits", "a[href$='/approve']"),
    ("op-refuse", "/dashboard/operators/deposits", "a[href$='/refuse']"),
    ("op-payment", "/dashboard/operators/deposits", "a[href$='/credit']"),
    ("op-close", "/dashboard/operators/reviews", "a[href$='/close']"),
    ("op-sent", "/dashboard/operators/payouts", "a[href$='/sent']"),
    ("op-revoke", "/dashboard/operators/revocations", "a[href*='/revocations/']"),
];

/// A name and a path.
type Page = (String, String);

fn named(pages: &[(&str, &str)]) -> Vec<Page> {
    pages.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect()
}

/// Adds the pages behind the links. `PAGE:n` is the page behind the n-th link of a table on `PAGE`.
async fn with_linked(
    b: &Browser,
    mut pages: Vec<Page>,
    linked: &[(&str, &str, &str)],
) -> Vec<Page> {
    for (name, page, link) in linked {
        let (page, row) = page.split_once(':').unwrap_or((page, ""));
        b.goto(page).await;
        if !row.is_empty() {
            let rows = b.links(&format!("tbody tr:nth-child({row}) th a")).await;
            b.goto(&rows[0]).await;
        }
        let found = b.links(link).await;
        let path = found.first().unwrap_or_else(|| panic!("no {link} on {page}"));
        pages.push(((*name).to_owned(), path.clone()));
    }
    pages
}

/// A language, and the colour schemes in which its pages are looked at.
type View = (&'static str, &'static [&'static str]);

/// Both languages in both colour schemes.
const ALL: &[View] = &[("en", &["light", "dark"]), ("vi", &["light", "dark"])];

struct Tour {
    b: Browser,
    width: u32,
    views: &'static [View],
    is_long_form: bool,
    /// What is wrong with each page.
    faults: Vec<String>,
}

impl Tour {
    async fn look(&mut self, pages: &[Page]) {
        for (language, schemes) in self.views {
            self.look_in(pages, language, schemes).await;
        }
    }

    async fn look_in(&mut self, pages: &[Page], language: &str, schemes: &[&str]) {
        for (name, path) in pages {
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let path = if path == "/en" { format!("/{language}") } else { path.to_owned() };
            self.b.goto(&format!("{path}?{query}&lang={language}")).await;
            for scheme in schemes {
                self.b.set_colour_scheme(scheme).await;
                let what = format!("{name}-{}-{language}-{scheme}", self.width);
                if self.is_long_form {
                    self.b.save_picture(&format!("{what}.png")).await;
                }
                // axe-core takes seconds for a long page. The other tests of the browser run it on each kind of page.
                let faults = match self.is_long_form {
                    true => self.b.faults().await,
                    false => self.b.layout_faults().await,
                };
                self.faults.extend(faults.iter().map(|fault| format!("{what}: {fault:#}")));
            }
        }
    }

    async fn sign_in(&self, email: &str) {
        self.b.client.delete_all_cookies().await.unwrap();
        self.b.sign_in(email).await;
    }

    /// A call in progress: the page promises its webhooks, which are sent later.
    async fn look_at_a_live_call(&mut self, scene: &data::Scene) {
        let sent = scene.customer.send(&phone(21), "482917").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let path = format!("/dashboard/deliveries/{}", sent.json["id"].as_str().unwrap());
        self.b.goto(&format!("{path}?lang=en")).await;
        self.b.wait_for("Call in progress").await;
        let text = self.b.text().await;
        assert!(!text.contains("No webhook was sent"), "{text}");
        self.b.wait_for("answered").await;
        self.look_in(&[("delivery-live".to_owned(), path)], "en", &["light"]).await;
    }
}

async fn gallery(width: u32, short: &'static [View]) {
    let gateway =
        Gateway::start(Backend::Sqlite, &[&OPEN[..], &harness::waiting::BANK[..]].concat());
    let scene = data::fill(&gateway).await;
    let b = Browser::open(&gateway.url, Screen::Wide, "en", "gallery").await;
    b.set_width(width).await;
    let is_long_form = std::env::var_os("NEXO_TEST_VIEWS").is_some();
    let views = match is_long_form {
        true => ALL,
        false => short,
    };
    let mut tour = Tour { b, width, views, is_long_form, faults: Vec::new() };
    tour.look(&named(&PUBLIC)).await;
    tour.sign_in(NEWCOMER).await;
    tour.look(&named(&OF_NEWCOMER)).await;
    tour.sign_in(MEMBER).await;
    let pages = with_linked(&tour.b, named(&OF_MEMBER), &LINKED_OF_MEMBER).await;
    tour.look(&pages).await;
    tour.look_at_a_live_call(&scene).await;
    tour.sign_in(OPERATOR).await;
    let pages = with_linked(&tour.b, named(&OF_OPERATOR), &LINKED_OF_OPERATOR).await;
    tour.look(&pages).await;
    tour.b.client.clone().close().await.unwrap();
    assert!(tour.faults.is_empty(), "{}", tour.faults.join("\n"));
    gateway.audit();
}

#[actix_web::test]
async fn every_page_fits_a_wide_screen() {
    gallery(1280, &[("en", &["light"])]).await;
}

#[actix_web::test]
async fn every_page_fits_a_phone() {
    gallery(390, &[("vi", &["dark"])]).await;
}

/// Carriers and banks, without a browser.
#[actix_web::test]
async fn names_are_written_as_people_know_them() {
    let gateway =
        Gateway::start(Backend::Sqlite, &[&OPEN[..], &harness::waiting::BANK[..]].concat());
    let _scene = data::fill(&gateway).await;
    let mut lan = Visitor::of(&gateway);
    lan.sign_in(MEMBER, harness::visitor::PASSWORD).await;
    let list = lan.get("/dashboard/deliveries").await;
    for name in ["Viettel", "VinaPhone", "MobiFone", "Vietnamobile", "Gmobile", "Itelecom"] {
        list.must_contain(&format!(">{name}<"));
    }
    list.must_contain("value=\"vinaphone\"");
    let page = lan.get("/dashboard/wallet/top-up").await;
    let path = harness::visitor::between(&page.text, "<th scope=\"row\"><a href=\"", "\"").unwrap();
    lan.get(path).await.must_contain("Vietcombank (970436)").must_contain("data-copy=\"887500\"");
}
