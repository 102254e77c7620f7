use std::time::Duration;

use super::*;

fn reading(language: Language, repeat: u8, digit_gap_ms: u32) -> Reading {
    Reading { language, repeat, digit_gap_ms }
}

#[test]
fn every_prompt_is_whole_frames_and_at_least_200_ms_long() {
    let set = PromptSet::built_in();
    for language in &set.prompts {
        let all = [language.press_key, language.greeting, language.again, language.goodbye];
        for prompt in all.into_iter().chain(language.digits).chain(language.slow_digits) {
            assert_eq!(prompt.len() % FRAME, 0);
            assert!(prompt.len() >= 10 * FRAME, "{} bytes", prompt.len());
        }
    }
}

#[test]
fn each_digit_and_each_reading_is_marked_once_in_order() {
    let code = Code::parse("0423").unwrap();
    let script = PromptSet::built_in().script(&code, reading(Language::Vi, 2, 350), Codec::Pcma);
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
fn a_repeated_code_is_read_once_with_marks_of_its_reading() {
    let code = Code::parse("0423").unwrap();
    let reading = reading(Language::En, 2, 350);
    let script = PromptSet::built_in().repeat_script(&code, reading, Codec::Pcma, 4);
    let marks = script.pieces.iter().filter_map(|p| p.mark);
    let expected = (0..4).map(|position| Mark::DigitSpoken { reading: 4, position });
    let done = Mark::ReadingDone { reading: 4 };
    assert!(marks.eq(expected.chain([done])));
}

#[test]
fn the_press_key_script_has_no_digit_and_leaves_time_for_a_key() {
    let set = PromptSet::built_in();
    for language in [Language::Vi, Language::En] {
        for codec in Codec::ALL {
            let script = set.press_key_script(language, codec);
            let prompts = set.prompts(language, codec);
            let digits = || prompts.digits.iter().chain(&prompts.slow_digits);
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
fn between_two_digits_there_is_at_least_the_configured_gap() {
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
            assert!(silent * FRAME_MS >= gap_ms, "{silent} frames for {gap_ms} ms");
        }
    }
}

#[test]
fn the_longest_code_is_read_twice_within_the_time_of_a_call() {
    let code = Code::parse("33333333").unwrap();
    for language in [Language::Vi, Language::En] {
        let script = PromptSet::built_in().script(&code, reading(language, 2, 350), Codec::Pcma);
        assert!(script.duration() < Duration::from_secs(27), "{:?}", script.duration());
    }
}

#[test]
fn the_second_reading_is_slower() {
    let set = PromptSet::built_in();
    for language in [Language::Vi, Language::En] {
        for digit in 0..10 {
            let quick = set.digit_samples(language, digit, false).len();
            assert!(set.digit_samples(language, digit, true).len() > quick, "{digit}");
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
