//! Ported numbers through the binary: a country's worth of them, replaced as a whole.

use std::fmt::Write;
use std::time::Duration;

use harness::{Backend, Customer, Gateway, per_database, phone, until};

const ROWS: u32 = 300_000;
/// None of them is the carrier of these numbers' range.
const HOSTS: [&str; 3] = ["mobifone", "vinaphone", "itel"];

/// Who hosts the number in the large set: another one each hundred.
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

/// Which carrier an OTP to this phone goes to.
async fn carrier(customer: &Customer, phone: &str) -> String {
    let sent = customer.send(phone, "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    sent.json["carrier"].as_str().unwrap().to_owned()
}

#[per_database]
async fn three_hundred_thousand_numbers_are_routed_by_until_a_smaller_set_replaces_them(
    backend: Backend,
) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "10.00");
    // In falling order: a file need not be sorted.
    let mut rows = String::from("phone,carrier\n");
    for number in (0..ROWS).rev() {
        let phone = format!("+8498{number:07}");
        writeln!(rows, "{phone},{}", host(&phone)).unwrap();
    }
    assert_eq!(import(&gateway, "large.csv", &rows), u64::from(ROWS));
    routed(&customer, host).await;
    for _ in 0..6 {
        let ported = phone(90);
        assert_eq!(carrier(&customer, &ported).await, host(&ported), "{ported}");
    }
    let (last, beyond) = ("+84980299990", "+84980300090");
    assert_eq!(carrier(&customer, last).await, host(last));
    assert_eq!(carrier(&customer, beyond).await, "viettel");

    // Two stay, with another carrier; all others go back to their range's.
    let stay = [phone(90), phone(90)];
    let small = stay
        .each_ref()
        .map(|phone| format!("{phone},vietnamobile\n"));
    assert_eq!(import(&gateway, "small.csv", &small.concat()), 2);
    routed(&customer, |_| "viettel").await;
    for phone in stay {
        assert_eq!(carrier(&customer, &phone).await, "vietnamobile", "{phone}");
    }
    for _ in 0..6 {
        assert_eq!(carrier(&customer, &phone(90)).await, "viettel");
    }
    gateway.audit();
}

/// Waits until phones are routed so. An import says within a second; the machine may be busy.
async fn routed(customer: &Customer, by: impl Fn(&str) -> &'static str) {
    until("the set in force", Duration::from_secs(20), async || {
        let phone = phone(90);
        (carrier(customer, &phone).await == by(&phone)).then_some(())
    })
    .await;
}
