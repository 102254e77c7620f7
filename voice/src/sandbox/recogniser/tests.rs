use nexo_domain::otp::{Code, Language, Reading};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::audio::g711::Codec;
use crate::speech::prompts::{FRAME, PromptSet};

fn reading(language: Language) -> Reading {
    Reading {
        language,
        repeat: 2,
        digit_gap_ms: 350,
    }
}

/// The call's audio as frames of the codec.
fn spoken(code: &str, language: Language, codec: Codec) -> Vec<u8> {
    let code = Code::parse(code).unwrap();
    let script = PromptSet::built_in().script(&code, reading(language), codec);
    let pieces = script.pieces.iter();
    pieces
        .flat_map(|piece| piece.audio.repeat(piece.repeat as usize))
        .collect()
}

/// What is heard of the frames when they start `offset` samples late.
fn heard(
    frames: &[u8],
    codec: Codec,
    offset: usize,
    change: impl FnMut(usize, i16) -> i16,
) -> Heard {
    let mut samples = vec![0; offset];
    samples.extend(frames.iter().map(|byte| codec.decode(*byte)));
    let mut change = change;
    for (n, sample) in samples.iter_mut().enumerate() {
        *sample = change(n, *sample);
    }
    let mut recogniser = Recogniser::new();
    for piece in samples.chunks(777) {
        recogniser.push(piece);
    }
    recogniser.finish()
}

fn random_code(random: &mut StdRng) -> String {
    let length = random.random_range(4..=8);
    (0..length)
        .map(|_| char::from(b'0' + random.random_range(0..10u8)))
        .collect()
}

#[test]
fn every_random_code_is_heard_in_both_languages_and_both_codecs() {
    let mut random = StdRng::seed_from_u64(1);
    for n in 0..100 {
        let code = random_code(&mut random);
        for language in [Language::Vi, Language::En] {
            let codec = Codec::ALL[n % 2];
            let frames = spoken(&code, language, codec);
            let offset = random.random_range(0..2000);
            let heard = heard(&frames, codec, offset, |_, s| s);
            assert_eq!(
                heard.readings,
                [code.clone(), code.clone()],
                "{language:?} {codec:?}"
            );
            assert_eq!(heard.digits, code);
        }
    }
}

#[test]
fn repeated_digits_are_each_heard() {
    for code in ["0000", "11112222", "33333333", "5050", "77777", "88899"] {
        for language in [Language::Vi, Language::En] {
            let frames = spoken(code, language, Codec::Pcma);
            assert_eq!(heard(&frames, Codec::Pcma, 0, |_, s| s).digits, code);
        }
    }
}

#[test]
fn a_louder_or_quieter_line_changes_nothing() {
    for (numerator, denominator) in [(2, 1), (1, 2)] {
        for language in [Language::Vi, Language::En] {
            let frames = spoken("0123456789"[2..].into(), language, Codec::Pcmu);
            let level = |_, s: i16| {
                (i32::from(s) * numerator / denominator)
                    .clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
            };
            assert_eq!(heard(&frames, Codec::Pcmu, 13, level).digits, "23456789");
        }
    }
}

#[test]
fn noise_far_below_the_voice_is_mostly_heard_through() {
    let mut random = StdRng::seed_from_u64(2);
    let mut understood = 0;
    for n in 0..40 {
        let code = random_code(&mut random);
        let frames = spoken(&code, [Language::Vi, Language::En][n % 2], Codec::Pcma);
        // Speech is near -19.5 dB of full scale; evenly spread noise of ±338 is 25 dB below it.
        let noisy = |_, s: i16| s.saturating_add(random.random_range(-338..=338));
        understood += usize::from(heard(&frames, Codec::Pcma, 0, noisy).digits == code);
    }
    assert!(understood >= 34, "{understood} of 40");
}

#[test]
fn digits_spoken_as_closely_as_may_be_configured_are_told_apart() {
    for language in [Language::Vi, Language::En] {
        for text in ["0000", "11112222", "73916482"] {
            let code = Code::parse(text).unwrap();
            let close = Reading {
                digit_gap_ms: 100,
                ..reading(language)
            };
            let samples = PromptSet::built_in().render(&code, close);
            let mut recogniser = Recogniser::new();
            recogniser.push(&samples);
            assert!(recogniser.finish().digits == text, "{language:?} {text}");
        }
    }
}

fn with_loss(frames: &[u8], percent: u32, random: &mut StdRng) -> Vec<u8> {
    let mut frames = frames.to_vec();
    for frame in frames.chunks_mut(FRAME) {
        if random.random_ratio(percent, 100) {
            frame.fill(Codec::Pcma.silence());
        }
    }
    frames
}

#[test]
fn one_percent_of_loss_is_mostly_understood_and_eighty_never() {
    let mut random = StdRng::seed_from_u64(3);
    let mut understood = 0;
    for n in 0..40 {
        let code = random_code(&mut random);
        let language = [Language::Vi, Language::En][n % 2];
        let frames = spoken(&code, language, Codec::Pcma);
        let little = with_loss(&frames, 1, &mut random);
        understood += usize::from(heard(&little, Codec::Pcma, 0, |_, s| s).digits == code);
        let much = with_loss(&frames, 80, &mut random);
        assert_ne!(heard(&much, Codec::Pcma, 0, |_, s| s).digits, code);
    }
    assert!(understood >= 34, "{understood} of 40");
}

#[test]
fn silence_noise_and_tones_are_no_digits() {
    let mut random = StdRng::seed_from_u64(4);
    let second = 8000;
    let silence = vec![0; second * 5];
    let noise: Vec<i16> = (0..second * 5)
        .map(|_| random.random_range(-9000..9000))
        .collect();
    let bursts: Vec<i16> = (0..second * 5)
        .map(|n| {
            if n / 3200 % 2 == 0 {
                random.random_range(-9000..9000)
            } else {
                0
            }
        })
        .collect();
    let tone = |hz: f32, on: usize| -> Vec<i16> {
        (0..second * 5)
            .map(|n| match n / on % 2 {
                0 => ((n as f32 * hz / 8000.0 * std::f32::consts::TAU).sin() * 9000.0) as i16,
                _ => 0,
            })
            .collect()
    };
    for (name, samples) in [
        ("silence", silence),
        ("noise", noise),
        ("bursts", bursts),
        ("dial tone", tone(425.0, 1_000_000)),
        ("busy tone", tone(425.0, 2800)),
        ("beep", tone(1000.0, 4000)),
    ] {
        let mut recogniser = Recogniser::new();
        recogniser.push(&samples);
        assert!(recogniser.finish().digits.is_empty(), "{name}");
    }
}

#[test]
fn a_call_cut_short_gives_what_was_heard_of_it() {
    let frames = spoken("482917", Language::Vi, Codec::Pcma);
    let cut = &frames[..8000 * 6 / FRAME * FRAME];
    let heard = heard(cut, Codec::Pcma, 0, |_, s| s);
    assert!("482917".starts_with(&heard.digits) && heard.digits.len() < 6);
    assert!(!heard.digits.is_empty());
}
