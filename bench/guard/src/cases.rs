//! Labelled prompts, one JSON object a line.

use std::path::Path;

use serde::Deserialize;

/// A prompt and what is personal in it.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub id: String,
    #[serde(default)]
    pub lang: String,
    #[serde(default)]
    pub style: String,
    /// Nothing in it is personal, and much of it looks so.
    pub neg: bool,
    pub text: String,
    pub entities: Vec<Entity>,
    #[serde(default)]
    pub ignore: Vec<Ignored>,
}

/// What has to be found; offsets are code points.
#[derive(Debug, Deserialize)]
pub struct Entity {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub sub: String,
    pub start: usize,
    pub end: usize,
    pub value: String,
    /// The part of `value` that must not survive redaction; all of it when absent.
    pub core: Option<String>,
    /// Other spans that are as good.
    #[serde(default)]
    pub alt: Vec<(usize, usize)>,
}

/// Where a finding counts neither way.
#[derive(Debug, Deserialize)]
pub struct Ignored {
    #[serde(rename = "type")]
    pub kind: String,
    pub start: usize,
    pub end: usize,
}

/// Reads the cases of a file.
///
/// # Errors
/// The file cannot be read, or a line is no case.
pub fn read(path: &Path) -> Result<Vec<Case>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let case = |(index, line)| {
        serde_json::from_str(line)
            .map_err(|error| format!("{}:{}: {error}", path.display(), index + 1))
    };
    lines.map(case).collect()
}
