//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// Column from 1.
    pub column: usize,
    /// Member path such as `providers[1].dialect`; may be empty.
    pub member: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Every problem of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// At least one, in file order.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// The file as a whole cannot be used.
    pub fn unreadable(path: &Path, message: impl Into<String>) -> ConfigError {
        let problem = Problem {
            line: 0,
            column: 0,
            member: String::new(),
            message: message.into(),
        };
        ConfigError {
            path: path.to_owned(),
            problems: vec![problem],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.path.display())?;
            if problem.line > 0 {
                write!(f, ":{}:{}", problem.line, problem.column)?;
            }
            f.write_str(": ")?;
            if !problem.member.is_empty() {
                write!(f, "{}: ", problem.member)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// `; did you mean ...?` for the candidate nearest to `word`, or nothing when none is near.
pub(crate) fn closest(word: &str, candidates: &[&str]) -> String {
    let far = word.chars().count().max(3) / 3;
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map_or_else(String::new, |(_, candidate)| {
            format!("; did you mean `{candidate}`?")
        })
}

/// Edits between two words, an exchange of neighbours counting as one.
fn distance(one: &str, other: &str) -> usize {
    strsim::osa_distance(&one.to_lowercase(), &other.to_lowercase())
}
