//! Scores the detectors on labelled prompts and measures their speed.

pub mod cases;
pub mod score;
pub mod speed;
