//! The end of an answered call.

use super::*;

#[test]
fn a_finished_call_leaves_nothing_after_the_time_for_retransmissions() {
    let mut fixture = established_call();
    fixture.send("BYE", "three", 2);
    assert_eq!(fixture.all()[3..], ["200 BYE"]);
    assert_eq!(fixture.ended.len(), 1);
    assert!(fixture.ended[0].answered);
    assert_eq!(fixture.ended[0].talk_time.as_millis(), 200);
    assert!(fixture.callee.calls.is_empty());
    fixture.run_to(40_000);
    assert!(fixture.is_empty());
    assert_eq!(fixture.sent.len(), 4);
}

#[test]
fn an_answer_without_an_ack_is_hung_up() {
    let mut fixture = Fixture::new();
    fixture.send("INVITE", "one", 1);
    fixture.run_to(33_000);
    assert_eq!(fixture.times("BYE")[0], 32_800);
    assert!(line(&fixture.last_message, "To").ends_with(";tag=caller"));
    fixture.run_to(200_000);
    assert!(fixture.is_empty());
    assert_eq!(fixture.ended.len(), 1);
}

#[test]
fn a_retransmitted_bye_is_confirmed_again_and_a_new_one_gets_481() {
    let mut fixture = established_call();
    fixture.send("BYE", "three", 2);
    fixture.run_to(1500);
    fixture.send("BYE", "three", 2);
    fixture.send("BYE", "four", 3);
    assert_eq!(fixture.all()[3..], ["200 BYE", "200 BYE", "481 BYE"]);
    assert_eq!(fixture.ended.len(), 1);
}

#[test]
fn a_bye_of_the_callee_is_retransmitted_until_it_is_answered() {
    let mut fixture = Fixture::new();
    fixture.send_to("0981234598", "INVITE", "one", 1);
    fixture.run_to(900);
    fixture.send_to("0981234598", "ACK", "two", 1);
    fixture.run_to(2400);
    assert_eq!(fixture.times("BYE"), [1800, 2300]);
    let bye = fixture.last_message.clone();
    assert!(bye.starts_with("BYE sip:gateway@127.0.0.1:5062 SIP/2.0"), "{bye}");
    let answer: String = ["Via", "From", "To", "Call-ID", "CSeq"]
        .map(|name| format!("{name}: {}\r\n", line(&bye, name)))
        .concat();
    fixture.receive(&format!("SIP/2.0 200 OK\r\n{answer}Content-Length: 0\r\n\r\n"));
    fixture.run_to(60_000);
    assert_eq!(fixture.times("BYE").len(), 2);
    assert!(fixture.is_empty());
}

#[test]
fn a_crossing_bye_is_confirmed_and_the_call_ends_once() {
    let mut fixture = Fixture::new();
    fixture.send_to("0981234598", "INVITE", "one", 1);
    fixture.run_to(900);
    fixture.send_to("0981234598", "ACK", "two", 1);
    fixture.run_to(1900);
    assert_eq!(fixture.times("BYE"), [1800]);
    fixture.send_to("0981234598", "BYE", "three", 2);
    assert_eq!(fixture.times("200 BYE"), [1900]);
    assert_eq!(fixture.ended.len(), 1);
}

#[test]
fn a_bye_follows_the_recorded_route_of_the_invite() {
    let mut fixture = Fixture::new();
    let invite = fixture.text("INVITE", "one", 1, "0981234598");
    let routes =
        "Record-Route: <sip:127.0.0.1:5062;lr;a=1>\r\nRecord-Route: <sip:192.0.2.9;lr>\r\nCall-ID";
    fixture.receive(&invite.replacen("Call-ID", routes, 1));
    fixture.run_to(900);
    assert!(fixture.last_message.contains("Record-Route: <sip:127.0.0.1:5062;lr;a=1>"));
    fixture.send_to("0981234598", "ACK", "two", 1);
    fixture.run_to(1900);
    let bye = fixture.last_message.clone();
    assert!(bye.starts_with("BYE sip:gateway@127.0.0.1:5062 "), "{bye}");
    let (first, second) = (bye.find("sip:127.0.0.1:5062;lr"), bye.find("sip:192.0.2.9;lr"));
    assert!(first.is_some() && first < second, "{bye}");
}

#[test]
fn shutting_down_ends_all_calls_at_once() {
    let mut fixture = established_call();
    fixture.tag.clear();
    fixture.send_to("0981234591", "INVITE", "ring", 1);
    fixture.callee.shut_down(fixture.now);
    fixture.perform();
    let mut last: Vec<_> = fixture.all()[5..].to_vec();
    last.sort_unstable();
    assert_eq!(last, ["503 INVITE", "BYE"]);
    assert_eq!(fixture.ended.len(), 2);
}
