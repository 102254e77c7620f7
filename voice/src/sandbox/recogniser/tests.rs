use nexo_domain::otp::{Code, Language, Reading};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::audio::g711::Codec;
use crate::speech::prompts::{FRAME, PromptSet};

fn reading(language: Language) -> Reading {
    Reading { language, repeat: 2, digit_gap_ms: 350 }
}

/// Returns the audio of a call as frames of the codec.
fn spoken(code: &str, language: Language, codec: Codec) -> Vec<u8> {
    let code = Code::parse(code).unwrap();
    let script = PromptSet::built_in().script(&code, reading(language), codec);
    let pieces = script.pieces.iter();
    pieces.flat_map(|piece| piece.audio.repeat(piece.repeat as usize)).collect()
}

/// Recognises the frames, delayed by `offset` samples and changed by `change`.
fn recognise(
    frames: &[u8],
    codec: Codec,
    offset: usize,
    change: impl FnMut(usize, i16) -> i16,
) -> Recognition {
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
    (0..length).map(|_| char::from(b'0' + random.random_range(0..10u8))).collect()
}

#[test]
fn every_random_code_is_recognised_in_both_languages_and_codecs() {
    let mut random = StdRng::seed_from_u64(1);
    for n in 0..100 {
        let code = random_code(&mut random);
        for language in [Language::Vi, Language::En] {
            let codec = Codec::ALL[n % 2];
            let frames = spoken(&code, language, codec);
            let offset = random.random_range(0..2000);
            let recognition = recognise(&frames, codec, offset, |_, s| s);
            assert_eq!(
                recognition.readings,
                [code.clone(), code.clone()],
                "{language:?} {codec:?}"
            );
            assert_eq!(recognition.digits, code);
        }
    }
}

#[test]
fn repeated_digits_are_each_recognised() {
    for code in ["0000", "11112222", "33333333", "5050", "77777", "88899"] {
        for language in [Language::Vi, Language::En] {
            let frames = spoken(code, language, Codec::Pcma);
            assert_eq!(recognise(&frames, Codec::Pcma, 0, |_, s| s).digits, code);
        }
    }
}

#[test]
fn the_level_of_the_line_does_not_matter() {
    for (numerator, denominator) in [(2, 1), (1, 2)] {
        for language in [Language::Vi, Language::En] {
            let frames = spoken("0123456789"[2..].into(), language, Codec::Pcmu);
            let level = |_, s: i16| {
                (i32::from(s) * numerator / denominator)
                    .clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
            };
            assert_eq!(recognise(&frames, Codec::Pcmu, 13, level).digits, "23456789");
        }
    }
}

#[test]
fn digits_are_mostly_recognised_despite_low_noise() {
    let mut random = StdRng::seed_from_u64(2);
    let mut recognised = 0;
    for n in 0..40 {
        let code = random_code(&mut random);
        let frames = spoken(&code, [Language::Vi, Language::En][n % 2], Codec::Pcma);
        // Speech is near -19.5 dB of full scale; uniform noise of ±338 is 25 dB below it.
        let noisy = |_, s: i16| s.saturating_add(random.random_range(-338..=338));
        recognised += usize::from(recognise(&frames, Codec::Pcma, 0, noisy).digits == code);
    }
    assert!(recognised >= 34, "{recognised} of 40");
}

#[test]
fn digits_with_the_shortest_configurable_gap_are_separated() {
    for language in [Language::Vi, Language::En] {
        for text in ["0000", "11112222", "73916482"] {
            let code = Code::parse(text).unwrap();
            let close = Reading { digit_gap_ms: 100, ..reading(language) };
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
fn codes_are_mostly_recognised_at_1_percent_loss_and_never_at_80() {
    let mut random = StdRng::seed_from_u64(3);
    let mut recognised = 0;
    for n in 0..40 {
        let code = random_code(&mut random);
        let language = [Language::Vi, Language::En][n % 2];
        let frames = spoken(&code, language, Codec::Pcma);
        let little = with_loss(&frames, 1, &mut random);
        recognised += usize::from(recognise(&little, Codec::Pcma, 0, |_, s| s).digits == code);
        let much = with_loss(&frames, 80, &mut random);
        assert_ne!(recognise(&much, Codec::Pcma, 0, |_, s| s).digits, code);
    }
    assert!(recognised >= 34, "{recognised} of 40");
}

#[test]
fn silence_noise_and_tones_are_not_digits() {
    let mut random = StdRng::seed_from_u64(4);
    let second = 8000;
    let silence = vec![0; second * 5];
    let noise: Vec<i16> = (0..second * 5).map(|_| random.random_range(-9000..9000)).collect();
    let bursts: Vec<i16> = (0..second * 5)
        .map(|n| if n / 3200 % 2 == 0 { random.random_range(-9000..9000) } else { 0 })
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
fn a_truncated_call_yields_its_first_digits() {
    let frames = spoken("482917", Language::Vi, Codec::Pcma);
    let cut = &frames[..8000 * 6 / FRAME * FRAME];
    let recognition = recognise(cut, Codec::Pcma, 0, |_, s| s);
    assert!("482917".starts_with(&recognition.digits) && recognition.digits.len() < 6);
    assert!(!recognition.digits.is_empty());
}
