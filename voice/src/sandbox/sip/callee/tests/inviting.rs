//! INVITE, ACK and CANCEL, and requests that are not part of a call.

use super::*;

#[test]
fn the_answer_establishes_a_dialog() {
    let mut fixture = Fixture::new();
    fixture.send("INVITE", "one", 1);
    fixture.run_to(1000);
    assert_eq!(fixture.times("200 INVITE"), [800]);
    let answer = &fixture.last_message;
    let via = line(answer, "Via");
    assert!(via.contains("branch=z9hG4bKone"), "{via}");
    assert!(via.contains("rport=5062"), "{via}");
    assert_eq!(line(answer, "Call-ID"), "call-0981234567");
    assert_eq!(line(answer, "CSeq"), "1 INVITE");
    assert!(line(answer, "From").ends_with(";tag=caller"));
    assert!(line(answer, "Contact").contains("127.0.0.1:5060"));
    assert_eq!(line(answer, "Content-Type"), "application/sdp");
    assert!(answer.contains("m=audio 30000 RTP/AVP 8"), "{answer}");
    assert!(answer.contains("c=IN IP4 127.0.0.1"), "{answer}");
}

#[test]
fn an_answer_is_retransmitted_until_its_ack_arrives() {
    let mut fixture = Fixture::new();
    fixture.send("INVITE", "one", 1);
    fixture.run_to(5000);
    assert_eq!(fixture.times("200 INVITE"), [800, 1300, 2300, 4300]);
    fixture.send("ACK", "two", 1);
    fixture.run_to(30_000);
    assert_eq!(fixture.times("200 INVITE").len(), 4);
}

#[test]
fn a_retransmitted_invite_gets_the_last_response_and_starts_no_second_call() {
    let mut fixture = Fixture::new();
    fixture.send("INVITE", "one", 1);
    let invite = fixture.text("INVITE", "one", 1, "0981234567");
    // The same bytes again: without the tag that the caller has received since.
    let invite = invite.replace(&format!(";tag={}", fixture.tag), "");
    fixture.run_to(500);
    fixture.receive(&invite);
    fixture.run_to(900);
    fixture.receive(&invite);
    assert_eq!(
        fixture.sent,
        [
            (0, "100 INVITE"),
            (0, "180 INVITE"),
            (500, "180 INVITE"),
            (800, "200 INVITE"),
            (900, "200 INVITE")
        ]
        .map(|(at, what)| (at, what.to_string()))
    );
    fixture.send("ACK", "two", 1);
    fixture.receive(&invite);
    fixture.send("BYE", "three", 2);
    fixture.receive(&invite);
    assert_eq!(fixture.sent.len(), 6);
    assert_eq!(fixture.events.len(), 4, "{:?}", fixture.events);
    assert_eq!(fixture.ended.len(), 1);
}

#[test]
fn a_rejection_is_retransmitted_until_its_ack_on_the_invites_branch() {
    let mut fixture = Fixture::new();
    fixture.send_to("0981234590", "INVITE", "one", 1);
    fixture.run_to(2000);
    assert_eq!(fixture.times("486 INVITE"), [0, 500, 1500]);
    fixture.send_to("0981234590", "ACK", "one", 1);
    fixture.run_to(60_000);
    assert_eq!(fixture.times("486 INVITE").len(), 3);
    assert!(fixture.is_empty());
}

#[test]
fn a_cancel_is_confirmed_and_ends_the_ring() {
    let mut fixture = Fixture::new();
    fixture.send_to("0981234591", "INVITE", "one", 1);
    let tag = std::mem::take(&mut fixture.tag);
    fixture.run_to(20_000);
    for _ in 0..2 {
        fixture.tag.clear();
        fixture.send_to("0981234591", "CANCEL", "one", 1);
    }
    assert_eq!(fixture.all()[2..], ["200 CANCEL", "487 INVITE", "200 CANCEL"]);
    assert_eq!(fixture.tag, tag);
    fixture.send_to("0981234591", "ACK", "one", 1);
    fixture.run_to(200_000);
    assert_eq!(fixture.sent.len(), 5);
    assert!(fixture.is_empty());
    assert!(!fixture.ended[0].answered);
}

#[test]
fn a_cancel_after_the_answer_is_confirmed_and_the_call_continues() {
    let mut fixture = Fixture::new();
    fixture.send("INVITE", "one", 1);
    fixture.run_to(900);
    let tag = std::mem::take(&mut fixture.tag);
    fixture.send("CANCEL", "one", 1);
    assert_eq!(fixture.all()[2..], ["200 INVITE", "200 CANCEL"]);
    assert!(fixture.ended.is_empty());
    fixture.tag = tag;
    fixture.send("ACK", "two", 1);
    fixture.send("BYE", "three", 2);
    assert_eq!(fixture.all()[4..], ["200 BYE"]);
    assert!(fixture.ended[0].answered);
}

#[test]
fn a_cancel_for_another_branch_gets_481() {
    let mut fixture = Fixture::new();
    fixture.send_to("0981234591", "INVITE", "one", 1);
    fixture.tag.clear();
    fixture.send_to("0981234591", "CANCEL", "other", 1);
    assert_eq!(fixture.all()[2..], ["481 CANCEL"]);
    assert!(fixture.ended.is_empty());
}

#[test]
fn a_silent_number_responds_neither_to_invite_nor_cancel() {
    let mut fixture = Fixture::new();
    for _ in 0..3 {
        fixture.send_to("0981234597", "INVITE", "one", 1);
        fixture.run_to(500);
    }
    fixture.send_to("0981234597", "CANCEL", "one", 1);
    fixture.run_to(60_000);
    assert!(fixture.sent.is_empty());
    assert!(fixture.is_empty());
    assert_eq!(fixture.ended.len(), 1);
}

#[test]
fn a_renegotiation_is_rejected_and_the_call_continues() {
    let mut fixture = established_call();
    fixture.send("INVITE", "three", 2);
    fixture.send("ACK", "three", 2);
    fixture.send("OPTIONS", "four", 3);
    fixture.send("INFO", "five", 4);
    assert_eq!(fixture.all()[3..], ["488 INVITE", "200 OPTIONS", "405 INFO"]);
    assert!(fixture.ended.is_empty());
}

#[test]
fn an_invalid_number_gets_404_and_is_not_reported() {
    let mut fixture = Fixture::new();
    fixture.send_to("operator", "INVITE", "one", 1);
    assert_eq!(fixture.all(), ["404 INVITE"]);
    assert!(fixture.events.is_empty() && fixture.ended.is_empty());
}

#[test]
fn datagrams_that_are_not_sip_are_ignored() {
    let mut fixture = Fixture::new();
    for text in ["", "\r\n\r\n", "\0\0\0\0", "INVITE", "SIP/2.0 200 OK\r\n\r\n"] {
        fixture.receive(text);
    }
    let whole = fixture.text("INVITE", "one", 1, "0981234567");
    for end in 0..whole.len() {
        fixture.receive(&whole[..end]);
    }
    // Some of the prefixes were complete messages, but none contained an offer.
    assert!(fixture.ended.iter().all(|ended| !ended.answered));
    fixture.tag.clear();
    fixture.send("INVITE", "whole", 2);
    fixture.run_to(1000);
    assert_eq!(fixture.times("200 INVITE"), [800]);
}
