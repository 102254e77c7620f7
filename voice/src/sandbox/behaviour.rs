//! How the sandbox carrier handles a call, chosen by the last two digits of the number.

use std::time::Duration;

use nexo_domain::phone::Phone;

/// The ring time before a call is declined.
const DECLINE_DELAY: Duration = Duration::from_millis(300);
/// The talk time before `HangsUp` hangs up.
const HANG_UP_DELAY: Duration = Duration::from_secs(1);
/// The longest call, so that a caller that vanished does not hold resources forever.
pub(super) const MAX_CALL_TIME: Duration = Duration::from_secs(90);
/// The Retry-After of the 503 of `Throttled`.
const RETRY_AFTER_SECONDS: u32 = 17;

/// How the number's owner, or the network, handles a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// `…90`: busy in another call.
    Busy,
    /// `…91`: rings until the caller cancels.
    NeverAnswers,
    /// `…92`: rings briefly, then declines.
    Declines,
    /// `…93`: the number is not assigned.
    InvalidNumber,
    /// `…94`: the phone is off.
    SwitchedOff,
    /// `…95`: the carrier has no free channel.
    Congested,
    /// `…96`: the carrier limits the caller.
    Throttled,
    /// `…97`: no response at all.
    Silent,
    /// `…98`: answers and hangs up.
    HangsUp,
    /// `…99`: a voicemail box.
    Voicemail,
    /// All other numbers: answers and listens.
    Listens,
}

/// What is played to the caller after the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Playback {
    /// Silence, so that audio flows in both directions.
    Silence,
    /// A greeting, a beep, then silence while it records.
    VoicemailGreeting,
}

/// The responses of a call and their times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Script {
    /// Whether 100 is sent immediately.
    pub trying: bool,
    /// Whether 180 is sent immediately.
    pub ringing: bool,
    pub then: Then,
}

/// What follows the provisional responses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// No final response until the caller cancels.
    Nothing,
    Reject {
        after: Duration,
        code: u16,
        retry_after_seconds: Option<u32>,
    },
    Answer {
        after: Duration,
        playback: Playback,
        /// Measured from the answer.
        hang_up_after: Duration,
    },
}

impl Behaviour {
    /// Returns the behaviour of this number.
    pub fn of(phone: Phone) -> Behaviour {
        Behaviour::of_ending(phone.last_two())
    }

    /// Returns the behaviour of a number with these last two digits.
    pub fn of_ending(last_two: u8) -> Behaviour {
        match last_two {
            90 => Behaviour::Busy,
            91 => Behaviour::NeverAnswers,
            92 => Behaviour::Declines,
            93 => Behaviour::InvalidNumber,
            94 => Behaviour::SwitchedOff,
            95 => Behaviour::Congested,
            96 => Behaviour::Throttled,
            97 => Behaviour::Silent,
            98 => Behaviour::HangsUp,
            99 => Behaviour::Voicemail,
            _ => Behaviour::Listens,
        }
    }

    /// Returns the script of a call that rings for `ring` before it is answered.
    pub fn script(self, ring: Duration) -> Script {
        let reject_now =
            |code| Then::Reject { after: Duration::ZERO, code, retry_after_seconds: None };
        let answer =
            |playback, hang_up_after| Then::Answer { after: ring, playback, hang_up_after };
        let (trying, ringing, then) = match self {
            Behaviour::Busy => (true, false, reject_now(486)),
            Behaviour::NeverAnswers => (true, true, Then::Nothing),
            Behaviour::Declines => (
                true,
                true,
                Then::Reject { after: DECLINE_DELAY, code: 603, retry_after_seconds: None },
            ),
            Behaviour::InvalidNumber => (true, false, reject_now(404)),
            Behaviour::SwitchedOff => (true, false, reject_now(480)),
            Behaviour::Congested => (false, false, reject_now(503)),
            Behaviour::Throttled => (
                false,
                false,
                Then::Reject {
                    after: Duration::ZERO,
                    code: 503,
                    retry_after_seconds: Some(RETRY_AFTER_SECONDS),
                },
            ),
            Behaviour::Silent => (false, false, Then::Nothing),
            Behaviour::HangsUp => (true, true, answer(Playback::Silence, HANG_UP_DELAY)),
            Behaviour::Voicemail => {
                (true, true, answer(Playback::VoicemailGreeting, MAX_CALL_TIME))
            }
            Behaviour::Listens => (true, true, answer(Playback::Silence, MAX_CALL_TIME)),
        };
        Script { trying, ringing, then }
    }
}

/// Parses the user part of a SIP URI as a number in any of the forms used by trunks: `+84…`, `84…`,
/// `0…`.
///
/// Parameters of the user part (RFC 3966, `;phone-context=…`) are ignored.
pub(super) fn parse_phone(user: &str) -> Option<Phone> {
    let number = user.split(';').next().unwrap_or(user);
    let national = number
        .strip_prefix("+84")
        .or_else(|| number.strip_prefix("84").filter(|rest| rest.len() == 9))
        .or_else(|| number.strip_prefix('0'))
        .filter(|national| !national.starts_with('0'))?;
    Phone::from_record(&format!("+84{national}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: Duration = Duration::from_millis(800);

    fn script_of(number: &str) -> Script {
        Behaviour::of(parse_phone(number).unwrap()).script(RING)
    }

    #[test]
    fn a_number_is_parsed_in_every_form_used_by_trunks() {
        let phone = Phone::from_record("+84981234567");
        for user in ["+84981234567", "84981234567", "0981234567", "+84981234567;phone-context=vn"] {
            assert_eq!(parse_phone(user), phone, "{user}");
        }
        // A national number that begins with the digits of the country code.
        assert_eq!(parse_phone("0841234567"), Phone::from_record("+84841234567"));
        for user in ["", "sip", "+849812345678", "98123456", "0098123456", "+84"] {
            let read = parse_phone(user);
            assert!(read.is_none(), "{user}: {read:?}");
        }
    }

    #[test]
    fn the_last_two_digits_choose_the_script_of_the_call() {
        let rejection = |number| {
            let script = script_of(number);
            match script.then {
                Then::Reject { after, code, retry_after_seconds } => {
                    (script.trying, script.ringing, code, retry_after_seconds, after.is_zero())
                }
                other => panic!("{number}: {other:?}"),
            }
        };
        assert_eq!(rejection("0981234590"), (true, false, 486, None, true));
        assert_eq!(rejection("0981234592"), (true, true, 603, None, false));
        assert_eq!(rejection("0981234593"), (true, false, 404, None, true));
        assert_eq!(rejection("0981234594"), (true, false, 480, None, true));
        assert_eq!(rejection("0981234595"), (false, false, 503, None, true));
        assert_eq!(rejection("0981234596"), (false, false, 503, Some(17), true));

        let never = script_of("0981234591");
        assert_eq!((never.ringing, never.then), (true, Then::Nothing));
        let silent = script_of("0981234597");
        assert_eq!((silent.trying, silent.ringing, silent.then), (false, false, Then::Nothing));

        let answer = |number| match script_of(number).then {
            Then::Answer { after, playback, hang_up_after } => {
                (after, playback, hang_up_after.as_secs())
            }
            other => panic!("{number}: {other:?}"),
        };
        assert_eq!(answer("0981234598"), (RING, Playback::Silence, 1));
        let voicemail = answer("0981234599");
        assert_eq!(voicemail, (RING, Playback::VoicemailGreeting, 90));
        assert_eq!(answer("0981234567"), (RING, Playback::Silence, 90));
        assert_eq!(answer("0981234589"), (RING, Playback::Silence, 90));
        assert_eq!(answer("0981234500"), (RING, Playback::Silence, 90));
    }
}
