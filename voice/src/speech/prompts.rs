//! What is said: prompts encoded once, and the script of one call made of slices of them.

use std::sync::OnceLock;
use std::time::Duration;

use nexo_domain::otp::{Code, Language, Reading};

use crate::audio::g711::Codec;

/// Bytes of one frame: 20 ms at 8 kHz.
pub const FRAME: usize = 160;
pub const FRAME_MS: u32 = 20;

/// Silence before the greeting, so that a phone that opens its ear late misses nothing.
const LEAD_IN_MS: u32 = 300;
/// Silence between a phrase and the first digit after it.
const AFTER_PHRASE_MS: u32 = 350;
/// How often a key is asked for, and how long is waited for it each time.
const INVITATIONS: u8 = 3;
const KEY_WITHIN_MS: u32 = 4000;
/// Silence between a key and what it brings.
const AFTER_KEY_MS: u32 = 200;
/// Later readings leave so much more room between the digits.
const SLOWER_GAP_PERCENT: u32 = 150;

/// A place in the script whose passing is news.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// A digit has been said; both count from 0.
    DigitSpoken { reading: u8, position: u8 },
    /// The last digit of a reading has been said.
    ReadingDone { reading: u8 },
}

/// Whole frames, said one or several times.
#[derive(Clone, Copy)]
pub struct Piece {
    pub audio: &'static [u8],
    pub repeat: u32,
    /// Passed once the last frame has been sent.
    pub mark: Option<Mark>,
}

impl Piece {
    /// How many frames it takes, repetitions included.
    pub fn frames(&self) -> u32 {
        (self.audio.len() / FRAME) as u32 * self.repeat
    }
}

/// Everything that one call says. Deliberately without `Debug`: it spells the code.
#[derive(Clone)]
pub struct Script {
    pub pieces: Vec<Piece>,
}

impl Script {
    pub fn frames(&self) -> u32 {
        self.pieces.iter().map(Piece::frames).sum()
    }

    pub fn duration(&self) -> Duration {
        Duration::from_millis(u64::from(self.frames() * FRAME_MS))
    }
}

/// The words of one language: encoded, or as samples.
#[derive(Clone, Copy)]
pub(crate) struct Words<A> {
    /// "Press any key to hear your code."
    press_key: A,
    greeting: A,
    again: A,
    goodbye: A,
    digits: [A; 10],
    slow_digits: [A; 10],
}

impl<A> Words<A> {
    /// Takes each prompt by its name, which is that of its file.
    pub(crate) fn named<E>(mut prompt: impl FnMut(&str) -> Result<A, E>) -> Result<Self, E> {
        Ok(Words {
            press_key: prompt("press-key")?,
            greeting: prompt("greeting")?,
            again: prompt("again")?,
            goodbye: prompt("goodbye")?,
            digits: ten(|digit| prompt(&digit.to_string()))?,
            slow_digits: ten(|digit| prompt(&format!("slow-{digit}")))?,
        })
    }

    /// Shows each prompt by its name.
    pub(crate) fn each<E>(&self, mut see: impl FnMut(&str, &A) -> Result<(), E>) -> Result<(), E> {
        see("press-key", &self.press_key)?;
        see("greeting", &self.greeting)?;
        see("again", &self.again)?;
        see("goodbye", &self.goodbye)?;
        for digit in 0..10 {
            see(&digit.to_string(), &self.digits[digit])?;
            see(&format!("slow-{digit}"), &self.slow_digits[digit])?;
        }
        Ok(())
    }

    fn map<B>(&self, change: impl Fn(&A) -> B) -> Words<B> {
        Words {
            press_key: change(&self.press_key),
            greeting: change(&self.greeting),
            again: change(&self.again),
            goodbye: change(&self.goodbye),
            digits: self.digits.each_ref().map(&change),
            slow_digits: self.slow_digits.each_ref().map(&change),
        }
    }
}

fn ten<A, E>(mut one: impl FnMut(u8) -> Result<A, E>) -> Result<[A; 10], E> {
    Ok([
        one(0)?,
        one(1)?,
        one(2)?,
        one(3)?,
        one(4)?,
        one(5)?,
        one(6)?,
        one(7)?,
        one(8)?,
        one(9)?,
    ])
}

/// Words that are kept until the process ends.
type Encoded = Words<&'static [u8]>;

/// All prompts, in both languages and both codecs.
pub struct PromptSet {
    words: [Encoded; 4],
    silence: [&'static [u8]; 2],
}

impl std::fmt::Debug for PromptSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromptSet").finish_non_exhaustive()
    }
}

macro_rules! words {
    ($language:literal) => {
        Words {
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
        include_bytes!(concat!("../../assets/", $language, "/", $name, ".al"))
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
    /// The prompts that come with the product.
    pub fn built_in() -> &'static PromptSet {
        static BUILT_IN: OnceLock<PromptSet> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            let (vi, en): (Encoded, Encoded) = (words!("vi"), words!("en"));
            PromptSet {
                silence: Codec::ALL.map(silent_frame),
                words: [to_mu_law(&vi), to_mu_law(&en), vi, en],
            }
        })
    }

    /// The prompts that come with the product, but those of the languages that `recorded` has. Its samples are
    /// whole frames at 8 kHz. What it makes is kept until the process ends.
    pub(crate) fn with(
        recorded: impl Fn(Language) -> Option<Words<Vec<i16>>>,
    ) -> &'static PromptSet {
        let built_in = PromptSet::built_in();
        let [vi, en] = [Language::Vi, Language::En].map(|language| {
            let recorded = recorded(language);
            move |codec| match &recorded {
                Some(words) => words.map(|samples| encoded(samples.iter().copied(), codec)),
                None => *built_in.words(language, codec),
            }
        });
        Box::leak(Box::new(PromptSet {
            silence: built_in.silence,
            words: [
                vi(Codec::Pcmu),
                en(Codec::Pcmu),
                vi(Codec::Pcma),
                en(Codec::Pcma),
            ],
        }))
    }

    fn words(&self, language: Language, codec: Codec) -> &Encoded {
        let place = match (codec, language) {
            (Codec::Pcmu, Language::Vi) => 0,
            (Codec::Pcmu, Language::En) => 1,
            (Codec::Pcma, Language::Vi) => 2,
            (Codec::Pcma, Language::En) => 3,
        };
        &self.words[place]
    }

    /// What a call says: greeting, the code, then for each further reading "again" and the code
    /// more slowly, and goodbye. Between two digits there is at least `digit_gap_ms` of silence.
    pub fn script(&self, code: &Code, reading: Reading, codec: Codec) -> Script {
        let pieces = 8 + usize::from(reading.repeat) * 2 * code.digits().len();
        let mut script = self.writer(codec, pieces);
        script.pause(LEAD_IN_MS);
        for round in 0..reading.repeat.max(1) {
            self.read(&mut script, code, reading, codec, round);
        }
        script.say(self.words(reading.language, codec).goodbye, None);
        Script {
            pieces: script.pieces,
        }
    }

    /// What a call says until a key is pressed: it asks three times, waits after each, and takes leave.
    /// No digit is in it.
    pub fn invitation(&self, language: Language, codec: Codec) -> Script {
        let words = self.words(language, codec);
        let mut script = self.writer(codec, 8);
        script.pause(LEAD_IN_MS);
        for _ in 0..INVITATIONS {
            script.say(words.press_key, None);
            script.pause(KEY_WITHIN_MS);
        }
        script.say(words.goodbye, None);
        Script {
            pieces: script.pieces,
        }
    }

    /// The code once more, slowly, because that was asked for. Its marks are those of reading `round`.
    pub fn again(&self, code: &Code, reading: Reading, codec: Codec, round: u8) -> Script {
        let mut script = self.writer(codec, 4 + 2 * code.digits().len());
        script.pause(AFTER_KEY_MS);
        self.read(&mut script, code, reading, codec, round.max(1));
        script.say(self.words(reading.language, codec).goodbye, None);
        Script {
            pieces: script.pieces,
        }
    }

    fn writer(&self, codec: Codec, pieces: usize) -> Writer {
        Writer {
            silence: self.silence[usize::from(codec == Codec::Pcmu)],
            pieces: Vec::with_capacity(pieces),
        }
    }

    /// One reading: its phrase and the digits. Later ones than the first are slower.
    fn read(&self, script: &mut Writer, code: &Code, reading: Reading, codec: Codec, round: u8) {
        let words = self.words(reading.language, codec);
        let (phrase, digits, gap_ms) = match round {
            0 => (words.greeting, &words.digits, reading.digit_gap_ms),
            _ => (
                words.again,
                &words.slow_digits,
                reading.digit_gap_ms * SLOWER_GAP_PERCENT / 100,
            ),
        };
        script.say(phrase, None);
        script.pause(AFTER_PHRASE_MS);
        for (place, digit) in code.digits().iter().enumerate() {
            let spoken = Mark::DigitSpoken {
                reading: round,
                position: place as u8,
            };
            script.say(digits[usize::from(*digit)], Some(spoken));
            if place + 1 < code.digits().len() {
                script.pause(gap_ms);
            }
        }
        script.pause(FRAME_MS);
        script.mark(Mark::ReadingDone { reading: round });
        script.pause(gap_ms.max(AFTER_PHRASE_MS));
    }

    /// The script as samples, to be listened to.
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

    /// A digit's prompt as samples, at reading speed or slow.
    pub fn digit_samples(&self, language: Language, digit: u8, slow: bool) -> Vec<i16> {
        let words = self.words(language, Codec::Pcma);
        let digits = match slow {
            true => &words.slow_digits,
            false => &words.digits,
        };
        samples(digits[usize::from(digit)])
    }

    /// The phrases' prompts as samples: greeting, again, goodbye.
    pub fn phrase_samples(&self, language: Language) -> [Vec<i16>; 3] {
        let words = self.words(language, Codec::Pcma);
        [words.greeting, words.again, words.goodbye].map(samples)
    }
}

struct Writer {
    silence: &'static [u8],
    pieces: Vec<Piece>,
}

impl Writer {
    fn say(&mut self, audio: &'static [u8], mark: Option<Mark>) {
        self.pieces.push(Piece {
            audio,
            repeat: 1,
            mark,
        });
    }

    fn pause(&mut self, at_least_ms: u32) {
        self.pieces.push(Piece {
            audio: self.silence,
            repeat: at_least_ms.div_ceil(FRAME_MS),
            mark: None,
        });
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(last) = self.pieces.last_mut() {
            last.mark = Some(mark);
        }
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
mod tests {
    use super::*;

    fn reading(language: Language, repeat: u8, digit_gap_ms: u32) -> Reading {
        Reading {
            language,
            repeat,
            digit_gap_ms,
        }
    }

    #[test]
    fn every_prompt_is_whole_frames_of_something_audible() {
        let set = PromptSet::built_in();
        for words in &set.words {
            let all = [words.press_key, words.greeting, words.again, words.goodbye];
            for prompt in all.into_iter().chain(words.digits).chain(words.slow_digits) {
                assert_eq!(prompt.len() % FRAME, 0);
                assert!(prompt.len() >= 10 * FRAME, "{} bytes", prompt.len());
            }
        }
    }

    #[test]
    fn each_digit_and_each_reading_is_marked_once_in_order() {
        let code = Code::parse("0423").unwrap();
        let script =
            PromptSet::built_in().script(&code, reading(Language::Vi, 2, 350), Codec::Pcma);
        let marks: Vec<Mark> = script.pieces.iter().filter_map(|p| p.mark).collect();
        let mut expected = Vec::new();
        for reading in 0..2 {
            for position in 0..4 {
                expected.push(Mark::DigitSpoken { reading, position });
            }
            expected.push(Mark::ReadingDone { reading });
        }
        assert_eq!(marks, expected);
    }

    #[test]
    fn a_code_that_is_asked_for_again_is_read_once_under_the_readings_number() {
        let code = Code::parse("0423").unwrap();
        let reading = reading(Language::En, 2, 350);
        let script = PromptSet::built_in().again(&code, reading, Codec::Pcma, 4);
        let marks = script.pieces.iter().filter_map(|p| p.mark);
        let expected = (0..4).map(|position| Mark::DigitSpoken {
            reading: 4,
            position,
        });
        let done = Mark::ReadingDone { reading: 4 };
        assert!(marks.eq(expected.chain([done])));
    }

    #[test]
    fn an_invitation_holds_no_digit_and_leaves_time_for_a_key() {
        let set = PromptSet::built_in();
        for language in [Language::Vi, Language::En] {
            for codec in Codec::ALL {
                let script = set.invitation(language, codec);
                let words = set.words(language, codec);
                let digits = || words.digits.iter().chain(&words.slow_digits);
                for piece in &script.pieces {
                    assert_eq!(piece.mark, None);
                    assert!(digits().all(|digit| !std::ptr::eq(*digit, piece.audio)));
                }
                let length = script.duration();
                assert!(length > Duration::from_secs(18), "{length:?}");
                assert!(length < Duration::from_secs(40), "{length:?}");
            }
        }
    }

    #[test]
    fn between_two_digits_there_is_at_least_the_gap_asked_for() {
        for gap_ms in [100, 350, 355, 2000] {
            let code = Code::parse("98765432").unwrap();
            let script =
                PromptSet::built_in().script(&code, reading(Language::En, 2, gap_ms), Codec::Pcmu);
            let spoken: Vec<usize> = (0..script.pieces.len())
                .filter(|n| matches!(script.pieces[*n].mark, Some(Mark::DigitSpoken { .. })))
                .collect();
            for pair in spoken.windows(2) {
                let silent: u32 = script.pieces[pair[0] + 1..pair[1]]
                    .iter()
                    .filter(|piece| piece.audio.iter().all(|b| *b == Codec::Pcmu.silence()))
                    .map(Piece::frames)
                    .sum();
                assert!(
                    silent * FRAME_MS >= gap_ms,
                    "{silent} frames for {gap_ms} ms"
                );
            }
        }
    }

    #[test]
    fn the_longest_code_is_read_twice_within_the_time_of_a_call() {
        let code = Code::parse("33333333").unwrap();
        for language in [Language::Vi, Language::En] {
            let script =
                PromptSet::built_in().script(&code, reading(language, 2, 350), Codec::Pcma);
            assert!(
                script.duration() < Duration::from_secs(27),
                "{:?}",
                script.duration()
            );
        }
    }

    #[test]
    fn the_second_reading_is_slower() {
        let set = PromptSet::built_in();
        for language in [Language::Vi, Language::En] {
            for digit in 0..10 {
                let quick = set.digit_samples(language, digit, false).len();
                assert!(
                    set.digit_samples(language, digit, true).len() > quick,
                    "{digit}"
                );
            }
        }
    }

    #[test]
    fn a_rendered_code_is_as_long_as_its_script() {
        let code = Code::parse("482917").unwrap();
        let set = PromptSet::built_in();
        let reading = reading(Language::Vi, 2, 350);
        let frames = set.script(&code, reading, Codec::Pcma).frames() as usize;
        assert_eq!(set.render(&code, reading).len(), frames * FRAME);
    }
}
