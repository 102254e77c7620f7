use super::*;
use std::net::SocketAddr;

use nexo_voice::net::shortage::{Shortage, record_trunk_shortage};

fn hop(port: u16) -> Hop {
    SocketAddr::from(([127, 0, 0, 1], port)).into()
}

#[test]
fn a_target_that_does_not_answer_goes_behind_the_others() {
    let state = GatewayState::new(HealthSource::Calls, false, vec![hop(1), hop(2), hop(3)]);
    state.call_refused(&Refusal::Silent, hop(2));
    assert_eq!(*state.targets(), [hop(1), hop(2), hop(3)], "it was not first");
    state.call_refused(&Refusal::Silent, hop(1));
    assert_eq!(*state.targets(), [hop(2), hop(3), hop(1)]);
    assert!(!state.set_targets(vec![hop(1), hop(2), hop(3)]), "the same targets");
    assert_eq!(state.targets()[0], hop(2), "the silent target is not first again");
    assert!(state.set_targets(vec![hop(4)]));
    assert_eq!(*state.targets(), [hop(4)]);
}

#[test]
fn the_built_in_carrier_is_always_available() {
    let state = GatewayState::new(HealthSource::None, false, vec![hop(1)]);
    for _ in 0..10 {
        state.call_refused(&Refusal::Silent, hop(1));
    }
    assert_eq!(state.availability(Instant::now()), Availability::Ready);
    assert!(state.is_up());
}

#[test]
fn a_gateway_we_are_not_registered_with_is_the_last_resort() {
    let state = GatewayState::new(HealthSource::Calls, true, vec![hop(1)]);
    let now = Instant::now();
    assert_eq!(state.availability(now), Availability::LastResort);
    let until = now + Duration::from_secs(60);
    state.set_registration(RegistrationState::Registered { until }, None);
    assert_eq!(state.availability(now), Availability::Ready);
    assert!(state.is_up());
    state.set_registration(RegistrationState::Failed { code: Some(403) }, None);
    assert_eq!(state.registration(now), RegistrationStatus::Failed(Some(403)));
    assert!(!state.is_up());
    let failure = state.last_failure().unwrap();
    assert_eq!(failure.what, "the registration was answered 403");
}

#[test]
fn a_final_answer_for_a_number_proves_that_the_gateway_works() {
    let state = GatewayState::new(HealthSource::Calls, false, vec![hop(1)]);
    let rejected = |code| Refusal::Rejected { code, retry_after_seconds: None };
    for code in [500, 500, 486, 503, 503] {
        state.call_refused(&rejected(code), hop(1));
    }
    assert_eq!(state.availability(Instant::now()), Availability::Ready);
    assert_eq!(state.last_failure().unwrap().what, "a call was answered 503");
    state.call_refused(&rejected(503), hop(1));
    assert_eq!(state.availability(Instant::now()), Availability::LastResort);
}

#[test]
fn a_shortage_of_this_host_does_not_count_against_a_gateway() {
    let state = GatewayState::new(HealthSource::CallsAndProbes, false, vec![hop(1), hop(2)]);
    record_trunk_shortage(Shortage::Descriptors);
    for _ in 0..10 {
        state.call_refused(&Refusal::TransportLost, hop(1));
        state.probe_finished(None, Some("Too many open files"));
    }
    assert_eq!(state.availability(Instant::now()), Availability::Ready);
    assert!(state.is_up());
    assert_eq!(*state.targets(), [hop(1), hop(2)]);
    let failure = state.last_failure().unwrap().what;
    assert!(failure.starts_with(OWN_SHORTAGE), "{failure}");
}
