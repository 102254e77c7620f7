//! baresip: a phone that answers automatically, records the audio and presses keys.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::Value;

use super::peers::{NUMBER, Phone, are_answered, carriers, deliver, start};
use harness::{Answer, Backend, Customer, Gateway, cases};

const CODE: &str = "482917";

cases! {
    a_phone_records_the_code:
    by_udp("udp", false, "482917");
    by_tcp("tcp", false, "00551");
    by_tls("tls", false, "73916482");
    by_tls_and_protected("tls", true, "9027");
    by_udp_and_protected("udp", true, "31856");
}

async fn a_phone_records_the_code(transport: &str, srtp: bool, code: &str) {
    let phone = Phone::start(";mediaenc=srtp");
    let authority = phone.file("ca.pem");
    let port = phone.port + u16::from(transport == "tls");
    let gateway = start(&format!(
        r#"{{name="phone",uri="sip:127.0.0.1:{port};transport={transport}",number_format="national",srtp={srtp},tls_ca="{authority}",options_ping_seconds=0}}"#
    ));
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, code).await;
    gateway.audit();
    // RTCP reports were exchanged, so the call's quality is known.
    for figure in ["round_trip_seconds", "jitter_seconds", "loss_ratio"] {
        let known = gateway.metric(&format!("nexo_rtcp_{figure}_count")).await;
        assert_eq!(known, 1.0, "{figure}");
    }
    // The best score of G.711 over loopback.
    let mos = mos(&gateway).await;
    assert!((400..=445).contains(&mos), "{mos}");
    assert_eq!(phone.recognised_codes(), [code]);
}

/// The mean mos score of the only call, in hundredths, from the call's record.
async fn mos(gateway: &Gateway) -> i64 {
    let database = Database::connect(gateway.database_url()).await.unwrap();
    let records = "SELECT mos_hundredths FROM call_attempts";
    let records = Statement::from_string(database.get_database_backend(), records);
    let records = database.query_all_raw(records).await.unwrap();
    assert_eq!(records.len(), 1);
    records[0].try_get_by_index(0).expect("a score")
}

cases! {
    a_phone_with_pcmu_and_long_packets_records_the_code:
    of_40_ms(40);
    of_60_ms(60);
}

async fn a_phone_with_pcmu_and_long_packets_records_the_code(ptime: u32) {
    let phone = Phone::start(&format!(";audio_codecs=PCMU/8000/1;ptime={ptime}"));
    let gateway = start(&plain(&phone));
    let customer = gateway.customer("a@example.com", "10.00");
    deliver(&customer, CODE).await;
    gateway.audit();
    assert_eq!(phone.recognised_codes(), [CODE], "{ptime} ms");
}

#[tokio::test]
async fn a_pressed_key_repeats_the_code_at_most_three_times() {
    let phone = Phone::start("");
    let gateway = start(&plain(&phone));
    let customer = gateway.customer("a@example.com", "10.00");
    let presses = press_every(&phone, Duration::from_secs(4));
    let (ended, pressed) = call(&gateway, &customer, presses).await;
    assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    // Each press interrupts a reading and starts another, except those after the third.
    assert!(pressed > 3, "{pressed}");
    let codes = phone.recognised_codes().concat();
    let readings: Vec<&str> = codes.split(' ').collect();
    assert!((2..=4).contains(&readings.len()), "{codes}");
    assert_eq!(readings.last(), Some(&CODE), "{codes}");
    let interrupted = &readings[..readings.len() - 1];
    assert!(interrupted.iter().all(|part| CODE.starts_with(part) && *part != CODE), "{codes}");
    gateway.audit();
}

cases! {
    a_required_keypress_comes_before_any_digit:
    voicemail(false);
    person(true);
}

async fn a_required_keypress_comes_before_any_digit(is_person: bool) {
    let phone = Phone::start("");
    let carriers = carriers(&plain(&phone));
    let settings = [
        ("NEXO_CARRIERS", carriers.as_str()),
        ("NEXO_CALLS__REPEAT", "1"),
        ("NEXO_CALLS__REQUIRE_KEYPRESS", "true"),
    ];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let mut may_press = is_person;
    let once = async || {
        // Press in the pause after the prompt, so that the prompt is recorded completely.
        tokio::time::sleep(Duration::from_millis(4_700)).await;
        if std::mem::take(&mut may_press) {
            phone.press('5');
        }
    };
    let (ended, _) = call(&gateway, &customer, once).await;
    let (status, error_code, codes) = match is_person {
        true => ("delivered", Value::Null, CODE),
        false => ("failed", "partial_playback".into(), ""),
    };
    assert_eq!(ended.json["status"], status, "{}", ended.text);
    assert_eq!(ended.json["error_code"], error_code, "{}", ended.text);
    assert_eq!(phone.recognised_codes(), [codes]);
    gateway.audit();
}

/// Calls the phone and runs `presses` from the answer to the end of the call. Returns the final delivery
/// and the number of presses.
async fn call(
    gateway: &Gateway,
    customer: &Customer,
    mut presses: impl AsyncFnMut(),
) -> (Answer, u32) {
    let sent = customer.send(NUMBER, CODE).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    are_answered(gateway, 1).await;
    let mut pressed = 0;
    let pressing = async {
        loop {
            presses().await;
            pressed += 1;
        }
    };
    let id = sent.json["id"].as_str().unwrap();
    let ended = tokio::select! {
        () = pressing => unreachable!(),
        ended = customer.terminal(id) => ended,
    };
    (ended, pressed)
}

/// Presses a key at this interval, like a person who asks for repetition.
fn press_every(phone: &Phone, every: Duration) -> impl AsyncFnMut() {
    async move || {
        tokio::time::sleep(every).await;
        phone.press('0');
    }
}

fn plain(phone: &Phone) -> String {
    let port = phone.port;
    format!(
        r#"{{name="phone",uri="sip:127.0.0.1:{port}",number_format="national",options_ping_seconds=0}}"#
    )
}
