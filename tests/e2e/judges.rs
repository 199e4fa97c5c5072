//! The golden files of the wire formats, read by the official packages' own types: what code and
//! tests agree on has to be what everybody else means.

use std::process::Command;

use e2e::artefact;
use e2e::process::run;

#[test]
fn official_packages_read_the_golden_files() {
    let folder = artefact::root().join("tests/python");
    let entries = std::fs::read_dir(&folder).expect("tests/python");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut judges: Vec<String> = names
        .filter(|name| name.starts_with("judge_") && name.ends_with(".py"))
        .collect();
    judges.sort();
    assert!(judges.len() >= 3, "{judges:?}");
    let mut failed = Vec::new();
    for judge in judges {
        let script = folder.join(&judge);
        let (status, stdout, stderr) = run(Command::new(artefact::python()).arg(script));
        println!("{judge}: {stdout}");
        if !status.success() {
            failed.push(format!("--- {judge}\n{stdout}{stderr}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
