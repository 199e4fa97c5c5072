//! What a model behind OpenAI's format takes, by its name.
//!
//! The API answers `400` to a parameter that a model does not take. Chat clients know which model
//! they write for; those of other formats do not, and neither do fallbacks.

use super::{bare_name, is_o_series};
use crate::wire::Dialect;

/// Efforts, least first.
pub(in crate::dialect) const EFFORTS: [&str; 7] =
    ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Models that want their reasoning back with the results of calls, by a part of their names.
/// Others refuse the member or pass over it.
const TAKE_REASONING: [&str; 5] = ["deepseek", "glm", "kimi", "mimo", "minimax"];

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) struct Gate {
    /// It is served by OpenAI or Azure, which refuse members that they do not know.
    pub(in crate::dialect) is_own: bool,
    /// Least and greatest effort that it takes, as places in [`EFFORTS`]; `None` for a model that
    /// takes none, or may.
    pub(in crate::dialect) efforts: Option<(usize, usize)>,
    /// It reasons unless told not to.
    pub(in crate::dialect) reasons: bool,
    /// While it reasons it takes functions by the Responses API only.
    pub(in crate::dialect) calls_without_reasoning: bool,
    /// Google serves it, and wants its signature of a call back with it.
    pub(in crate::dialect) is_google: bool,
    /// `reasoning_content` on the assistant's messages.
    pub(in crate::dialect) takes_reasoning: bool,
}

impl Gate {
    pub(in crate::dialect) fn of_model(dialect: Dialect, model: &str) -> Gate {
        let name = bare_name(model);
        let mut gate = Gate {
            is_own: dialect == Dialect::Azure,
            efforts: None,
            reasons: false,
            calls_without_reasoning: false,
            is_google: model.contains("gemini"),
            takes_reasoning: TAKE_REASONING
                .iter()
                .any(|part| model.to_ascii_lowercase().contains(part)),
        };
        if name.starts_with("gpt-oss") {
            gate.efforts = Some((2, 4));
        } else if is_o_series(name) {
            gate.is_own = true;
            gate.efforts = Some((2, 4));
            gate.reasons = true;
        } else if let Some(version) = name.strip_prefix("gpt-").map(version) {
            gate.is_own = true;
            if !name.contains("-chat") {
                gate.efforts = gpt_efforts(name, version);
            }
            gate.reasons = gate.efforts.is_some() && (version == (5, 0) || version >= (5, 5));
            gate.calls_without_reasoning = gate.efforts.is_some() && version >= (5, 4);
        } else if name.starts_with("chatgpt-") {
            gate.is_own = true;
        } else if name.starts_with("magistral")
            || name.starts_with("sonar-reasoning")
            || name.starts_with("sonar-deep-research")
        {
            gate.efforts = Some((2, 4));
        }
        gate
    }

    /// The effort that the model takes instead of one at `wanted` in [`EFFORTS`].
    pub(in crate::dialect) fn effort(&self, wanted: usize) -> Option<&'static str> {
        let (least, most) = self.efforts?;
        EFFORTS.get(wanted.clamp(least, most)).copied()
    }
}

fn gpt_efforts(name: &str, version: (u32, u32)) -> Option<(usize, usize)> {
    match version {
        (..=4, _) => None,
        (5, 0) => Some((1, 4)),
        (5, 1) => Some((0, 4)),
        (5, _) => Some((0, 5)),
        _ if name.ends_with("-sol") => Some((2, 6)),
        _ => Some((0, 6)),
    }
}

/// `5.4-mini` is 5.4, `5-mini` is 5.0, `4o` is 4.0.
fn version(rest: &str) -> (u32, u32) {
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
    let number = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let mut numbers = number.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_each_generation() {
        // own, efforts, reasons by itself, calls without reasoning
        for (model, expect) in [
            ("gpt-4o", (true, None, false, false)),
            ("gpt-4.1-mini", (true, None, false, false)),
            ("o3-mini", (true, Some(("low", "high")), true, false)),
            (
                "openai/gpt-5-mini-2025-08-07",
                (true, Some(("minimal", "high")), true, false),
            ),
            ("gpt-5-chat-latest", (true, None, false, false)),
            ("gpt-5.1", (true, Some(("none", "high")), false, false)),
            (
                "gpt-5.2-codex",
                (true, Some(("none", "xhigh")), false, false),
            ),
            ("gpt-5.4", (true, Some(("none", "xhigh")), false, true)),
            ("gpt-5.5", (true, Some(("none", "xhigh")), true, true)),
            ("gpt-6", (true, Some(("none", "max")), true, true)),
            ("gpt-6.1-sol", (true, Some(("low", "max")), true, true)),
            (
                "openai/gpt-oss-120b",
                (false, Some(("low", "high")), false, false),
            ),
            ("chatgpt-4o-latest", (true, None, false, false)),
            ("llama-3.3-70b", (false, None, false, false)),
        ] {
            let gate = Gate::of_model(Dialect::Openai, model);
            let ends = gate.effort(0).zip(gate.effort(9));
            let seen = (
                gate.is_own,
                ends,
                gate.reasons,
                gate.calls_without_reasoning,
            );
            assert_eq!(seen, expect, "{model}");
        }
        assert!(Gate::of_model(Dialect::Azure, "my deployment").is_own);
        assert!(Gate::of_model(Dialect::Openai, "deepseek-ai/DeepSeek-V3.2").takes_reasoning);
    }
}
