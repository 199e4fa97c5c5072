//! The fuzz targets without a fuzzer: each seed and, from these, inputs changed at random.
//!
//! A short run belongs to the tests. `WEIR_FUZZ_SECONDS` makes it long, `WEIR_FUZZ_SEED` repeats
//! one; a failing input is printed and kept in `fuzz/artifacts`.
#![expect(clippy::print_stdout, reason = "a run says its seed and length")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "it is a module of another crate as well")]
#[expect(
    clippy::expect_used,
    reason = "an input at which it panics is a finding"
)]
mod targets;

/// Inputs of each target in a short run.
const INPUTS: usize = 1_500;
/// Bytes of an input at most.
const INPUT_BYTES_MAX: usize = 4 * 1024;
/// Pieces that chance alone would not write.
const WORDS: &[&str] = &[
    "\"",
    "\\",
    "\\u0041",
    "\\ud83d\\ude00",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "1e9",
    "-0",
    "\n\n",
    "\r\n",
    "\r",
    "data: ",
    "event: x\n",
    "[DONE]",
    "\u{feff}",
    "ế",
    "😀",
    "\"model\":\"m\",",
    "\"messages\":",
    "\"role\":\"user\"",
    "\"content\":",
    "\"tools\":[",
    "\"stream\":true,",
    "ann@example.com",
    "4111111111111111",
    "079203001234",
    "+84 912 345 678",
    "10.0.0.1",
    "CMND ",
    "sk-proj-",
    "\"finish_reason\":\"stop\"",
    "\"usage\":{\"prompt_tokens\":1}",
    "\"strategy\":\"fallback\"",
    "\"targets\":[",
    "\"weight\":0.5",
    "\"type\":\"message_stop\"",
    "\"type\":\"text\"",
    "\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}",
    "\"type\":\"tool_result\",\"tool_use_id\":\"a\"",
    "\"tool_calls\":[{\"index\":1}]",
    "  ",
    "\t",
    "'s",
    "1234",
];

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, 0 for 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % (bound.max(1) as u64)).unwrap_or(0)
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = root().join("fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    assert!(!files.is_empty(), "no seeds in {}", folder.display());
    files
        .iter()
        .filter_map(|file| std::fs::read(file).ok())
        .collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn changed(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let pick = |dice: &mut Dice| {
        seeds
            .get(dice.below(seeds.len()))
            .cloned()
            .unwrap_or_default()
    };
    let mut input = pick(dice);
    for _ in 0..=dice.below(6) {
        let at = dice.below(input.len() + 1);
        let to = (at + dice.below(16)).min(input.len());
        match dice.below(7) {
            0 => drop(input.drain(at..to)),
            1 => {
                let byte = u8::try_from(dice.below(256)).unwrap_or(0);
                input.insert(at, byte);
            }
            2 | 3 => {
                let word = WORDS
                    .get(dice.below(WORDS.len()))
                    .copied()
                    .unwrap_or_default();
                drop(input.splice(at..at, word.bytes()));
            }
            4 => {
                let other = pick(dice);
                let tail = other.get(dice.below(other.len())..).unwrap_or_default();
                input.truncate(at);
                input.extend_from_slice(tail);
            }
            5 => {
                let piece = input.get(at..to).unwrap_or_default().to_vec();
                let there = dice.below(input.len() + 1);
                drop(input.splice(there..there, piece));
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "the run ends by the clock")]
fn now() -> Instant {
    Instant::now()
}

fn run(wanted: &str) {
    let seed = number("WEIR_FUZZ_SEED").unwrap_or(1);
    let time = number("WEIR_FUZZ_SECONDS").map(Duration::from_secs);
    let targets = targets::TARGETS.iter();
    let (name, target) = targets
        .copied()
        .find(|(name, _)| *name == wanted)
        .unwrap_or(("", |_| {}));
    let (seeds, mut dice, began) = (seeds(name), Dice(seed), now());
    println!("{name}: seed {seed}");
    let mut count = 0;
    loop {
        let input = match seeds.get(count) {
            Some(seed) => seed.clone(),
            None => changed(&mut dice, &seeds),
        };
        let holds = catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok();
        if !holds {
            let folder = root().join("fuzz/artifacts").join(name);
            let file = folder.join(format!("seed-{seed}-{count}"));
            let kept =
                std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, &input));
            assert!(
                holds,
                "{name} fails on input {count} of seed {seed} ({kept:?}): {}",
                input.escape_ascii()
            );
        }
        count += 1;
        let over = match time {
            Some(time) => count % 64 == 0 && began.elapsed() >= time,
            None => count >= INPUTS,
        };
        if over {
            break;
        }
    }
    println!("{name}: {count} inputs");
}

macro_rules! smoke {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_is_run() {
            let names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

smoke!(json request sse stream_openai stream_anthropic answer ingress route guard tokens watch rules settlement);
