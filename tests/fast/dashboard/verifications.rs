//! The pages of verifications: the list with its search, and one with its calls. No page shows a code.

use harness::visitor::{PageResponse, Visitor};
use harness::{Backend, Customer, Gateway, client, per_database, phone};
use serde_json::json;

use crate::verify::{check, code, gateway, wrong_code};

const PAGE: &str = "/dashboard/verifications";

struct Started {
    id: String,
    phone: String,
    delivery: String,
}

async fn start(customer: &Customer, reference: &str) -> Started {
    let phone = phone(90);
    let body = json!({ "phone": phone, "reference": reference });
    let started = crate::verify::start(customer, &body).await;
    assert_eq!(started.status, 202, "{}", started.text);
    let text = |name: &str| started.json[name].as_str().unwrap().to_owned();
    Started { id: text("id"), phone, delivery: text("delivery_id") }
}

async fn customer(gateway: &Gateway, visitor: &mut Visitor, email: &str) -> Customer {
    let credit = ["wallet", "credit", "--account", email, "--bucket", "balance"];
    gateway.nexo(&[&credit[..], &["--amount", "1.00", "--reference", email]].concat());
    let key = visitor.new_key("test").await;
    let api = format!("{}/api/v1", gateway.url);
    Customer { key, key_id: String::new(), api, http: client() }
}

/// The ids on a page of the list, in its order.
fn ids(seen: &PageResponse) -> Vec<&str> {
    let links = seen.text.split("<th scope=\"row\"><a href=\"/dashboard/verifications/").skip(1);
    links.map(|rest| &rest[..36]).collect()
}

#[per_database]
async fn verifications_are_listed_searched_and_shown_with_their_calls(backend: Backend) {
    let gateway = gateway(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let mut eve = Visitor::signed_up(&gateway, "eve@example.com").await;
    lan.get(PAGE).await.must_contain("No verifications yet");
    let customer = customer(&gateway, &mut lan, "lan@example.com").await;
    let (first, second) = (start(&customer, "r-1").await, start(&customer, "r-2").await);
    check(&customer, &first.id, &wrong_code(&first.id, 6)).await;
    check(&customer, &second.id, &code(&second.id, 6)).await;

    let (one, two) = (first.id.as_str(), second.id.as_str());
    let national = first.phone.replacen("+84", "0", 1);
    for (query, expected) in [
        ("", vec![two, one]),
        ("?status=pending", vec![one]),
        ("?status=approved", vec![two]),
        ("?status=expired", vec![]),
        ("?q=r-2", vec![two]),
        (&format!("?q={national}"), vec![one]),
        (&format!("?q={national}&status=approved"), vec![]),
        ("?from=2020-01-01&to=2020-01-02", vec![]),
    ] {
        assert_eq!(ids(&lan.get(&format!("{PAGE}{query}")).await), expected, "{query}");
    }
    let found = lan.get(&format!("{PAGE}?q={one}")).await;
    assert_eq!(found.location(), format!("{PAGE}/{one}"));
    let refused = lan.get(&format!("{PAGE}?q=%0A%01")).await;
    assert!(refused.status == 200 || refused.status == 400, "{refused:?}");

    let page = lan.get(&format!("{PAGE}/{one}")).await;
    page.must_contain("pending").must_contain("4 of 5").must_contain("1 of 5").must_contain("r-1");
    page.must_contain(&format!("/dashboard/deliveries/{}", first.delivery));
    let delivery = format!("/dashboard/deliveries/{}", second.delivery);
    lan.get(&delivery).await.must_contain(&format!("{PAGE}/{two}"));
    let approved = lan.get(&format!("{PAGE}/{two}")).await;
    approved.must_contain("approved").must_contain("5 of 5");
    for seen in [&page, &approved, &lan.get(PAGE).await, &lan.get(&delivery).await] {
        for id in [one, two] {
            let mut words = seen.text.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(words.all(|word| word != code(id, 6)), "{}", seen.text);
        }
    }

    assert_eq!(eve.get(&format!("{PAGE}/{one}")).await.status, 404);
    for query in ["", "?q=r-1", &format!("?q={one}")] {
        let seen = eve.get(&format!("{PAGE}{query}")).await;
        assert_eq!((seen.status, ids(&seen).len()), (200, 0), "{query}");
    }
    for id in ["1", "8f2e1c4d-0000-4000-8000-000000000001"] {
        assert_eq!(lan.get(&format!("{PAGE}/{id}")).await.status, 404);
    }
}
