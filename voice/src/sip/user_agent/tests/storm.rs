//! Calls through a network that loses, repeats, delays and reorders, to far ends that follow the
//! RFC: every call ends once, every dialog is closed, and nothing is kept.

use super::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

mod far_end;

use far_end::{FarEnd, Script};

const CALLS: usize = 4;

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

/// What a first gateway may do, and a second one.
const FIRST: [Script; 7] = [
    Script::Answer,
    Script::Silent,
    Script::Late,
    Script::RefuseAtOnce(500),
    Script::RefuseAtOnce(503),
    Script::RefuseAtOnce(486),
    Script::Refuse(503),
];
const SECOND: [Script; 5] = [
    Script::Answer,
    Script::HangUp,
    Script::Ring,
    Script::Silent,
    Script::RefuseAtOnce(503),
];

/// When a datagram arrives, its number, to which call's far end (or to us), and what it is.
type Flight = (Instant, u64, Option<usize>, Vec<u8>);

/// Datagrams under way.
struct Network {
    random: StdRng,
    loss: f64,
    flying: BinaryHeap<Reverse<Flight>>,
    thrown: u64,
}

impl Network {
    fn throw(&mut self, now: Instant, far: Option<usize>, bytes: &[u8]) {
        let copies = 1 + u32::from(self.random.random_bool(0.1));
        for _ in 0..copies {
            if self.random.random_bool(self.loss) {
                continue;
            }
            self.thrown += 1;
            let delay = Duration::from_millis(self.random.random_range(1..300));
            let flight = (now + delay, self.thrown, far, bytes.to_vec());
            self.flying.push(Reverse(flight));
        }
    }
}

/// Our side of one call: what was done to it and what was told of it.
#[derive(Default, Debug)]
struct Ours {
    /// Whose call it is: one that fails without a sign of life may be followed by another.
    delivery: usize,
    /// What the next gateway would do.
    next: Option<Script>,
    was_accepted: bool,
    ended_at: Option<Instant>,
    cancels_at: Option<Instant>,
    hangs_up_at: Option<Instant>,
    was_answered: bool,
    was_given_up: bool,
    ends: usize,
}

impl Ours {
    fn give_up(&mut self, now: Instant) {
        (self.was_given_up, self.ends) = (true, 1);
        self.ended_at = Some(now);
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
    calls: Vec<(CallHandle, FarEnd, Ours)>,
    now: Instant,
}

impl Storm {
    /// One gateway for each call.
    fn gather(seed: u64) -> Storm {
        Storm::of(seed, |random| (any_of(&SCRIPTS, random), None))
    }

    /// Two gateways for each call: the second is tried where the first fails without a sign of life.
    fn over_two_gateways(seed: u64) -> Storm {
        Storm::of(seed, |random| {
            (any_of(&FIRST, random), Some(any_of(&SECOND, random)))
        })
    }

    fn of(seed: u64, scripts: impl Fn(&mut StdRng) -> (Script, Option<Script>)) -> Storm {
        let now = Instant::now();
        let mut random = StdRng::seed_from_u64(seed);
        let mut ua = UserAgent::new("test", Timers::default(), seed);
        ua.set_peers([GATEWAY.into()].into());
        let calls = (0..CALLS).map(|n| {
            let (script, next) = scripts(&mut random);
            let rings_for = Duration::from_millis(random.random_range(0..2000));
            let cancels = random.random_bool(0.3) || script == Script::Ring;
            let cancels_at = now + Duration::from_millis(random.random_range(0..3000));
            let invite = Invite {
                call_id: n.to_string(),
                gateway_timeout: 4000 * MS,
                ..invite()
            };
            let ours = Ours {
                delivery: n,
                next,
                cancels_at: cancels.then_some(cancels_at),
                ..Ours::default()
            };
            (ua.invite(now, invite), FarEnd::new(script, rings_for), ours)
        });
        Storm {
            seed,
            start: now,
            calls: calls.collect(),
            net: Network {
                loss: [0.0, 0.05, 0.2, 0.4][(seed % 4) as usize],
                random,
                flying: BinaryHeap::new(),
                thrown: 0,
            },
            ua,
            now,
        }
    }

    fn blow(&mut self) {
        loop {
            while let Some((call, event)) = self.ua.poll_event() {
                self.told(call, &event);
            }
            while let Some(sent) = self.ua.poll_transmit() {
                let place = self.place(sent.call.expect("nothing is asked outside of a call"));
                self.net.throw(self.now, Some(place), &sent.bytes);
            }
            let far = self
                .calls
                .iter_mut()
                .filter_map(|(_, far, _)| far.deadline())
                .min();
            let ours = self
                .calls
                .iter()
                .flat_map(|(.., o)| [o.cancels_at, o.hangs_up_at]);
            let next = ours
                .chain([self.ua.next_deadline(), far])
                .chain([self.net.flying.peek().map(|Reverse((at, ..))| *at)])
                .flatten()
                .min();
            let Some(next) = next else { break };
            self.now = next.max(self.now);
            assert!(
                self.now - self.start < 200_000 * MS,
                "seed {}: it never ends",
                self.seed
            );
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now;
        self.ua.tick(now);
        for (call, far, ours) in &mut self.calls {
            far.tick(now, &mut self.net);
            if ours.cancels_at.take_if(|at| *at <= now).is_some() && ours.ends == 0 {
                ours.give_up(now);
                self.ua.cancel(now, *call);
            }
            if ours.hangs_up_at.take_if(|at| *at <= now).is_some() && ours.ends == 0 {
                ours.give_up(now);
                self.ua.hang_up(now, *call);
            }
        }
        while let Some(Reverse((at, ..))) = self.net.flying.peek()
            && *at <= now
        {
            let Some(Reverse((.., far, bytes))) = self.net.flying.pop() else {
                break;
            };
            match far {
                Some(place) => self.calls[place].1.receive(now, &bytes, &mut self.net),
                None => _ = self.ua.receive(now, GATEWAY, &bytes),
            }
        }
    }

    fn place(&self, call: CallHandle) -> usize {
        self.calls.iter().position(|(c, ..)| *c == call).unwrap()
    }

    fn told(&mut self, call: CallHandle, event: &SipEvent) {
        let (place, seed, now) = (self.place(call), self.seed, self.now);
        let ours = &mut self.calls[place].2;
        match event {
            SipEvent::Provisional { .. } => ours.was_accepted = true,
            SipEvent::MediaChanged { .. } => {}
            SipEvent::Answered { .. } => {
                assert!(!ours.was_answered, "seed {seed}: answered twice");
                // What was told before the call was given up may still be in the queue.
                ours.was_answered = true;
                ours.hangs_up_at = Some(now + 3000 * MS);
            }
            SipEvent::Rejected { .. }
            | SipEvent::Silent
            | SipEvent::RemoteHungUp
            | SipEvent::TransportFailed => {
                assert!(!ours.was_given_up, "seed {seed}: {event:?} after the end");
                ours.ends += 1;
                ours.ended_at = Some(now);
            }
        }
        let is_technical = match event {
            SipEvent::Rejected { code, .. } => *code >= 500 && *code < 600,
            SipEvent::Silent | SipEvent::TransportFailed => true,
            _ => false,
        };
        if is_technical
            && !ours.was_accepted
            && let Some(script) = ours.next.take()
        {
            let delivery = ours.delivery;
            self.try_next(delivery, script);
        }
    }

    fn try_next(&mut self, delivery: usize, script: Script) {
        let rings_for = Duration::from_millis(self.net.random.random_range(0..2000));
        let gives_up_at = self.now + 5000 * MS;
        let invite = Invite {
            call_id: format!("{delivery}-next"),
            gateway_timeout: 4000 * MS,
            ..invite()
        };
        let ours = Ours {
            delivery,
            cancels_at: (script == Script::Ring).then_some(gives_up_at),
            ..Ours::default()
        };
        let call = self.ua.invite(self.now, invite);
        self.calls
            .push((call, FarEnd::new(script, rings_for), ours));
    }

    fn check(&self) {
        let (seed, ua) = (self.seed, &self.ua);
        assert_eq!(
            (ua.legs(), ua.unsettled(), ua.bytes_held()),
            (0, 0, 0),
            "seed {seed}"
        );
        for (_, far, ours) in &self.calls {
            assert_eq!(
                ours.ends, 1,
                "seed {seed}: {:?} ends once: {ours:?}",
                far.script
            );
            let ended_at = ours.ended_at.expect("it ended");
            assert!(
                ended_at - self.start <= 60_000 * MS,
                "seed {seed}: {:?} ends too late",
                far.script
            );
            // At 40% loss even eleven BYEs may all be lost.
            let is_open = far.dialogs.iter().any(|d| d.is_acked && !d.is_closed);
            assert!(
                !is_open || self.net.loss >= 0.4,
                "seed {seed}: {:?} stays up",
                far.script
            );
        }
    }
}

#[test]
fn whatever_the_network_does_every_call_ends_and_every_dialog_is_closed() {
    let mut outcomes = HashMap::<String, u32>::new();
    for seed in 0..2000 {
        let mut storm = Storm::gather(seed);
        storm.blow();
        storm.check();
        for (_, far, ours) in &storm.calls {
            let closed = far.dialogs.iter().filter(|d| d.is_closed).count();
            let outcome = format!("{:?} {} {closed}", far.script, ours.was_answered);
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    // The storm is worth its name only if each of these really came about.
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
        assert!(
            outcomes.contains_key(outcome),
            "{outcome} never happened: {outcomes:?}"
        );
    }
}

#[test]
fn of_two_gateways_only_one_gets_through_to_the_phone() {
    let (mut went_on, mut second_answered, mut first_too_late) = (0, 0, 0);
    for seed in 0..2000 {
        let mut storm = Storm::over_two_gateways(seed);
        storm.blow();
        storm.check();
        for delivery in 0..CALLS {
            let of_it = |(.., ours): &&(CallHandle, FarEnd, Ours)| ours.delivery == delivery;
            let calls: Vec<_> = storm.calls.iter().filter(of_it).collect();
            let answered = calls.iter().filter(|(.., ours)| ours.was_answered).count();
            assert!(answered <= 1, "seed {seed}: two gateways were heard");
            // Whose ringing we never hear of is silent to us, or refuses at once, and cannot be
            // cancelled (RFC 3261 §9.1): all of four INVITEs or their answers lost, or a 503 that
            // overtakes its 180.
            let rang = calls.iter().filter(|(_, far, _)| far.has_rung).count();
            let may_be_unheard =
                storm.net.loss >= 0.2 || matches!(calls[0].1.script, Script::Refuse(_));
            assert!(
                rang <= 1 || may_be_unheard,
                "seed {seed}: two gateways rang"
            );
            if let [(_, first, _), (.., second)] = calls[..] {
                went_on += 1;
                second_answered += u32::from(second.was_answered);
                first_too_late += u32::from(!first.dialogs.is_empty());
            }
        }
    }
    // The storm is worth its name only if each of these really came about.
    assert!(went_on > 1000, "{went_on}");
    assert!(second_answered > 300, "{second_answered}");
    assert!(first_too_late > 100, "{first_too_late}");
}
