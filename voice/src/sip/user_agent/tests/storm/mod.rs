//! Calls through a network that loses, repeats, delays and reorders datagrams, in all combinations, to far ends
//! that follow the RFC. Each call must end once, each dialog must be closed, and nothing may be kept. The domain's
//! [`Call`] controls the calls, as in the product. `NEXO_STORM_SEED=N` replays one seed.

use super::*;
use std::cmp::Reverse;

use nexo_domain::call::{Call, CallEffect, CallEnd, CallInput, CallLimits, ReadingTimes};

mod far_end;
mod network;

use far_end::{FarEnd, Script};
use network::{Network, Weather};

const CALLS: usize = 4;

const LIMITS: CallLimits = CallLimits {
    ring_timeout: Duration::from_secs(30),
    max_call: Duration::from_secs(57),
    require_keypress: false,
};

/// How often an unanswered BYE is sent: at intervals from T1 to T2, for 64·T1 (RFC 3261 §17.1.2.2).
const MAX_BYES: usize = 11;

const SCRIPTS: [Script; 9] = [
    Script::Answer,
    Script::Fork,
    Script::HangUp,
    Script::Reinvite,
    Script::Refuse(486),
    Script::Refuse(503),
    Script::Refuse(302),
    Script::Ring,
    Script::Silent,
];

/// The scripts of a first and a second gateway.
const FIRST: [Script; 7] = [
    Script::Answer,
    Script::Silent,
    Script::Late,
    Script::RefuseAtOnce(500),
    Script::RefuseAtOnce(503),
    Script::RefuseAtOnce(486),
    Script::Refuse(503),
];
const SECOND: [Script; 5] =
    [Script::Answer, Script::HangUp, Script::Ring, Script::Silent, Script::RefuseAtOnce(503)];

/// Our side of one call.
#[derive(Debug)]
struct OurSide {
    call: Call,
    call_id: String,
    /// A call that fails before it is accepted may be followed by another one of the same delivery.
    delivery: usize,
    /// The script of the next gateway.
    next: Option<Script>,
    /// Whether a provisional response arrived during the call.
    had_provisional: bool,
    ended: Option<(CallEnd, Instant)>,
    cancels_at: Option<Instant>,
    hangs_up_at: Option<Instant>,
    was_answered: bool,
    was_given_up: bool,
    ends: usize,
}

impl OurSide {
    fn new(delivery: usize, call_id: String, now: Instant) -> OurSide {
        OurSide {
            call: Call::dial(LIMITS, ReadingTimes::default(), now),
            call_id,
            delivery,
            next: None,
            had_provisional: false,
            ended: None,
            cancels_at: None,
            hangs_up_at: None,
            was_answered: false,
            was_given_up: false,
            ends: 0,
        }
    }

    /// Runs the timers that are due.
    fn tick(&mut self, now: Instant) -> Vec<CallEffect> {
        let mut effects = Vec::new();
        if self.cancels_at.take_if(|at| *at <= now).is_some() {
            effects.extend(self.call.step(CallInput::Abandoned, now));
        }
        if self.hangs_up_at.take_if(|at| *at <= now).is_some() {
            effects.extend(self.call.step(CallInput::CodeRead, now));
            effects.extend(self.call.step(CallInput::Played, now));
        }
        effects.extend(self.call.tick(now));
        effects
    }

    fn deadlines(&self) -> impl Iterator<Item = Instant> {
        [self.cancels_at, self.hangs_up_at, self.call.deadline()].into_iter().flatten()
    }
}

fn any_of(scripts: &[Script], random: &mut StdRng) -> Script {
    scripts[random.random_range(0..scripts.len())]
}

struct Storm {
    seed: u64,
    start: Instant,
    ua: UserAgent,
    net: Network,
    calls: Vec<(CallHandle, FarEnd, OurSide)>,
    now: Instant,
}

impl Storm {
    /// One gateway for each call.
    fn over_one_gateway(seed: u64) -> Storm {
        Storm::new(seed, |random| (any_of(&SCRIPTS, random), None))
    }

    /// Two gateways for each call: the second one is tried if the first one fails before it accepts the call.
    fn over_two_gateways(seed: u64) -> Storm {
        Storm::new(seed, |random| (any_of(&FIRST, random), Some(any_of(&SECOND, random))))
    }

    fn new(seed: u64, scripts: impl Fn(&mut StdRng) -> (Script, Option<Script>)) -> Storm {
        let now = Instant::now();
        let mut random = StdRng::seed_from_u64(seed);
        let mut ua = UserAgent::new("test", Timers::default(), seed);
        ua.set_peers([GATEWAY.into()].into());
        let calls = (0..CALLS).map(|n| {
            let (script, next) = scripts(&mut random);
            let rings_for = Duration::from_millis(random.random_range(0..2000));
            let cancels = random.random_bool(0.3);
            let cancels_at = now + Duration::from_millis(random.random_range(0..3000));
            let invite = Invite { call_id: n.to_string(), gateway_timeout: 4000 * MS, ..invite() };
            let ours = OurSide {
                next,
                cancels_at: cancels.then_some(cancels_at),
                ..OurSide::new(n, n.to_string(), now)
            };
            (ua.invite(now, invite), FarEnd::new(script, rings_for), ours)
        });
        Storm {
            seed,
            start: now,
            calls: calls.collect(),
            net: Network::new(Weather::for_seed(seed), random),
            ua,
            now,
        }
    }

    fn run(&mut self) {
        loop {
            while let Some((call, event)) = self.ua.poll_event() {
                self.handle_event(call, &event);
            }
            while let Some(sent) = self.ua.poll_transmit() {
                let index = self.index_of(sent.call.expect("all messages belong to a call"));
                self.net.send(self.now, Some(index), &sent.bytes);
            }
            let far = self.calls.iter_mut().filter_map(|(_, far, _)| far.deadline()).min();
            let in_flight = self.net.in_flight.peek().map(|Reverse((at, ..))| *at);
            let ours = self.calls.iter().flat_map(|(.., ours)| ours.deadlines());
            let others = [self.ua.next_deadline(), far, in_flight];
            let next = ours.chain(others.into_iter().flatten()).min();
            let Some(next) = next else { break };
            self.now = next.max(self.now);
            assert!(self.now - self.start < 200_000 * MS, "seed {}: it never ends", self.seed);
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now;
        self.ua.tick(now);
        for index in 0..self.calls.len() {
            let (_, far, ours) = &mut self.calls[index];
            far.tick(now, &mut self.net);
            let effects = ours.tick(now);
            self.perform(index, effects);
        }
        while let Some(Reverse((at, ..))) = self.net.in_flight.peek()
            && *at <= now
        {
            let Some(Reverse((.., far, bytes))) = self.net.in_flight.pop() else {
                break;
            };
            match far {
                Some(index) => self.calls[index].1.receive(now, &bytes, &mut self.net),
                None => {
                    self.note_provisional(&bytes);
                    _ = self.ua.receive(now, GATEWAY, &bytes);
                }
            }
        }
    }

    /// Notes a provisional response to an active call.
    fn note_provisional(&mut self, bytes: &[u8]) {
        let Ok(Message::Response(response)) = Message::parse(bytes) else {
            return;
        };
        let is_active = |(.., ours): &&mut (CallHandle, FarEnd, OurSide)| {
            ours.call_id == response.call_id() && ours.ended.is_none()
        };
        if response.code() < 200
            && let Some((.., ours)) = self.calls.iter_mut().find(is_active)
        {
            ours.had_provisional = true;
        }
    }

    /// Carries out the effects of a call.
    fn perform(&mut self, index: usize, effects: Vec<CallEffect>) {
        let now = self.now;
        let (call, _, ours) = &mut self.calls[index];
        let mut next = None;
        for effect in effects {
            match effect {
                CallEffect::Accepted => {}
                CallEffect::Speak => ours.hangs_up_at = Some(now + 3000 * MS),
                CallEffect::Cancel | CallEffect::HangUp => {
                    (ours.was_given_up, ours.ends) = (true, 1);
                    self.ua.hang_up(now, *call);
                }
                CallEffect::Ended(end) => {
                    if let CallEnd::NotAccepted(refusal) = &end
                        && refusal.may_fail_over()
                    {
                        next = ours.next.take().map(|script| (ours.delivery, script));
                    }
                    let before = ours.ended.replace((end, now));
                    assert_eq!(before, None, "seed {}: ended twice", self.seed);
                }
                CallEffect::AskForKey | CallEffect::Repeat(_) => panic!("no key was pressed"),
            }
        }
        if let Some((delivery, script)) = next {
            self.try_next(delivery, script);
        }
    }

    fn index_of(&self, call: CallHandle) -> usize {
        self.calls.iter().position(|(c, ..)| *c == call).unwrap()
    }

    fn handle_event(&mut self, call: CallHandle, event: &SipEvent) {
        let (index, seed, now) = (self.index_of(call), self.seed, self.now);
        let ours = &mut self.calls[index].2;
        let input = match event {
            SipEvent::Provisional { code } => CallInput::Provisional { code: *code },
            SipEvent::EarlyDescription { .. }
            | SipEvent::MediaChanged { .. }
            | SipEvent::KeyPressed { .. } => return,
            SipEvent::Answered { .. } => {
                assert!(!ours.was_answered, "seed {seed}: answered twice");
                // An event from before the hang-up may still be queued.
                ours.was_answered = true;
                CallInput::Answered
            }
            SipEvent::Rejected { code, retry_after_seconds, .. } => {
                CallInput::Rejected { code: *code, retry_after_seconds: *retry_after_seconds }
            }
            SipEvent::WeakChallenge(challenge) => CallInput::WeakChallenge(*challenge),
            SipEvent::TimedOut => CallInput::Silent,
            SipEvent::RemoteHungUp => CallInput::RemoteHungUp,
            SipEvent::TransportFailed => CallInput::TransportLost,
        };
        let is_end = !matches!(input, CallInput::Provisional { .. } | CallInput::Answered);
        if is_end {
            assert!(!ours.was_given_up, "seed {seed}: {event:?} after the end");
            ours.ends += 1;
        }
        let effects = ours.call.step(input, now);
        self.perform(index, effects);
    }

    fn try_next(&mut self, delivery: usize, script: Script) {
        let rings_for = Duration::from_millis(self.net.random.random_range(0..2000));
        let call_id = format!("{delivery}-next");
        let invite = Invite { call_id: call_id.clone(), gateway_timeout: 4000 * MS, ..invite() };
        let ours = OurSide::new(delivery, call_id, self.now);
        let call = self.ua.invite(self.now, invite);
        self.calls.push((call, FarEnd::new(script, rings_for), ours));
    }

    fn check(&self) {
        let (seed, ua) = (self.seed, &self.ua);
        assert_eq!((ua.legs(), ua.unsettled(), ua.bytes_held()), (0, 0, 0), "seed {seed}");
        for (index, (_, far, ours)) in self.calls.iter().enumerate() {
            assert_eq!(ours.ends, 1, "seed {seed}: {:?} ends once: {ours:?}", far.script);
            let (_, ended_at) = ours.ended.as_ref().expect("it ended");
            assert!(
                *ended_at - self.start <= 60_000 * MS,
                "seed {seed}: {:?} ends too late",
                far.script
            );
            // A dialog may stay open only if every transmission of its BYE was lost.
            for open in far.dialogs.iter().filter(|d| d.is_acked && !d.is_closed) {
                let is_to_it = |(to, tag): &&(usize, String)| *to == index && tag == open.tag;
                let byes = self.net.byes.iter().filter(is_to_it).count();
                assert!(
                    byes >= MAX_BYES && self.net.weather.loss > 0.0,
                    "seed {seed}: {:?} stays open after {byes} BYEs",
                    far.script
                );
            }
        }
    }
}

/// All seeds, with each weather equally often; or the one of `NEXO_STORM_SEED`.
fn seeds() -> std::ops::Range<u64> {
    match std::env::var("NEXO_STORM_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("NEXO_STORM_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..4096,
    }
}

#[test]
fn in_any_network_every_call_ends_and_every_dialog_is_closed() {
    let mut outcomes = HashMap::<String, u32>::new();
    for seed in seeds() {
        let mut storm = Storm::over_one_gateway(seed);
        storm.run();
        storm.check();
        for (_, far, ours) in &storm.calls {
            let closed = far.dialogs.iter().filter(|d| d.is_closed).count();
            let outcome = format!("{:?} {} {closed}", far.script, ours.was_answered);
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    // The test is meaningful only if each of these outcomes occurred.
    if seeds().end - seeds().start == 1 {
        return;
    }
    for outcome in [
        "Answer true 1",
        "Answer false 1",
        "Fork true 2",
        "HangUp true 1",
        "Reinvite true 1",
        "Refuse(486) false 0",
        "Ring false 0",
        "Silent false 0",
    ] {
        assert!(outcomes.contains_key(outcome), "{outcome} never happened: {outcomes:?}");
    }
}

#[test]
fn only_one_of_two_gateways_reaches_the_phone() {
    let (mut failed_over, mut second_answered, mut first_too_late) = (0, 0, 0);
    for seed in seeds() {
        let mut storm = Storm::over_two_gateways(seed);
        storm.run();
        storm.check();
        for delivery in 0..CALLS {
            let is_of_it = |(.., ours): &&(CallHandle, FarEnd, OurSide)| ours.delivery == delivery;
            let calls: Vec<_> = storm.calls.iter().filter(is_of_it).collect();
            let answered = calls.iter().filter(|(.., ours)| ours.was_answered).count();
            assert!(answered <= 1, "seed {seed}: two gateways answered");
            // A call without any provisional response cannot be cancelled (RFC 3261 §9.1), so that both phones
            // may ring: if all four INVITEs or their responses were lost, or if the 180 before a 503 was lost
            // or overtaken.
            let (_, first, ours) = calls[0];
            let rang = calls.iter().filter(|(_, far, _)| far.has_rung).count();
            assert!(rang <= 1 || !ours.had_provisional, "seed {seed}: two gateways rang");
            let weather = storm.net.weather;
            let spoils = weather.loss > 0.0 || weather.reorders;
            let may_be_unheard =
                weather.loss >= 0.2 || spoils && matches!(first.script, Script::Refuse(_));
            assert!(rang <= 1 || may_be_unheard, "seed {seed}: two gateways rang");
            if let [_, (.., second)] = calls[..] {
                failed_over += 1;
                assert!(!ours.had_provisional, "seed {seed}: failed over after acceptance");
                second_answered += u32::from(second.was_answered);
                first_too_late += u32::from(!first.dialogs.is_empty());
            }
        }
    }
    // The test is meaningful only if each of these outcomes occurred.
    if seeds().end - seeds().start == 1 {
        return;
    }
    assert!(failed_over > 1000, "{failed_over}");
    assert!(second_answered > 300, "{second_answered}");
    assert!(first_too_late > 100, "{first_too_late}");
}
