//! The prompts of both languages in both codecs, and the scripts that calls play of them.

use std::sync::OnceLock;

use nexo_domain::call::ReadingTimes;
use nexo_domain::otp::{Code, Language, Reading};

use super::language_prompts::LanguagePrompts;
use super::script::ScriptBuilder;
use crate::audio::g711::Codec;

pub use super::script::{FRAME, FRAME_MS, Mark, Piece, Script};

/// Silence before the greeting, so that a phone whose audio path opens late misses nothing.
const LEAD_IN_MS: u32 = 300;
/// Silence between a phrase and the first digit after it.
const AFTER_PHRASE_MS: u32 = 350;
/// How often the callee is asked to press a key, and the time to do so after each prompt.
const KEY_PROMPTS: u8 = 3;
const KEY_TIMEOUT_MS: u32 = 4000;
/// Silence between a key press and the audio that follows it.
const AFTER_KEY_MS: u32 = 200;
/// The gap between digits of later readings, as a percentage of the configured one.
const SLOWER_GAP_PERCENT: u32 = 150;

/// Encoded prompts that are kept until the process ends.
type Encoded = LanguagePrompts<&'static [u8]>;

/// All prompts, in both languages and both codecs.
pub struct PromptSet {
    prompts: [Encoded; 4],
    silence: [&'static [u8]; 2],
}

impl std::fmt::Debug for PromptSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromptSet").finish_non_exhaustive()
    }
}

macro_rules! language {
    ($language:literal) => {
        LanguagePrompts {
            press_key: asset!($language, "press-key"),
            greeting: asset!($language, "greeting"),
            again: asset!($language, "again"),
            goodbye: asset!($language, "goodbye"),
            digits: digits!($language, ""),
            slow_digits: digits!($language, "slow-"),
        }
    };
}

macro_rules! asset {
    ($language:literal, $name:expr) => {
        include_bytes!(concat!("../../../assets/", $language, "/", $name, ".al"))
    };
}

macro_rules! digits {
    ($language:literal, $speed:literal) => {
        [
            asset!($language, concat!($speed, "0")),
            asset!($language, concat!($speed, "1")),
            asset!($language, concat!($speed, "2")),
            asset!($language, concat!($speed, "3")),
            asset!($language, concat!($speed, "4")),
            asset!($language, concat!($speed, "5")),
            asset!($language, concat!($speed, "6")),
            asset!($language, concat!($speed, "7")),
            asset!($language, concat!($speed, "8")),
            asset!($language, concat!($speed, "9")),
        ]
    };
}

impl PromptSet {
    /// The built-in prompts.
    pub fn built_in() -> &'static PromptSet {
        static BUILT_IN: OnceLock<PromptSet> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            let (vi, en): (Encoded, Encoded) = (language!("vi"), language!("en"));
            PromptSet {
                silence: Codec::ALL.map(silent_frame),
                prompts: [to_mu_law(&vi), to_mu_law(&en), vi, en],
            }
        })
    }

    /// The built-in prompts, except those of the languages that `recorded` returns. Recordings are
    /// whole frames at 8 kHz. The result is kept until the process ends.
    pub(super) fn with_recordings(
        recorded: impl Fn(Language) -> Option<LanguagePrompts<Vec<i16>>>,
    ) -> &'static PromptSet {
        let built_in = PromptSet::built_in();
        let [vi, en] = [Language::Vi, Language::En].map(|language| {
            let recorded = recorded(language);
            move |codec| match &recorded {
                Some(prompts) => prompts.map(|samples| encoded(samples.iter().copied(), codec)),
                None => *built_in.prompts(language, codec),
            }
        });
        Box::leak(Box::new(PromptSet {
            silence: built_in.silence,
            prompts: [vi(Codec::Pcmu), en(Codec::Pcmu), vi(Codec::Pcma), en(Codec::Pcma)],
        }))
    }

    fn prompts(&self, language: Language, codec: Codec) -> &Encoded {
        let index = match (codec, language) {
            (Codec::Pcmu, Language::Vi) => 0,
            (Codec::Pcmu, Language::En) => 1,
            (Codec::Pcma, Language::Vi) => 2,
            (Codec::Pcma, Language::En) => 3,
        };
        &self.prompts[index]
    }

    /// The script of a call: greeting, the code, then for each further reading "again" and the code
    /// more slowly, and goodbye. Between two digits there is at least `digit_gap_ms` of silence.
    pub fn script(&self, code: &Code, reading: Reading, codec: Codec) -> Script {
        let pieces = 8 + usize::from(reading.repeat) * 2 * code.digits().len();
        let mut script = self.builder(codec, pieces);
        script.pause(LEAD_IN_MS);
        for round in 0..reading.repeat.max(1) {
            self.read(&mut script, code, reading, codec, round);
        }
        script.say(self.prompts(reading.language, codec).goodbye, None);
        script.build()
    }

    /// How long the first reading of [`script`](Self::script) and that of [`repeat_script`](Self::repeat_script) take.
    pub fn reading_times(&self, code: &Code, reading: Reading) -> ReadingTimes {
        let once = Reading { repeat: 1, ..reading };
        // Both codecs have the same frames.
        let first = self.script(code, once, Codec::Pcma);
        let repeated = self.repeat_script(code, reading, Codec::Pcma, 1);
        ReadingTimes {
            first: first.time_until(Mark::ReadingDone { reading: 0 }),
            repeated: repeated.time_until(Mark::ReadingDone { reading: 1 }),
        }
    }

    /// The script until a key is pressed: asks for a key three times, waits after each, and says
    /// goodbye. It contains no digit.
    pub fn press_key_script(&self, language: Language, codec: Codec) -> Script {
        let prompts = self.prompts(language, codec);
        let mut script = self.builder(codec, 8);
        script.pause(LEAD_IN_MS);
        for _ in 0..KEY_PROMPTS {
            script.say(prompts.press_key, None);
            script.pause(KEY_TIMEOUT_MS);
        }
        script.say(prompts.goodbye, None);
        script.build()
    }

    /// The script of one more, slow reading on request. Its marks are those of reading `round`.
    pub fn repeat_script(&self, code: &Code, reading: Reading, codec: Codec, round: u8) -> Script {
        let mut script = self.builder(codec, 4 + 2 * code.digits().len());
        script.pause(AFTER_KEY_MS);
        self.read(&mut script, code, reading, codec, round.max(1));
        script.say(self.prompts(reading.language, codec).goodbye, None);
        script.build()
    }

    fn builder(&self, codec: Codec, pieces: usize) -> ScriptBuilder {
        ScriptBuilder::new(self.silence[usize::from(codec == Codec::Pcmu)], pieces)
    }

    /// Appends one reading: its phrase and the digits. All but the first are slower.
    fn read(
        &self,
        script: &mut ScriptBuilder,
        code: &Code,
        reading: Reading,
        codec: Codec,
        round: u8,
    ) {
        let prompts = self.prompts(reading.language, codec);
        let (phrase, digits, gap_ms) = match round {
            0 => (prompts.greeting, &prompts.digits, reading.digit_gap_ms),
            _ => (
                prompts.again,
                &prompts.slow_digits,
                reading.digit_gap_ms * SLOWER_GAP_PERCENT / 100,
            ),
        };
        script.say(phrase, None);
        script.pause(AFTER_PHRASE_MS);
        for (position, digit) in code.digits().iter().enumerate() {
            let spoken = Mark::DigitSpoken { reading: round, position: position as u8 };
            script.say(digits[usize::from(*digit)], Some(spoken));
            if position + 1 < code.digits().len() {
                script.pause(gap_ms);
            }
        }
        script.pause(FRAME_MS);
        script.mark(Mark::ReadingDone { reading: round });
        script.pause(gap_ms.max(AFTER_PHRASE_MS));
    }

    /// Renders the script of a call as samples.
    pub fn render(&self, code: &Code, reading: Reading) -> Vec<i16> {
        let script = self.script(code, reading, Codec::Pcma);
        let mut samples = Vec::with_capacity(script.frames() as usize * FRAME);
        for piece in &script.pieces {
            for _ in 0..piece.repeat {
                samples.extend(decoded(piece.audio));
            }
        }
        samples
    }

    /// The samples of a digit, at normal speed or slow.
    pub fn digit_samples(&self, language: Language, digit: u8, slow: bool) -> Vec<i16> {
        let prompts = self.prompts(language, Codec::Pcma);
        let digits = match slow {
            true => &prompts.slow_digits,
            false => &prompts.digits,
        };
        samples(digits[usize::from(digit)])
    }

    /// The samples of the phrases: greeting, again, goodbye.
    pub fn phrase_samples(&self, language: Language) -> [Vec<i16>; 3] {
        let prompts = self.prompts(language, Codec::Pcma);
        [prompts.greeting, prompts.again, prompts.goodbye].map(samples)
    }
}

fn decoded(a_law: &[u8]) -> impl Iterator<Item = i16> {
    a_law.iter().map(|byte| Codec::Pcma.decode(*byte))
}

fn samples(a_law: &[u8]) -> Vec<i16> {
    decoded(a_law).collect()
}

fn silent_frame(codec: Codec) -> &'static [u8] {
    Box::leak(Box::new([codec.silence(); FRAME]))
}

fn to_mu_law(a_law: &Encoded) -> Encoded {
    a_law.map(|bytes| encoded(decoded(bytes), Codec::Pcmu))
}

fn encoded(samples: impl Iterator<Item = i16>, codec: Codec) -> &'static [u8] {
    Vec::leak(samples.map(|sample| codec.encode(sample)).collect())
}

#[cfg(test)]
mod tests;
