//! What becomes of each member of a chat request, format by format: the one table. The encoders
//! ask it, and `docs/parameters.md` is made of it.

use crate::json::{self, Edits, Kind, Span};
use crate::request::RequestError;
use crate::wire::{Dialect, ParameterRules};

/// Names reported as dropped. Further ones are dropped without being named.
const DROPPED_NAMES_MAX: usize = 32;
/// Characters of such a name.
const DROPPED_NAME_CHARS_MAX: usize = 64;

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on as it is.
    Forwarded,
    /// It goes on under this name.
    Renamed(&'static str),
    /// It is said in the format's own way: here.
    Mapped(&'static str),
    /// The same where the model takes it; else it is dropped.
    Gated(&'static str),
    /// It is left out, and the answer says so.
    Dropped,
    /// The request is refused: the answer would not be what was asked for.
    Refused(&'static str),
}

use Fate::{Dropped as D, Forwarded as F, Gated as G, Mapped as M, Refused as R, Renamed as N};

/// Formats with a column of their own, in the order of [`TABLE`]'s. Vertex AI is Gemini's.
pub(super) const COLUMNS: [&str; 8] = [
    "openai",
    "azure",
    "anthropic",
    "gemini, vertex",
    "bedrock",
    "mistral",
    "perplexity",
    "ollama",
];

type Row = (&'static str, [Fate; COLUMNS.len()]);

const OLD_TOOLS: Fate = R("this provider takes tools and tool_choice only");
const NO_TOOLS: Fate = R("this provider's models call no tools");
const ONE_CHOICE: Fate = R("this provider gives one choice per request");

/// Members by name: those of OpenAI's API, and those of others that have a meaning here.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    // name                     openai azure anthropic gemini bedrock mistral perplexity ollama
    ("audio",                  [F, F, D, D, D, D, D, D]),
    ("cache_control",          [F, F, F, D, D, D, D, D]),
    ("cached_content",         [F, F, D, M("cachedContent"), D, D, D, D]),
    ("frequency_penalty",      [F, F, D, G("generationConfig.frequencyPenalty"), D, F, F, F]),
    ("function_call",          [F, F, M("tool_choice"), M("toolConfig"), M("toolConfig.toolChoice"), OLD_TOOLS, NO_TOOLS, OLD_TOOLS]),
    ("functions",              [F, F, M("tools"), M("tools"), M("toolConfig.tools"), OLD_TOOLS, NO_TOOLS, OLD_TOOLS]),
    ("guardrail_config",       [F, F, D, D, M("guardrailConfig"), D, D, D]),
    ("logit_bias",             [F, F, D, D, D, D, D, D]),
    ("logprobs",               [F, F, D, M("generationConfig.responseLogprobs"), D, F, F, F]),
    ("max_completion_tokens",  [F, F, M("max_tokens"), M("generationConfig.maxOutputTokens"), M("inferenceConfig.maxTokens"), N("max_tokens"), N("max_tokens"), N("max_tokens")]),
    ("max_tokens",             [M("max_completion_tokens for reasoning models"), M("max_completion_tokens for reasoning models"), F, M("generationConfig.maxOutputTokens"), M("inferenceConfig.maxTokens"), F, F, F]),
    ("messages",               [F, F, M("messages, system"), M("contents, systemInstruction"), M("messages, system"), M("messages"), M("messages"), M("messages")]),
    ("metadata",               [F, F, D, D, G("requestMetadata"), F, D, D]),
    ("modalities",             [F, F, D, D, D, D, D, D]),
    ("model",                  [F, M("path, or as it is without api_version"), F, M("path"), M("path"), F, F, F]),
    ("moderation",             [F, F, D, D, D, D, D, D]),
    ("n",                      [F, F, ONE_CHOICE, M("generationConfig.candidateCount"), ONE_CHOICE, F, ONE_CHOICE, ONE_CHOICE]),
    ("parallel_tool_calls",    [F, F, M("tool_choice.disable_parallel_tool_use"), D, G("additionalModelRequestFields.tool_choice"), F, D, D]),
    ("prediction",             [F, F, D, D, D, F, D, D]),
    ("presence_penalty",       [F, F, D, G("generationConfig.presencePenalty"), D, F, F, F]),
    ("prompt_cache_key",       [F, F, D, D, D, F, D, D]),
    ("prompt_cache_options",   [F, F, D, D, D, D, D, D]),
    ("prompt_cache_retention", [F, F, D, D, D, D, D, D]),
    ("reasoning_effort",       [F, F, G("thinking, output_config.effort"), G("generationConfig.thinkingConfig"), G("additionalModelRequestFields.thinking, outputConfig.effort"), F, F, F]),
    ("response_format",        [F, F, M("output_config.format, else an instruction"), M("generationConfig.responseMimeType and schema, else an instruction"), M("outputConfig.textFormat, else an instruction"), F, F, F]),
    ("safety_identifier",      [F, F, M("metadata.user_id"), D, D, D, D, D]),
    ("safety_settings",        [F, F, D, M("safetySettings"), D, D, D, D]),
    ("seed",                   [F, F, D, M("generationConfig.seed"), D, N("random_seed"), D, F]),
    ("service_tier",           [F, F, G("service_tier"), G("serviceTier"), G("serviceTier"), G("service_tier"), D, D]),
    ("stop",                   [F, F, M("stop_sequences"), G("generationConfig.stopSequences"), M("inferenceConfig.stopSequences"), F, F, F]),
    ("store",                  [F, F, D, D, D, D, D, D]),
    ("stream",                 [F, F, F, M("path"), M("path"), F, F, F]),
    ("stream_options",         [F, G("as it is, from api_version 2024-09 on"), M("usage is always sent"), M("usage is always sent"), M("usage is always sent"), M("usage is always sent"), M("usage is always sent"), M("usage is always asked for")]),
    ("temperature",            [F, F, G("temperature, at most 1"), G("generationConfig.temperature"), G("inferenceConfig.temperature, at most 1"), F, F, F]),
    ("thinking",               [F, F, F, G("generationConfig.thinkingConfig"), G("additionalModelRequestFields.thinking"), D, D, D]),
    ("tool_choice",            [F, F, G("tool_choice"), M("toolConfig.functionCallingConfig"), G("toolConfig.toolChoice"), M("tool_choice"), NO_TOOLS, D]),
    ("tools",                  [F, F, M("tools"), M("tools"), M("toolConfig.tools"), M("tools"), NO_TOOLS, M("tools")]),
    ("top_k",                  [F, F, G("top_k"), G("generationConfig.topK"), G("additionalModelRequestFields"), F, F, D]),
    ("top_logprobs",           [F, F, D, M("generationConfig.logprobs"), D, D, F, F]),
    ("top_p",                  [F, F, G("top_p"), G("generationConfig.topP"), G("inferenceConfig.topP"), F, F, F]),
    ("user",                   [F, F, M("metadata.user_id"), D, D, D, D, D]),
    ("verbosity",              [F, F, D, D, D, D, D, D]),
    ("web_search_options",     [F, F, D, D, D, D, F, D]),
];

/// Members that [`TABLE`] does not have: they pass where unknown ones do no harm.
pub(super) const UNKNOWN: [Fate; COLUMNS.len()] = [F, F, D, D, D, D, F, F];

fn column(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Openai => 0,
        Dialect::Azure => 1,
        Dialect::Anthropic => 2,
        Dialect::Gemini | Dialect::Vertex => 3,
        Dialect::Bedrock => 4,
        Dialect::Mistral => 5,
        Dialect::Perplexity => 6,
        Dialect::Ollama => 7,
    }
}

/// What becomes of the member called `name`.
pub(super) fn fate(dialect: Dialect, name: &str) -> Fate {
    // Mistral's own members, which no other format here knows.
    if dialect == Dialect::Mistral && matches!(name, "prompt_mode" | "random_seed" | "safe_prompt")
    {
        return F;
    }
    let fates = match TABLE.binary_search_by_key(&name, |row| row.0) {
        Ok(row) => TABLE.get(row).map_or(&UNKNOWN, |row| &row.1),
        Err(_) => &UNKNOWN,
    };
    fates.get(column(dialect)).copied().unwrap_or(D)
}

/// Names of what was left out, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DroppedNames(Vec<String>);

impl DroppedNames {
    /// Remembers a name in letters that a header can carry.
    pub(crate) fn add(&mut self, name: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']');
        let name: String = name
            .chars()
            .take(DROPPED_NAME_CHARS_MAX)
            .map(|c| if plain(c) { c } else { '?' })
            .collect();
        if !self.0.contains(&name) && self.0.len() < DROPPED_NAMES_MAX {
            self.0.push(name);
        }
    }

    pub(crate) fn into_names(self) -> Vec<String> {
        self.0
    }
}

/// Goes through a request's members before it is translated: those that the table drops.
///
/// # Errors
/// A member that the table refuses and that says something.
pub(super) fn check(
    dialect: Dialect,
    body: &[u8],
    root: Span,
) -> Result<DroppedNames, RequestError> {
    let mut dropped = DroppedNames::default();
    for member in json::members(body, root) {
        if json::kind(body, member.value) == Some(Kind::Null) {
            continue;
        }
        let Some(name) = json::unescaped(member.key.of(body)) else {
            continue;
        };
        match fate(dialect, &name) {
            Fate::Dropped => dropped.add(&name),
            Fate::Refused(why) if says_something(body, &name, member.value) => {
                return Err(RequestError::invalid(name, why));
            }
            _ => {}
        }
    }
    Ok(dropped)
}

/// Applies an operator's rules as changes to the body.
///
/// # Errors
/// A member that a rule refuses and that says something.
pub(super) fn apply(
    rules: &ParameterRules,
    body: &[u8],
    root: Span,
    edits: &mut Edits,
    dropped: &mut DroppedNames,
) -> Result<(), RequestError> {
    for member in json::members(body, root) {
        let Some(name) = json::unescaped(member.key.of(body)) else {
            continue;
        };
        let listed = |names: &[String]| names.iter().any(|listed| *listed == *name);
        if listed(&rules.refuse) && says_something(body, &name, member.value) {
            return Err(RequestError::invalid(
                name,
                "this provider does not take it",
            ));
        }
        let new_name = rules.rename.iter().find(|(from, _)| *from == *name);
        if listed(&rules.drop) || listed(&rules.refuse) {
            if json::kind(body, member.value) != Some(Kind::Null) {
                dropped.add(&name);
            }
            edits.remove_member(body, root, &name);
        } else if let Some((_, to)) = new_name {
            if json::member(body, root, to).is_some() {
                edits.remove_member(body, root, &name);
            } else {
                edits.replace(member.key, to.as_bytes());
            }
        }
    }
    Ok(())
}

/// Whether leaving the member out would change anything.
fn says_something(body: &[u8], name: &str, value: Span) -> bool {
    match json::kind(body, value) {
        None | Some(Kind::Null | Kind::False) => false,
        Some(Kind::Array) => json::elements(body, value).next().is_some(),
        Some(Kind::String) => !matches!(value.of(body), b"\"none\"" | b"\"auto\""),
        Some(Kind::Number) => name != "n" || json::number_u64(body, value) != Some(1),
        Some(_) => true,
    }
}
