//! Durations, by the bounds that dashboards have.

use super::bump;
use super::text::Text;

/// Upper bounds of the duration histogram, milliseconds.
const BUCKETS_MS: [u64; 15] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000,
];

/// How long exchanges took.
#[derive(Default)]
pub(super) struct Histogram {
    /// Observations at or below each bound and above the one before.
    counts: [u64; BUCKETS_MS.len()],
    above: u64,
    sum_ms: u64,
}

impl Histogram {
    pub(super) fn observe(&mut self, ms: u64) {
        let place = BUCKETS_MS.iter().position(|bound| ms <= *bound);
        match place.and_then(|place| self.counts.get_mut(place)) {
            Some(count) => bump(count, 1),
            None => bump(&mut self.above, 1),
        }
        bump(&mut self.sum_ms, ms);
    }

    pub(super) fn render(&self, text: &mut Text, name: &str, pair: [(&'static str, &str); 2]) {
        let bucket = format!("{name}_bucket");
        let mut total: u64 = 0;
        for (bound, count) in BUCKETS_MS.iter().zip(self.counts) {
            bump(&mut total, count);
            let bound = seconds(*bound);
            text.sample(
                &bucket,
                &[pair[0], pair[1], ("le", &bound)],
                &total.to_string(),
            );
        }
        bump(&mut total, self.above);
        let total = total.to_string();
        text.sample(&bucket, &[pair[0], pair[1], ("le", "+Inf")], &total);
        text.sample(&format!("{name}_sum"), &pair, &seconds(self.sum_ms));
        text.sample(&format!("{name}_count"), &pair, &total);
    }
}

fn seconds(ms: u64) -> String {
    (ms as f64 / 1_000.0).to_string()
}
