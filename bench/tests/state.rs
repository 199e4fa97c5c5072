//! The measurement of admissions works, at a size that measures nothing.

use std::process::Command;

#[test]
fn admissions_are_measured_with_each_store() {
    for name in ["ENVOY_BIN", "WEIR_BIN", "WEIR_WASM"] {
        assert!(
            std::env::var_os(name).is_some(),
            "{name} is not set; `make test` sets it"
        );
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-bench"));
    let output = command.args(["--state", "--seconds", "1"]).output();
    let output = output.expect("weir-bench");
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
    let cells = |line: &str| -> Vec<Option<f64>> {
        let cells = line.split('|').map(|cell| cell.trim().parse().ok());
        cells.collect()
    };
    for (row, count) in [("| embedded |", 4), ("| Redis, PostgreSQL |", 4)] {
        let rows: Vec<&str> = said.lines().filter(|line| line.starts_with(row)).collect();
        assert_eq!(rows.len(), count, "{said}");
        for row in rows {
            let found: Vec<f64> = cells(row).into_iter().flatten().collect();
            assert!(found.len() >= 3, "{row}");
            assert!(found.iter().all(|figure| *figure > 0.0), "{row}");
        }
    }
    let script = said
        .lines()
        .filter(|line| line.starts_with("| redis-benchmark"));
    assert_eq!(script.count(), 2, "{said}");
    let shares = said.lines().filter(|line| line.contains("% of"));
    assert_eq!(shares.count(), 2, "{said}");
}
