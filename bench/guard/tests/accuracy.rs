//! Accuracy does not fall: floors on the committed prompts, on those the detectors were tuned with
//! and on those with other wordings.

use std::path::Path;

use engine::guard::Detectors;
use guard_bench::cases;
use guard_bench::score::{Score, TYPES, score};

fn scored(set: &str) -> Score {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("samples/{set}.jsonl"));
    score(&Detectors::default(), &cases::read(&path).unwrap())
}

#[test]
fn accuracy_stays_above_its_floors() {
    for set in ["tuned", "unseen"] {
        let score = scored(set);
        let table = score.table();
        let (exact, macro_f1) = Score::total(&score.exact, TYPES.len());
        assert!(exact.rates().2 >= 0.985, "{set}: micro\n{table}");
        assert!(macro_f1 >= 0.985, "{set}: macro\n{table}");
        assert!(
            score.common().rates().2 >= 0.98,
            "{set}: common six\n{table}"
        );
        for (name, _) in TYPES {
            let floor = if name == "PERSON" { 0.93 } else { 0.95 };
            let f1 = score.exact[name].rates().2;
            assert!(f1 >= floor, "{set}: {name} {f1:.3}\n{table}");
        }
        let share = |part: usize, whole: usize| part as f64 / whole as f64;
        assert!(
            share(score.false_on_negatives, score.negatives) <= 0.025,
            "{set}\n{table}"
        );
        assert!(
            share(score.negatives_touched, score.negatives) <= 0.015,
            "{set}\n{table}"
        );
        assert!(share(score.leaked, score.labels) <= 0.02, "{set}\n{table}");
        assert!(
            share(score.other_lost, score.other_chars) <= 0.001,
            "{set}\n{table}"
        );
        assert!(score.other_on_negatives.is_empty(), "{set}\n{table}");
    }
}
