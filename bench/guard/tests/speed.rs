//! Work is linear in what is read, whatever it is.

use std::time::{Duration, Instant};

use engine::guard::Detectors;
use guard_bench::speed::HOSTILE;

const SHORT_BYTES: usize = 16 * 1024;
const TIMES: usize = 16;
/// A text that long takes [`TIMES`] as long by rights, and the square of it where something is read again
/// from the beginning.
const SLOWER_MAX: u32 = 4;

fn took(text: &str) -> Duration {
    let detectors = Detectors::default();
    let mut findings = Vec::new();
    let once = || {
        findings.clear();
        let began = Instant::now();
        detectors.scan(text, &mut findings);
        began.elapsed()
    };
    // Others have the machine too: the best of some tells what the work is.
    std::iter::repeat_with(once).take(3).min().unwrap()
}

#[test]
fn hostile_texts_cost_no_more_by_the_byte_when_they_are_long() {
    for piece in HOSTILE {
        let short = piece.repeat(SHORT_BYTES / piece.len());
        let (short_took, long_took) = (took(&short), took(&short.repeat(TIMES)));
        let fair = short_took.max(Duration::from_micros(100)) * TIMES as u32;
        assert!(
            long_took < fair * SLOWER_MAX,
            "{piece:?}: {short_took:?} and {TIMES} times that text {long_took:?}"
        );
    }
}
