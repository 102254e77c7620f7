//! Tests of HTTP methods on every route: HEAD wherever GET is, OPTIONS, and a complete `Allow`.

use std::collections::BTreeSet;

use harness::raw_http::{RawAnswer, request};
use harness::visitor::{PASSWORD, Visitor};
use harness::{Backend, Gateway};
use sea_orm::{ConnectionTrait, Database};

use crate::dashboard::routes::{Route, api_routes, metrics_routes, routes};

const UNKNOWN_ID: &str = "8f2e1c4d-0000-4000-8000-000000000001";

/// The methods of a route as `Allow` lists them.
fn allow(route: &Route) -> String {
    let mut methods = Vec::new();
    if route.has_page {
        methods.extend(["GET", "HEAD"]);
    }
    if route.has_form {
        methods.push("POST");
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

/// HEAD is answered like GET, with nothing behind the head.
fn must_agree(path: &str, get: &RawAnswer, head: &RawAnswer) {
    assert_eq!(head.status, get.status, "HEAD {path}");
    assert_eq!(head.body, b"", "HEAD {path}");
    for name in ["content-type", "location", "cache-control", "www-authenticate"] {
        assert_eq!(head.header(name), get.header(name), "HEAD {path}: {name}");
    }
    let (sent, announced) = (get.header("content-length"), head.header("content-length"));
    match get.header("transfer-encoding") {
        // The figures of the metrics and the rest of a page change between two requests.
        "" => assert_eq!(announced.is_empty(), sent.is_empty(), "HEAD {path}"),
        _ => assert_eq!(announced, "", "HEAD {path}"),
    }
    assert_eq!(head.header("transfer-encoding"), "", "HEAD {path}");
}

/// Requests a route by every method.
fn check(url: &str, route: &Route, headers: &[String]) {
    let path = route.path.replace("{id}", UNKNOWN_ID);
    let by = |method: &str| request(url, method, &path, headers);
    let expected = allow(route);
    let options = by("OPTIONS");
    let actual = (options.status, options.header("allow"));
    assert_eq!(actual, (204, expected.as_str()), "OPTIONS {path}");
    assert_eq!(options.body, b"", "OPTIONS {path}");
    let mut refused = vec!["PUT", "PATCH", "DELETE", "TRACE", "BREW"];
    if !route.has_form {
        refused.push("POST");
    }
    if route.has_page {
        let get = by("GET");
        assert!(![405, 500, 501].contains(&get.status), "GET {path}: {get:?}");
        must_agree(&path, &get, &by("HEAD"));
    } else {
        refused.push("GET");
        let head = by("HEAD");
        let actual = (head.status, head.header("allow"), head.body.as_slice());
        assert_eq!(actual, (405, expected.as_str(), &b""[..]), "HEAD {path}");
    }
    for method in refused {
        let answer = by(method);
        let actual = (answer.status, answer.header("allow"));
        assert_eq!(actual, (405, expected.as_str()), "{method} {path}");
        assert!(!answer.body.is_empty(), "{method} {path}");
    }
}

/// The paths of the static files that a page uses.
fn assets(page: &str) -> BTreeSet<String> {
    let names = page.split("\"/assets/").skip(1);
    names.map(|rest| format!("/assets/{}", rest.split('"').next().unwrap())).collect()
}

#[actix_web::test]
async fn every_route_answers_head_like_get_and_lists_its_methods() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let key = gateway.customer("a@example.com", "1.00").key;
    let email = "op@example.com";
    let create = ["account", "create", "--operator", "--email", email];
    gateway.nexo(&[&create[..], &["--password", PASSWORD]].concat());
    let mut operator = Visitor::of(&gateway);
    assert_eq!(operator.sign_in(email, PASSWORD).await.status, 303);
    let page = operator.get("/dashboard").await;
    let cookies: Vec<String> =
        operator.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let session = vec![format!("Cookie: {}", cookies.join("; "))];

    let site = routes();
    assert!(site.len() > 50, "{}", site.len());
    let landing = ["/", "/en", "/vi"].map(str::to_owned).into_iter();
    let assets = assets(&page.text);
    assert!(assets.len() >= 3, "{assets:?}");
    let more = landing.chain(assets).map(|path| Route { path, has_page: true, has_form: false });
    for route in site.into_iter().chain(more) {
        check(&gateway.url, &route, &session);
    }

    let api = api_routes();
    let document = request(&gateway.url, "GET", "/api/v1/openapi.json", &[]).json();
    let documented: BTreeSet<&String> = document["paths"].as_object().unwrap().keys().collect();
    let routed: BTreeSet<&String> = api.iter().map(|route| &route.path).collect();
    assert_eq!(routed, documented);
    let authorization = vec![format!("Authorization: Bearer {key}")];
    for route in &api {
        check(&gateway.url, route, &authorization);
        let refused = request(&gateway.url, "DELETE", &route.path, &authorization);
        assert_eq!(refused.json()["error"], "method_not_allowed");
    }

    let metrics = metrics_routes();
    assert!(metrics.iter().any(|route| route.path == "/metrics"));
    for route in metrics {
        check(&gateway.metrics, &route, &[]);
    }

    for method in ["GET", "HEAD", "OPTIONS", "POST"] {
        for (url, path) in [(&gateway.url, "/nowhere"), (&gateway.metrics, "/nowhere")] {
            assert_eq!(request(url, method, path, &[]).status, 404, "{method} {path}");
        }
    }
    assert_eq!(request(&gateway.url, "OPTIONS", "*", &[]).status, 204);
}

#[actix_web::test]
async fn a_page_without_a_session_redirects_head_too() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let head = request(&gateway.url, "HEAD", "/dashboard/wallet", &[]);
    let location = "/auth/sign-in?next=%2Fdashboard%2Fwallet";
    assert_eq!((head.status, head.header("location")), (303, location));
}

#[actix_web::test]
async fn head_of_a_csv_reads_no_row() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let key = gateway.customer("a@example.com", "1.00").key;
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    lan.get("/dashboard").await;
    let cookies: Vec<String> =
        lan.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let api = vec![format!("Authorization: Bearer {key}"), "Accept: text/csv".to_owned()];
    let session = vec![format!("Cookie: {}", cookies.join("; "))];
    let exports = [
        ("/api/v1/deliveries", &api),
        ("/api/v1/ledger", &api),
        ("/dashboard/deliveries.csv", &session),
        ("/dashboard/wallet/ledger.csv", &session),
    ];
    let by =
        |method: &str| exports.map(|(path, headers)| request(&gateway.url, method, path, headers));
    for (head, get) in by("HEAD").iter().zip(by("GET").iter()) {
        assert_eq!((head.status, get.status), (200, 200));
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert!(head.header("content-disposition").contains(".csv"));
        assert_eq!(head.header("content-length"), "");
        assert_eq!(head.body, b"");
    }
    // Without its tables, an export fails as soon as it reads a row.
    let database = Database::connect(gateway.database_url()).await.unwrap();
    for table in ["deliveries", "ledger_entries"] {
        let rename = format!("ALTER TABLE {table} RENAME TO {table}_away");
        database.execute_unprepared(&rename).await.unwrap();
    }
    for (head, get) in by("HEAD").iter().zip(by("GET").iter()) {
        assert_eq!(head.status, 200);
        assert!(get.status >= 500, "{}", get.status);
    }
}
