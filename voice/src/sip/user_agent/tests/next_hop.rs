use super::*;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::LOOKUP_TIMEOUT;

const CORE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 60)), 5080);

impl Scene {
    /// The gateway answers with the Contact of another machine.
    fn answer_fields(&mut self, code: u16, fields: &[(&str, &str)]) {
        let mut draft = Draft::response(&self.invite, code, "b", LOCAL);
        for (name, value) in fields {
            draft.field(name, value);
        }
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
    }

    /// The names to look up.
    fn lookups(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.ua.poll_lookup()).map(|name| name.to_string()).collect()
    }

    fn resolve(&mut self, name: &str, targets: &[SocketAddr]) {
        let targets: Vec<Hop> = targets.iter().map(|target| (*target).into()).collect();
        self.ua.resolve(self.now, &name.parse().unwrap(), &targets);
    }

    /// The requests sent, with their destinations.
    fn sent_to(&mut self) -> Vec<(Method, SocketAddr)> {
        let sent = std::iter::from_fn(|| self.ua.poll_transmit());
        sent.map(|t| (request_of(&t.bytes).method(), t.to.address)).collect()
    }
}

const NAMED: (&str, &str) = ("Contact", "<sip:b@core.example.vn:5080>");
const NAME: &str = "sip:core.example.vn:5080;transport=udp";

#[test]
fn ack_and_bye_go_to_the_address_of_the_contacts_name() {
    let mut scene = Scene::new();
    scene.answer_fields(200, &[NAMED]);
    assert!(matches!(scene.events()[..], [SipEvent::Answered { .. }]), "at once");
    assert_eq!(scene.sent_to(), [], "the ACK waits for the address");
    assert_eq!(scene.lookups(), [NAME]);
    scene.answer_fields(200, &[NAMED]);
    scene.resolve(NAME, &[CORE]);
    assert_eq!(scene.sent_to(), [(Method::Ack, CORE)], "once");
    scene.answer_fields(200, &[NAMED]);
    assert_eq!(scene.sent_to(), [(Method::Ack, CORE)]);
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.ua.poll_transmit().unwrap();
    assert_eq!(bye.to.address, CORE);
    assert_eq!(scene.lookups(), [""; 0], "known for the dialog");
    let ok = Draft::response(&request_of(&bye.bytes), 200, "b", LOCAL).bytes();
    scene.ua.receive(scene.now, CORE, &ok);
    assert_eq!(scene.ua.unsettled(), 0);
}

#[test]
fn requests_of_the_resolved_address_are_accepted_for_its_dialog_only() {
    let mut scene = Scene::new();
    let bye = |call_id: &str, to_tag: &str| {
        format!(
            "BYE sip:nexo@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.60:5080;rport;branch=z9hG4bKb\r\n\
             From: <sip:b@h>;tag=b\r\nTo: <sip:a@h>;tag={to_tag}\r\nCall-ID: {call_id}\r\n\
             CSeq: 9 BYE\r\n\r\n"
        )
    };
    let tag = scene.invite.from_tag().unwrap().to_owned();
    let ours = bye("8f2e1c4d-1@nexo", &tag);
    scene.answer_fields(200, &[NAMED]);
    scene.ua.receive(scene.now, CORE, ours.as_bytes());
    assert_eq!(scene.ua.drop_counts().foreign, 1, "not resolved yet");
    scene.resolve(NAME, &[CORE]);
    scene.sent();
    scene.ua.receive(scene.now, CORE, bye("other@nexo", &tag).as_bytes());
    assert_eq!(scene.ua.drop_counts().foreign, 2, "another call");
    scene.events();
    scene.ua.receive(scene.now, CORE, ours.as_bytes());
    assert_eq!(scene.sent_code(), Some(200));
    assert_eq!(scene.events(), [SipEvent::RemoteHungUp]);
}

#[test]
fn without_an_address_in_time_requests_go_to_the_gateway() {
    for is_answered in [true, false] {
        let mut scene = Scene::new();
        scene.answer_fields(200, &[NAMED]);
        scene.ua.hang_up(scene.now, scene.call);
        scene.now += LOOKUP_TIMEOUT;
        match is_answered {
            true => scene.resolve(NAME, &[]),
            false => scene.ua.tick(scene.now),
        }
        let sent = scene.sent_to();
        assert_eq!(sent[..2], [(Method::Ack, GATEWAY), (Method::Bye, GATEWAY)]);
        scene.resolve(NAME, &[CORE]);
        assert_eq!(scene.sent_to(), [], "too late");
    }
}

#[test]
fn a_bye_that_waits_is_sent_once_and_retransmitted_to_the_address() {
    let mut scene = Scene::new();
    scene.answer_fields(200, &[NAMED]);
    scene.ua.hang_up(scene.now, scene.call);
    assert_eq!(scene.advance(1000 * MS), [], "nothing is sent before the address is known");
    scene.resolve(NAME, &[CORE]);
    assert_eq!(scene.sent_to(), [(Method::Ack, CORE), (Method::Bye, CORE)]);
    scene.now += 1000 * MS;
    scene.ua.tick(scene.now);
    assert_eq!(scene.sent_to(), [(Method::Bye, CORE)]);
}

#[test]
fn a_record_route_leads_before_the_contact_and_its_name_is_resolved_too() {
    let mut scene = Scene::new();
    let route = ("Record-Route", "<sip:edge.example.vn;lr>");
    scene.answer_fields(200, &[route, NAMED]);
    assert_eq!(scene.lookups(), ["sip:edge.example.vn;transport=udp"]);
    let mut scene = Scene::new();
    scene.answer_fields(200, &[("Record-Route", "<sip:192.0.2.9;lr>"), NAMED]);
    assert_eq!(scene.lookups(), [""; 0]);
    assert_eq!(scene.sent_to(), [(Method::Ack, GATEWAY)]);
}

#[test]
fn the_gateways_own_name_needs_no_lookup() {
    let mut scene = Scene::with_invite(Invite {
        to_uri: "sip:+84981234567@sbc.example.vn".into(),
        request_uri: "sip:+84981234567@sbc.example.vn".into(),
        ..invite()
    });
    scene.answer_fields(200, &[("Contact", "<sip:b@sbc.example.vn;ob>")]);
    assert_eq!(scene.lookups(), [""; 0]);
    assert_eq!(scene.sent_to(), [(Method::Ack, GATEWAY)]);
}

#[test]
fn a_prack_waits_for_the_address_which_the_confirmed_dialog_keeps() {
    let mut scene = Scene::new();
    let reliable = [NAMED, ("Require", "100rel"), ("RSeq", "1")];
    scene.answer_fields(183, &reliable);
    assert_eq!(scene.sent_to(), []);
    scene.resolve(NAME, &[CORE]);
    let prack = scene.ua.poll_transmit().unwrap();
    assert_eq!(prack.to.address, CORE);
    let ok = Draft::response(&request_of(&prack.bytes), 200, "b", LOCAL).bytes();
    scene.ua.receive(scene.now, CORE, &ok);
    assert_eq!(scene.ua.drop_counts(), DropCounts::default());
    assert_eq!(scene.lookups(), [NAME]);
    scene.answer_fields(200, &[NAMED]);
    assert_eq!((scene.lookups(), scene.sent_to()), (vec![], vec![(Method::Ack, CORE)]));
}

#[test]
fn the_lookups_are_bounded() {
    let mut scene = Scene::new();
    for call in 0..300 {
        let call_id = format!("{call}@nexo");
        let to_uri = "sip:+84981234567@192.0.2.9".to_owned();
        scene.ua.invite(scene.now, Invite { call_id, to_uri, ..invite() });
        let invite = request_of(&scene.ua.poll_transmit().unwrap().bytes);
        let mut draft = Draft::response(&invite, 200, "b", LOCAL);
        draft.field("Contact", format_args!("<sip:b@core{call}.example.vn>"));
        scene.ua.receive(scene.now, GATEWAY, &draft.bytes());
        let sent = scene.sent_to();
        match call < 256 {
            true => assert_eq!(sent, [], "{call}"),
            false => assert_eq!(sent, [(Method::Ack, GATEWAY)], "{call}"),
        }
    }
    assert_eq!(scene.lookups().len(), 256);
}
