//! How fast the detectors read: on one core, best of several runs, in MB/s of text.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use engine::guard::{CustomDetector, Detectors, Finding, GuardConfig, Window};

use crate::cases;

/// Bytes of each text.
const TEXT_BYTES: usize = 1_000_000;
/// Bytes read at a time where texts are ordinary: so few that a busy machine leaves some runs alone.
const SAMPLE_BYTES: usize = 100_000;
/// Runs of which the best counts.
const RUNS: usize = 25;
/// What must not be slow, a million bytes of each.
pub const HOSTILE: [&str; 47] = [
    "1",
    "@",
    "-",
    "a.",
    "a@",
    "1 ",
    "1.",
    "1-",
    "a-1 ",
    ":",
    "A ",
    "a=",
    "_a1",
    "eyJ",
    "：",
    "1a",
    "password: ",
    "CMND 1, ",
    "12.",
    "a:",
    "://",
    "a://b?",
    "eyJ-",
    "AIza-",
    "sk-",
    "_",
    "(",
    "+1 ",
    "Mr. ",
    "是",
    "x=",
    "a,1\n",
    "1;2,3\n",
    "VALUES (",
    "VALUES 1",
    "'1',",
    "_REDACTED]",
    "0x",
    "password:",
    "CMND 1",
    "-----BEGIN PRIVATE KEY-----",
    "é1",
    "\u{301}1",
    "a",
    "é",
    "aé",
    "1٣",
];

/// Text of the files with this ending below `folder`, repeated up to [`TEXT_BYTES`].
fn files(folder: &Path, ending: &str) -> String {
    let mut text = String::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|known| known == ending) {
                text.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    long(&text)
}

fn long(text: &str) -> String {
    let mut long = text.repeat(TEXT_BYTES / text.len().max(1) + 1);
    let mut end = TEXT_BYTES;
    while !long.is_char_boundary(end) {
        end -= 1;
    }
    long.truncate(end);
    long
}

/// Seconds of the best run.
fn best(mut run: impl FnMut()) -> f64 {
    (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn rate(text: &str, run: impl FnMut()) -> f64 {
    text.len() as f64 / best(run) / 1e6
}

/// MB/s of one text after the other, in batches of [`SAMPLE_BYTES`].
fn scan_rate(detectors: &Detectors, texts: &[String]) -> f64 {
    let mut out: Vec<Finding> = Vec::new();
    let (mut bytes, mut seconds) = (0, 0.0);
    let mut rest = texts;
    while !rest.is_empty() {
        let mut size = 0;
        let count = rest.iter().take_while(|text| {
            let room = size < SAMPLE_BYTES;
            size += text.len();
            room
        });
        let (batch, after) = rest.split_at(count.count());
        rest = after;
        bytes += batch.iter().map(String::len).sum::<usize>();
        seconds += best(|| {
            for text in batch {
                out.clear();
                detectors.scan(black_box(text), &mut out);
                black_box(&out);
            }
        });
    }
    bytes as f64 / seconds / 1e6
}

/// A text in pieces of [`SAMPLE_BYTES`] and less, which end with a line.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if pieces
            .last()
            .is_none_or(|piece| piece.len() > SAMPLE_BYTES / 2)
        {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(line);
        }
    }
    pieces
}

/// Measures everything, from the repository at `root`.
///
/// # Errors
/// A set of cases cannot be read.
pub fn report(root: &Path) -> Result<String, String> {
    let mut text = String::new();
    let detectors = Detectors::default();
    let mut prompts = Vec::new();
    for set in ["tuned", "unseen"] {
        let path = root.join(format!("bench/guard/samples/{set}.jsonl"));
        prompts.extend(cases::read(&path)?.into_iter().map(|case| case.text));
    }
    let docs = files(&root.join("docs"), "md");
    let code = files(&root.join("engine/src"), "rs");
    let dense = scan_rate(&detectors, &prompts);
    let _ = writeln!(
        text,
        "{:34} {dense:7.0} MB/s",
        "prompts full of personal data"
    );
    for (name, sample) in [("documents", &docs), ("code", &code)] {
        let rate = scan_rate(&detectors, &pieces(sample));
        let _ = writeln!(text, "{name:34} {rate:7.0} MB/s");
    }
    let mut times: Vec<f64> = prompts
        .iter()
        .map(|prompt| {
            best(|| {
                black_box(scan_rate_once(&detectors, prompt));
            })
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let percentile =
        |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0.0) * 1e6;
    let _ = writeln!(
        text,
        "{:34} {:7.1} us median, {:.1} us p99",
        "one prompt",
        percentile(50),
        percentile(99)
    );
    let joined = long(&prompts.join("\n"));
    let words: Vec<&str> = joined.split_inclusive(' ').collect();
    let streamed = rate(&joined, || {
        let (mut window, mut out) = (Window::default(), Vec::new());
        for piece in &words {
            window.push(piece);
            out.clear();
            black_box(window.settle(&detectors, false, &mut out));
        }
    });
    let _ = writeln!(
        text,
        "{:34} {streamed:7.0} MB/s",
        "the same as a stream of words"
    );
    let mut slowest = (f64::INFINITY, "");
    for piece in HOSTILE {
        let hostile = long(piece);
        let rate = scan_rate(&detectors, std::slice::from_ref(&hostile));
        if rate < slowest.0 {
            slowest = (rate, piece);
        }
    }
    let (rate, piece) = slowest;
    let _ = writeln!(
        text,
        "{:34} {rate:7.0} MB/s on {piece:?}, {:.2} of the first line",
        "slowest of hostile texts",
        rate / dense
    );
    text.push_str(&configured(&prompts)?);
    Ok(text)
}

fn scan_rate_once(detectors: &Detectors, text: &str) -> usize {
    let mut out = Vec::new();
    detectors.scan(text, &mut out);
    out.len()
}

fn configured(prompts: &[String]) -> Result<String, String> {
    let (text, detectors) = set_up()?;
    let rate = scan_rate(&detectors, prompts);
    Ok(format!(
        "{:34} {rate:7.0} MB/s\n{text}",
        "with two patterns and two words"
    ))
}

/// What detectors of an operator's own cost before they read anything. The first time counts only in a
/// program that has done nothing else.
///
/// # Errors
/// The detectors are refused.
pub fn set_up() -> Result<(String, Detectors), String> {
    let config = GuardConfig {
        custom: vec![CustomDetector {
            name: "STAFF".to_owned(),
            patterns: vec![
                r"\bEMP-\d{4,6}\b".to_owned(),
                r"\b[A-Z]{2}\d{6}[A-Z]\b".to_owned(),
            ],
            words: vec!["blue whale".to_owned(), "Hải Âu".to_owned()],
            ignore_case: true,
            ignore_accents: true,
        }],
        ..GuardConfig::default()
    };
    let compile = || Detectors::compile(&config).map_err(|error| error.message);
    let before = linear_memory();
    let start = Instant::now();
    let detectors = compile()?;
    let first = start.elapsed().as_secs_f64() * 1e3;
    let memory = linear_memory() - before;
    let again = best(|| drop(black_box(compile()))) * 1e3;
    let mut text = format!(
        "{:34} {first:7.2} ms the first time, {again:.2} ms again\n",
        "set-up of two patterns, two words",
    );
    if cfg!(target_family = "wasm") {
        let _ = writeln!(
            text,
            "{:34} {:7} KiB more",
            "linear memory after it",
            memory / 1024
        );
    }
    Ok((text, detectors))
}

/// Bytes of the program's memory, which only grows.
#[cfg(target_family = "wasm")]
fn linear_memory() -> usize {
    core::arch::wasm32::memory_size::<0>() * 65_536
}

#[cfg(not(target_family = "wasm"))]
const fn linear_memory() -> usize {
    0
}
