//! Import of a large set of ported numbers, and its replacement by a small one.

use std::fmt::Write;
use std::time::Duration;

use harness::{Backend, Customer, Gateway, per_database, phone, until};

const ROWS: u32 = 300_000;
/// The carriers of the ported numbers. None of them owns the numbers' range, which is Viettel's.
const HOSTS: [&str; 3] = ["mobifone", "vinaphone", "itel"];

/// The carrier of a number in the large set. It changes after every hundred numbers.
fn host(phone: &str) -> &'static str {
    let number: u32 = phone.strip_prefix("+8498").unwrap().parse().unwrap();
    HOSTS[(number / 100 % 3) as usize]
}

fn import(gateway: &Gateway, name: &str, rows: &str) -> u64 {
    let file = gateway.dir.path().join(name);
    std::fs::write(&file, rows).unwrap();
    let imported = gateway.nexo(&["ports", "import", file.to_str().unwrap()]);
    imported["rows"].as_u64().unwrap()
}

/// Sends an OTP to this phone and returns the chosen carrier.
async fn carrier(customer: &Customer, phone: &str) -> String {
    let sent = customer.send(phone, "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    sent.json["carrier"].as_str().unwrap().to_owned()
}

#[per_database]
async fn a_smaller_import_replaces_three_hundred_thousand_ported_numbers(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    // In descending order: a file need not be sorted.
    let mut rows = String::from("phone,carrier\n");
    for number in (0..ROWS).rev() {
        let phone = format!("+8498{number:07}");
        writeln!(rows, "{phone},{}", host(&phone)).unwrap();
    }
    assert_eq!(import(&gateway, "large.csv", &rows), u64::from(ROWS));
    wait_until_routed(&customer, host).await;
    for _ in 0..6 {
        let ported = phone(90);
        assert_eq!(carrier(&customer, &ported).await, host(&ported), "{ported}");
    }
    let (last, beyond) = ("+84980299990", "+84980300090");
    assert_eq!(carrier(&customer, last).await, host(last));
    assert_eq!(carrier(&customer, beyond).await, "viettel");

    // Two numbers stay ported, to another carrier. All others return to the carrier of their range.
    let still_ported = [phone(90), phone(90)];
    let small = still_ported.each_ref().map(|phone| format!("{phone},vietnamobile\n"));
    assert_eq!(import(&gateway, "small.csv", &small.concat()), 2);
    wait_until_routed(&customer, |_| "viettel").await;
    for phone in still_ported {
        assert_eq!(carrier(&customer, &phone).await, "vietnamobile", "{phone}");
    }
    for _ in 0..6 {
        assert_eq!(carrier(&customer, &phone(90)).await, "viettel");
    }
    gateway.audit();
}

/// Waits until numbers have the expected carrier. An import takes effect within a second; the timeout allows for a
/// busy machine.
async fn wait_until_routed(customer: &Customer, expected: impl Fn(&str) -> &'static str) {
    until("the imported set is in effect", Duration::from_secs(20), async || {
        let phone = phone(90);
        (carrier(customer, &phone).await == expected(&phone)).then_some(())
    })
    .await;
}
