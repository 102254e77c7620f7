//! How the sandbox carrier treats a number, chosen by its last two digits.

use std::time::Duration;

use nexo_domain::phone::Phone;

/// How long a declining person looks at the ringing phone.
const DECLINES_AFTER: Duration = Duration::from_millis(300);
/// How long the impatient person listens.
const HANGS_UP_AFTER: Duration = Duration::from_secs(1);
/// The longest that anybody listens, so that a caller who vanished costs nothing for ever.
pub(super) const LONGEST_CALL: Duration = Duration::from_secs(90);
/// What 503 tells the throttled caller to wait.
const RETRY_AFTER_SECONDS: u32 = 17;

/// What the number's owner, or the network in its place, does with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// `…90`: in another call.
    Busy,
    /// `…91`: rings until the caller gives up.
    NeverAnswers,
    /// `…92`: rings shortly, then presses the red button.
    Declines,
    /// `…93`: nobody has this number.
    InvalidNumber,
    /// `…94`: the phone is off.
    SwitchedOff,
    /// `…95`: the carrier has no channel left.
    Congested,
    /// `…96`: the carrier limits this caller.
    Throttled,
    /// `…97`: the carrier says nothing at all.
    Silent,
    /// `…98`: answers and hangs up.
    HangsUp,
    /// `…99`: a voicemail box.
    Voicemail,
    /// All others: answers and listens.
    Listens,
}

/// What the caller hears after the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Playback {
    /// Silence, so that media flows both ways.
    Silence,
    /// A greeting, a beep, then silence while it records.
    VoicemailGreeting,
}

/// A call's course, in answers and times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Script {
    /// 100 at once.
    pub trying: bool,
    /// 180 at once.
    pub ringing: bool,
    pub then: Then,
}

/// What follows the provisional answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// No final answer, until the caller cancels.
    Nothing,
    Reject {
        after: Duration,
        code: u16,
        retry_after_seconds: Option<u32>,
    },
    Answer {
        after: Duration,
        playback: Playback,
        /// From the answer on.
        hang_up_after: Duration,
    },
}

impl Behaviour {
    /// The behaviour of this number.
    pub fn of(phone: Phone) -> Behaviour {
        match phone.last_two() {
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

    /// The course of a call to it, where whoever answers lets it ring for `ring`.
    pub fn script(self, ring: Duration) -> Script {
        let at_once = |code| Then::Reject {
            after: Duration::ZERO,
            code,
            retry_after_seconds: None,
        };
        let answer = |playback, hang_up_after| Then::Answer {
            after: ring,
            playback,
            hang_up_after,
        };
        let (trying, ringing, then) = match self {
            Behaviour::Busy => (true, false, at_once(486)),
            Behaviour::NeverAnswers => (true, true, Then::Nothing),
            Behaviour::Declines => (
                true,
                true,
                Then::Reject {
                    after: DECLINES_AFTER,
                    code: 603,
                    retry_after_seconds: None,
                },
            ),
            Behaviour::InvalidNumber => (true, false, at_once(404)),
            Behaviour::SwitchedOff => (true, false, at_once(480)),
            Behaviour::Congested => (false, false, at_once(503)),
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
            Behaviour::HangsUp => (true, true, answer(Playback::Silence, HANGS_UP_AFTER)),
            Behaviour::Voicemail => (
                true,
                true,
                answer(Playback::VoicemailGreeting, LONGEST_CALL),
            ),
            Behaviour::Listens => (true, true, answer(Playback::Silence, LONGEST_CALL)),
        };
        Script {
            trying,
            ringing,
            then,
        }
    }
}

/// Reads a SIP URI's user part as a number in any of the forms that trunks use: `+84…`, `84…`, `0…`.
///
/// Parameters of the user part (RFC 3966, `;phone-context=…`) are left out of account.
pub(super) fn phone_of(user: &str) -> Option<Phone> {
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
        Behaviour::of(phone_of(number).unwrap()).script(RING)
    }

    #[test]
    fn a_number_is_read_in_every_form_that_trunks_use() {
        let phone = Phone::from_record("+84981234567");
        for user in [
            "+84981234567",
            "84981234567",
            "0981234567",
            "+84981234567;phone-context=vn",
        ] {
            assert_eq!(phone_of(user), phone, "{user}");
        }
        // A national number that begins with the country code's digits.
        assert_eq!(phone_of("0841234567"), Phone::from_record("+84841234567"));
        for user in ["", "sip", "+849812345678", "98123456", "0098123456", "+84"] {
            let read = phone_of(user);
            assert!(read.is_none(), "{user}: {read:?}");
        }
    }

    #[test]
    fn the_last_two_digits_choose_the_course_of_the_call() {
        let rejection = |number| {
            let script = script_of(number);
            match script.then {
                Then::Reject {
                    after,
                    code,
                    retry_after_seconds,
                } => (
                    script.trying,
                    script.ringing,
                    code,
                    retry_after_seconds,
                    after.is_zero(),
                ),
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
        assert_eq!(
            (silent.trying, silent.ringing, silent.then),
            (false, false, Then::Nothing)
        );

        let answer = |number| match script_of(number).then {
            Then::Answer {
                after,
                playback,
                hang_up_after,
            } => (after, playback, hang_up_after.as_secs()),
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
