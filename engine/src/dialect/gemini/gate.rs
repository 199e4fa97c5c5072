//! What a Gemini model takes, by its name. One of unknown version is treated like the newest.

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Not at all.
    Never,
    /// `thinkingBudget`, not less than this many tokens.
    Budget { min: u64 },
    /// `thinkingLevel`, and whether there is a level below `LOW`.
    Level { minimal: bool },
}

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    /// JSON schemas as they are; else only OpenAPI's subset.
    pub(super) json_schema: bool,
    /// A JSON answer beside function declarations.
    pub(super) json_with_tools: bool,
    pub(super) thinking: Thinking,
    /// `temperature`, `topP`, `topK`.
    pub(super) sampling: bool,
    pub(super) penalties: bool,
    /// Calls in the history need the signature of the thought that led to them.
    pub(super) signatures: bool,
}

impl Gate {
    /// The gate of the model called `model`, with or without folders before its name.
    pub(super) fn of_model(model: &str) -> Gate {
        let name = model.rsplit('/').next().unwrap_or(model);
        let Some(rest) = name.strip_prefix("gemini-") else {
            // Gemma and tuned models.
            return Gate {
                json_schema: false,
                json_with_tools: false,
                thinking: Thinking::Never,
                sampling: true,
                penalties: true,
                signatures: false,
            };
        };
        let version = version(rest).unwrap_or((99, 0));
        let has = |word: &str| rest.split('-').any(|part| part == word);
        let (flash, lite) = (has("flash"), has("lite"));
        Gate {
            json_schema: version >= (2, 5),
            json_with_tools: version >= (3, 0),
            thinking: match version {
                (..=1, _) | (2, ..=4) => Thinking::Never,
                (2, _) => Thinking::Budget {
                    min: if has("pro") { 128 } else { 0 },
                },
                _ => Thinking::Level { minimal: flash },
            },
            sampling: !((version == (3, 5) && lite)
                || (flash && ((3, 6)..=(3, 8)).contains(&version))),
            penalties: version < (3, 0),
            signatures: version >= (3, 0),
        }
    }
}

/// `2.5-flash` is version 2.5, `3-pro-preview` is 3.0.
fn version(rest: &str) -> Option<(u32, u32)> {
    let number = rest.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_each_generation() {
        use Thinking::{Budget, Level, Never};
        // schema, JSON with tools, thinking, sampling, penalties, signatures
        for (name, expect) in [
            (
                "gemini-1.5-pro-002",
                (false, false, Never, true, true, false),
            ),
            ("gemini-2.0-flash", (false, false, Never, true, true, false)),
            (
                "models/gemini-2.5-pro",
                (true, false, Budget { min: 128 }, true, true, false),
            ),
            (
                "gemini-2.5-flash-lite",
                (true, false, Budget { min: 0 }, true, true, false),
            ),
            (
                "gemini-3-pro-preview",
                (true, true, Level { minimal: false }, true, false, true),
            ),
            (
                "gemini-3.5-flash",
                (true, true, Level { minimal: true }, true, false, true),
            ),
            (
                "gemini-3.5-flash-lite",
                (true, true, Level { minimal: true }, false, false, true),
            ),
            (
                "gemini-3.8-flash",
                (true, true, Level { minimal: true }, false, false, true),
            ),
            (
                "gemini-4-argon",
                (true, true, Level { minimal: false }, true, false, true),
            ),
            (
                "gemini-flash-latest",
                (true, true, Level { minimal: true }, true, false, true),
            ),
            ("gemma-3-27b-it", (false, false, Never, true, true, false)),
        ] {
            let gate = Gate::of_model(name);
            let seen = (
                gate.json_schema,
                gate.json_with_tools,
                gate.thinking,
                gate.sampling,
                gate.penalties,
                gate.signatures,
            );
            assert_eq!(seen, expect, "{name}");
        }
    }
}
