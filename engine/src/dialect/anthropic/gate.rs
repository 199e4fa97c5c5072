//! What a Claude model takes, by its name.
//!
//! The API answers `400` to a parameter that a model does not take, and that changes with each
//! release. The table is read off the capabilities that Anthropic publishes per model; a Claude of
//! unknown version is treated like the newest, which refuses the most.

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Thinking {
    /// Not at all.
    Never,
    /// `{type:enabled,budget_tokens}`.
    Budget,
    /// `{type:adaptive}` with `output_config.effort`.
    Adaptive,
}

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) struct Gate {
    /// `temperature`, `top_p`, `top_k`.
    pub(in crate::dialect) sampling: bool,
    /// `temperature` together with `top_p`.
    pub(in crate::dialect) sampling_pair: bool,
    pub(in crate::dialect) thinking: Thinking,
    /// Effort `xhigh`.
    pub(in crate::dialect) effort_xhigh: bool,
    /// `tool_choice` of type `any` or `tool`.
    pub(in crate::dialect) forced_tool: bool,
    /// A message of role `system` after a user turn.
    pub(in crate::dialect) mid_system: bool,
    /// `output_config.format` and `strict` tools.
    pub(in crate::dialect) structured: bool,
}

/// Servers that imitate Anthropic with models of their own.
const IMITATION: Gate = Gate {
    sampling: true,
    sampling_pair: true,
    thinking: Thinking::Budget,
    effort_xhigh: false,
    forced_tool: true,
    mid_system: false,
    structured: false,
};

impl Gate {
    /// The gate of the model called `model`, with or without maker, region and date in its name.
    pub(in crate::dialect) fn of_model(model: &str) -> Gate {
        let Some(at) = model.find("claude") else {
            return IMITATION;
        };
        let name = model.get(at..).unwrap_or_default();
        let (family, version) = family_and_version(name);
        let version = version.unwrap_or((9, 9));
        let story = matches!(family, "fable" | "mythos");
        Gate {
            sampling: version < (4, 7) && !story,
            sampling_pair: version < (4, 1),
            thinking: match version {
                _ if story => Thinking::Adaptive,
                (..=2, _) | (3, ..=6) => Thinking::Never,
                (3, _) | (4, ..=5) => Thinking::Budget,
                _ => Thinking::Adaptive,
            },
            effort_xhigh: version >= (4, 7) || story,
            forced_tool: match family {
                "opus" | "sonnet" => version < (5, 5),
                "fable" | "mythos" => version < (5, 1),
                _ => true,
            },
            mid_system: story || version >= (5, 0) || (family == "opus" && version >= (4, 8)),
            structured: story || version >= (4, 5),
        }
    }
}

/// `claude-3-5-sonnet-20241022` is sonnet 3.5, `claude-opus-4-1` is opus 4.1. Numbers of more than
/// two digits are dates.
fn family_and_version(name: &str) -> (&str, Option<(u32, u32)>) {
    let mut family = "";
    let mut numbers = Vec::new();
    for word in name.split(['-', '.', '@', ':', '_']).skip(1) {
        match word.parse::<u32>() {
            Ok(number) if word.len() <= 2 => numbers.push(number),
            Ok(_) => break,
            Err(_) if family.is_empty() => family = word,
            Err(_) => break,
        }
    }
    let version = match numbers.as_slice() {
        [] => None,
        [major] => Some((*major, 0)),
        [major, minor, ..] => Some((*major, *minor)),
    };
    (family, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_out_of_names() {
        for (name, family, version) in [
            ("claude-3-5-sonnet-20241022", "sonnet", Some((3, 5))),
            ("claude-3-haiku", "haiku", Some((3, 0))),
            ("claude-opus-4-20250514", "opus", Some((4, 0))),
            ("claude-opus-4-1-20250805", "opus", Some((4, 1))),
            ("claude-sonnet-4-5@20250929", "sonnet", Some((4, 5))),
            ("claude-sonnet-4.5", "sonnet", Some((4, 5))),
            ("claude-fable-5-1", "fable", Some((5, 1))),
            ("claude-2.1", "", Some((2, 1))),
            ("claude-next", "next", None),
        ] {
            assert_eq!(family_and_version(name), (family, version), "{name}");
        }
    }

    #[test]
    fn knows_each_generation() {
        // sampling, pair, thinking, forced tool, mid system, structured
        use Thinking::{Adaptive, Budget, Never};
        for (name, expect) in [
            (
                "claude-3-haiku-20240307",
                (true, true, Never, true, false, false),
            ),
            (
                "claude-3-7-sonnet-20250219",
                (true, true, Budget, true, false, false),
            ),
            ("claude-opus-4-1", (true, false, Budget, true, false, false)),
            (
                "anthropic/claude-sonnet-4-5",
                (true, false, Budget, true, false, true),
            ),
            (
                "claude-opus-4-6",
                (true, false, Adaptive, true, false, true),
            ),
            (
                "claude-opus-4-7",
                (false, false, Adaptive, true, false, true),
            ),
            (
                "claude-opus-4-8",
                (false, false, Adaptive, true, true, true),
            ),
            (
                "us.anthropic.claude-haiku-5-5-v1:0",
                (false, false, Adaptive, true, true, true),
            ),
            ("claude-fable-5", (false, false, Adaptive, true, true, true)),
            (
                "claude-fable-5-1",
                (false, false, Adaptive, false, true, true),
            ),
            (
                "claude-sonnet-5-5",
                (false, false, Adaptive, false, true, true),
            ),
            (
                "claude-unheard-of",
                (false, false, Adaptive, true, true, true),
            ),
            ("glm-5", (true, true, Budget, true, false, false)),
        ] {
            let gate = Gate::of_model(name);
            let seen = (
                gate.sampling,
                gate.sampling_pair,
                gate.thinking,
                gate.forced_tool,
                gate.mid_system,
                gate.structured,
            );
            assert_eq!(seen, expect, "{name}");
        }
    }
}
