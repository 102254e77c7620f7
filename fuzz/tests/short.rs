//! Each target on mutated seeds for a few seconds: `NEXO_FUZZ_SECONDS`, 5 by default.
//!
//! An input that makes a target panic, or that takes too long, is kept in `fuzz/artifacts/TARGET`;
//! `cargo fuzz run` shows it again.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nexo_fuzz::targets;
use nix::sys::resource::{Resource, setrlimit};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const MAX_INPUT: usize = 8192;
const MAX_TIME_PER_INPUT: Duration = Duration::from_secs(5);
const MAX_MEMORY: u64 = 512 << 20;

macro_rules! short {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            fuzz(stringify!($target), targets::$target::run);
        }
    )*};
}

short!(agent, crypto, digest, frames, hook_body, hook_proof, keys, rtcp, rtp, sdp, sip);

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs `target` on every seed, and then on mutations of them until the time is over.
fn fuzz(name: &str, target: fn(&[u8])) {
    setrlimit(Resource::RLIMIT_DATA, MAX_MEMORY, MAX_MEMORY).unwrap();
    let seconds = std::env::var("NEXO_FUZZ_SECONDS").map_or(5, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut folders = vec![here("seeds").join(name)];
    if name == "sip" {
        folders.push(here("../voice/tests/voice/torture/messages"));
    }
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let seeds: Vec<Vec<u8>> =
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    let words = dictionary();
    let mut random = StdRng::seed_from_u64(rand::rng().random());
    seeds.iter().for_each(|seed| run(name, target, seed));
    let mut runs = seeds.len();
    while Instant::now() < until {
        run(name, target, &mutation(&seeds, &words, &mut random));
        runs += 1;
    }
    println!("{name}: {runs} runs");
}

/// Runs `target` on one input, which is kept if it fails.
fn run(name: &str, target: fn(&[u8]), input: &[u8]) {
    let began = Instant::now();
    let ended = std::panic::catch_unwind(|| target(input));
    let took = began.elapsed();
    if ended.is_err() || took > MAX_TIME_PER_INPUT {
        let folder = here("artifacts").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("short-{}", std::process::id()));
        std::fs::write(&file, input).unwrap();
        panic!("{name} failed after {took:?}; the input is {}", file.display());
    }
}

/// The words of `sip.dict`, a file in libFuzzer's format.
fn dictionary() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(here("sip.dict")).unwrap();
    let quoted = text.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((literal, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(literal.as_bytes());
        rest = match escape.strip_prefix('x') {
            Some(hex) => {
                bytes.push(u8::from_str_radix(&hex[..2], 16).unwrap());
                &hex[2..]
            }
            None => {
                bytes.push(escape.as_bytes()[0]);
                &escape[1..]
            }
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// A seed with a few changes, as libFuzzer makes them: bytes, words, copies, and parts of other seeds.
fn mutation(seeds: &[Vec<u8>], words: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len().min(at + 64));
        match random.random_range(0..7) {
            0 if at < input.len() => input[at] = random.random(),
            1 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            2 => drop(input.drain(at..end)),
            3 => {
                let word = &words[random.random_range(0..words.len())];
                input.splice(at..end, word.iter().copied());
            }
            4 => {
                let copy = input[at..end].to_vec();
                let to = random.random_range(0..=input.len());
                input.splice(to..to, copy);
            }
            5 => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let bytes: Vec<u8> =
                    (0..random.random_range(1..9)).map(|_| random.random()).collect();
                input.splice(at..at, bytes);
            }
        }
    }
    input.truncate(MAX_INPUT);
    input
}
