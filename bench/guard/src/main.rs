//! `guard-report score FILE... [--errors]`: accuracy on labelled prompts.
//! `guard-report speed ROOT`: speed, on texts of the repository at ROOT.
//! `guard-report set-up`: what detectors of an operator's own cost when they are read.

#![expect(clippy::print_stdout, reason = "a report is printed")]

use std::path::Path;

use engine::guard::Detectors;
use guard_bench::{cases, score, speed};

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (options, files): (Vec<&String>, Vec<&String>) = arguments
        .iter()
        .partition(|argument| argument.starts_with("--"));
    match files.split_first() {
        Some((command, files)) if command.as_str() == "score" => {
            for file in files {
                let cases = cases::read(Path::new(file))?;
                let score = score::score(&Detectors::default(), &cases);
                println!("{file}: {} prompts\n{}", score.prompts, score.table());
                if options.iter().any(|option| *option == "--errors") {
                    let mut errors = score.errors;
                    errors.sort();
                    println!("{}", errors.join("\n"));
                }
            }
            Ok(())
        }
        Some((command, [root])) if command.as_str() == "speed" => {
            println!("{}", speed::report(Path::new(root))?);
            Ok(())
        }
        Some((command, [])) if command.as_str() == "set-up" => {
            print!("{}", speed::set_up()?.0);
            Ok(())
        }
        _ => Err("guard-report score FILE... [--errors] | speed ROOT | set-up".to_owned()),
    }
}
