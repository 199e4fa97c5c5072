//! Bodies of key calls: every member is checked and named when it is wrong.

use std::collections::BTreeMap;

use engine::guard::Guardrails;
use engine::guard::rules::RuleError;
use engine::limits;
use engine::period::{self, Period};
use engine::price;
use engine::reply::Code;
use engine::route::RouteConfig;
use engine::usage::NanoUsd;
use engine::wire::PiiAction;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::keys::VirtualKey;
use super::Refusal;
use crate::config::{KEY_RATES_MAX, Membership, PER, PER_S_MAX, RATE_MAX, RateConfig, closest};

/// A name, an environment label or a tenant, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// A provider's key, in bytes.
const REAL_KEY_BYTES_MAX: usize = 4_096;
/// Models of one key.
const MODELS_MAX: usize = 1_000;
/// Teams of one key.
const TEAMS_MAX: usize = 100;
/// `metadata` of one key, in bytes of JSON.
const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Places that an exponent may move the point by.
const EXPONENT_MAX: u32 = 30;
/// Requests per minute of one key, or at the same time.
const RATE_LIMIT_MAX: u64 = 1_000_000_000;

/// The members that have not been read yet, as they were written: money must not pass through a
/// float.
pub(super) struct Members(BTreeMap<String, Box<RawValue>>);

/// What a body gives besides the key's own members.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// The provider's key: to be set, to be removed, or not mentioned.
    pub(super) real_api_key: Option<Option<String>>,
}

/// An entry of `rate_limits`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    requests: Option<u64>,
    tokens: Option<u64>,
    concurrent: Option<u64>,
    per: Option<Per>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Per {
    Word(String),
    Seconds(u64),
}

impl Rate {
    fn checked(self) -> Result<RateConfig, String> {
        let limits = [self.requests, self.tokens, self.concurrent];
        if limits == [None; 3] {
            return Err("needs requests, tokens or concurrent".to_owned());
        }
        let fits = |limit: &u64| (1..=RATE_MAX).contains(limit);
        if !limits.iter().flatten().all(fits) {
            return Err(format!("must be whole numbers from 1 to {RATE_MAX}"));
        }
        let seconds = match self.per {
            None => Some(RateConfig::default().per_s),
            Some(Per::Seconds(seconds)) => {
                Some(seconds).filter(|seconds| (1..=PER_S_MAX).contains(seconds))
            }
            Some(Per::Word(word)) => {
                let known = PER.iter().find(|(name, _)| *name == word);
                known.map(|(_, seconds)| *seconds)
            }
        };
        let wanted = || format!("per must be second, minute, hour, day or 1 to {PER_S_MAX}");
        Ok(RateConfig {
            requests: self.requests,
            tokens: self.tokens,
            concurrent: self.concurrent,
            per_s: seconds.ok_or_else(wanted)?,
        })
    }
}

/// A refusal that names the rule at fault, and what may have been meant.
pub(super) fn wrong_rule(of: &str, error: &RuleError) -> Refusal {
    let member = match error.member.as_str() {
        "" => of.to_owned(),
        member => format!("{of}.{member}"),
    };
    let known: Vec<&str> = error.known.iter().map(String::as_str).collect();
    let hint = closest(&error.given, &known);
    Refusal::member(&member, format!("{}{hint}", error.message))
}

impl Members {
    pub(super) fn parse(body: &[u8]) -> Result<Members, Refusal> {
        serde_json::from_slice(body)
            .map(Members)
            .map_err(|error| Refusal {
                code: Code::InvalidJson,
                message: format!("The request body is not a JSON object: {error}"),
                param: None,
            })
    }

    /// Applies every member to `key`.
    pub(super) fn apply(mut self, key: &mut VirtualKey, now_ms: u64) -> Result<Extra, Refusal> {
        if let Some(name) = self.text("name", NAME_BYTES_MAX)? {
            let empty = || Refusal::member("name", "must not be empty");
            key.name = name
                .filter(|name| !name.trim().is_empty())
                .ok_or_else(empty)?;
        }
        if let Some(provider) = self.text("provider", NAME_BYTES_MAX)? {
            key.provider = provider;
        }
        let real_api_key = self.text("real_api_key", REAL_KEY_BYTES_MAX)?;
        if let Some(Some(real)) = &real_api_key {
            header_safe("real_api_key", real)?;
        }
        if let Some(limit) = self.number("rate_limit", 1, RATE_LIMIT_MAX)? {
            key.rate_limit = limit;
        }
        if let Some(limits) = self.rate_limits()? {
            key.limits.rate_limits = limits;
        }
        if let Some(most) = self.number("max_concurrent", 1, RATE_LIMIT_MAX)? {
            key.limits.max_concurrent = most;
        }
        if let Some(limit) = self.money("budget_limit_usd")? {
            key.budget_limit_nano = limit;
        }
        if let Some(name) = self.text("budget_period", NAME_BYTES_MAX)? {
            key.period = match name {
                None => Period::default(),
                Some(name) => Period::from_name(&name).ok_or_else(|| {
                    let known = "daily, weekly, monthly, quarterly, yearly or total";
                    Refusal::member("budget_period", format!("must be {known}"))
                })?,
            };
        }
        self.lifetime(key, now_ms)?;
        if let Some(models) = self.take::<Vec<String>>("models", "a list of strings")? {
            key.models = models.unwrap_or_default();
            if key.models.len() > MODELS_MAX {
                return Err(Refusal::member("models", format!("at most {MODELS_MAX}")));
            }
        }
        if let Some(guardrails) = self.guardrails()? {
            key.guardrails = guardrails;
        }
        if let Some(config) = self.config()? {
            key.config = config;
        }
        if let Some(metadata) = self.metadata()? {
            key.metadata = metadata;
        }
        if let Some(environment) = self.text("environment", NAME_BYTES_MAX)? {
            key.environment = environment;
        }
        self.membership(&mut key.membership)?;
        if let Some(active) = self.take::<bool>("is_active", "true or false")? {
            key.is_active = active.unwrap_or(true);
        }
        self.finish()?;
        Ok(Extra { real_api_key })
    }

    /// The body of a rotation: the provider's new key.
    pub(super) fn new_api_key(mut self) -> Result<String, Refusal> {
        let name = if self.0.contains_key("real_api_key") {
            "real_api_key"
        } else {
            "new_api_key"
        };
        let key = self
            .text(name, REAL_KEY_BYTES_MAX)?
            .flatten()
            .filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| Refusal::member(name, "is required"))?;
        header_safe(name, &key)?;
        self.finish()?;
        Ok(key)
    }

    /// `[{"requests": 100, "tokens": 100000, "concurrent": 5, "per": "hour"}]`
    fn rate_limits(&mut self) -> Result<Option<Vec<RateConfig>>, Refusal> {
        const WANTED: &str =
            "a list of {requests, tokens, concurrent, per: second, minute, hour, day or seconds}";
        let Some(given) = self.take::<Vec<Rate>>("rate_limits", WANTED)? else {
            return Ok(None);
        };
        let given = given.unwrap_or_default();
        if given.len() > KEY_RATES_MAX {
            let most = format!("at most {KEY_RATES_MAX}");
            return Err(Refusal::member("rate_limits", most));
        }
        let rates = given.into_iter().enumerate().map(|(at, rate)| {
            rate.checked()
                .map_err(|what| Refusal::member(&format!("rate_limits[{at}]"), what))
        });
        rates.collect::<Result<_, _>>().map(Some)
    }

    fn lifetime(&mut self, key: &mut VirtualKey, now_ms: u64) -> Result<(), Refusal> {
        let at = self.text("expires_at", NAME_BYTES_MAX)?;
        let seconds = self.number("expires_in_s", 1, u64::from(u32::MAX))?;
        match (at, seconds) {
            (Some(_), Some(_)) => Err(Refusal::member(
                "expires_in_s",
                "give this or expires_at, not both",
            )),
            (Some(None), None) | (None, Some(None)) => {
                key.expires_at_ms = None;
                Ok(())
            }
            (Some(Some(at)), None) => {
                let odd = || {
                    Refusal::member(
                        "expires_at",
                        "must be an instant such as 2030-01-31T00:00:00Z",
                    )
                };
                key.expires_at_ms = Some(period::parse(&at).ok_or_else(odd)?);
                Ok(())
            }
            (None, Some(Some(seconds))) => {
                key.expires_at_ms = Some(now_ms.saturating_add(seconds.saturating_mul(1_000)));
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    fn membership(&mut self, membership: &mut Membership) -> Result<(), Refusal> {
        if let Some(tenant) = self.text("tenant", NAME_BYTES_MAX)? {
            membership.tenant = tenant.unwrap_or_default();
        }
        if let Some(user) = self.text("user", NAME_BYTES_MAX)? {
            membership.user = user;
        }
        if let Some(tier) = self.text("tier", NAME_BYTES_MAX)? {
            membership.tier = tier;
        }
        if let Some(teams) = self.take::<Vec<String>>("teams", "a list of strings")? {
            membership.teams = teams.unwrap_or_default();
            if membership.teams.len() > TEAMS_MAX {
                return Err(Refusal::member("teams", format!("at most {TEAMS_MAX}")));
            }
        }
        let tags = self.take::<BTreeMap<String, String>>("tags", "an object of strings")?;
        if let Some(tags) = tags {
            let tags = tags.unwrap_or_default();
            if tags.len() > limits::TAGS_MAX {
                let most = limits::TAGS_MAX;
                return Err(Refusal::member("tags", format!("at most {most}")));
            }
            let pairs = tags.iter().map(|(name, value)| format!("{name}={value}"));
            membership.tags = pairs.collect();
        }
        Ok(())
    }

    /// `pii_input: redact`, or `guardrails` as a route configuration has them.
    fn guardrails(&mut self) -> Result<Option<Guardrails>, Refusal> {
        let plain = self.text("pii_input", NAME_BYTES_MAX)?;
        let rules = self.take::<Value>("guardrails", "an object")?;
        let Some(rules) = rules else {
            return match plain {
                None => Ok(None),
                Some(None) => Ok(Some(Guardrails::default())),
                Some(Some(name)) => match PiiAction::of_name(&name) {
                    Some(action) => Ok(Some(Guardrails::input(action))),
                    None => {
                        let known = PiiAction::ALL.map(PiiAction::name).join(", ");
                        Err(Refusal::member(
                            "pii_input",
                            format!("must be one of {known}"),
                        ))
                    }
                },
            };
        };
        if plain.is_some() {
            return Err(Refusal::member(
                "pii_input",
                "give this or guardrails, not both",
            ));
        }
        let Some(rules) = rules else {
            return Ok(Some(Guardrails::default()));
        };
        let rules = Guardrails::parse(&rules).map_err(|error| wrong_rule("guardrails", &error))?;
        Ok(Some(rules))
    }

    /// A route configuration, as an object or as its text.
    fn config(&mut self) -> Result<Option<Option<String>>, Refusal> {
        let Some(given) = self.take::<Value>("config", "an object or its JSON text")? else {
            return Ok(None);
        };
        let text = match given {
            None => return Ok(Some(None)),
            Some(Value::String(text)) => text,
            Some(value) => value.to_string(),
        };
        if text.len() > limits::CONFIG_HEADER_BYTES_MAX {
            let most = limits::CONFIG_HEADER_BYTES_MAX;
            return Err(Refusal::member("config", format!("at most {most} bytes")));
        }
        match RouteConfig::parse(&text) {
            Ok(_) => Ok(Some(Some(text))),
            Err(error) => {
                let dot = if error.member.is_empty() { "" } else { "." };
                Err(Refusal::member(
                    &format!("config{dot}{}", error.member),
                    error.message,
                ))
            }
        }
    }

    fn metadata(&mut self) -> Result<Option<Option<String>>, Refusal> {
        let given = self.take::<serde_json::Map<String, Value>>("metadata", "an object")?;
        let Some(given) = given else { return Ok(None) };
        let text = given.map(|map| Value::Object(map).to_string());
        match &text {
            Some(text) if text.len() > METADATA_BYTES_MAX => Err(Refusal::member(
                "metadata",
                format!("at most {METADATA_BYTES_MAX} bytes"),
            )),
            _ => Ok(Some(text)),
        }
    }

    /// Dollars, as a number or a string: the digits are read, never a float.
    fn money(&mut self, name: &str) -> Result<Option<Option<NanoUsd>>, Refusal> {
        let Some(raw) = self.0.remove(name) else {
            return Ok(None);
        };
        let text = match serde_json::from_str::<Value>(raw.get()) {
            Ok(Value::Null) => return Ok(Some(None)),
            Ok(Value::String(text)) => text,
            _ => raw.get().to_owned(),
        };
        match plain(text.trim()).and_then(|text| price::nano(&text)) {
            Some(nano) => Ok(Some(Some(nano))),
            None => Err(Refusal::member(
                name,
                "must be dollars such as 500 or \"0.25\": not negative, at most nine decimal places",
            )),
        }
    }

    fn number(&mut self, name: &str, min: u64, max: u64) -> Result<Option<Option<u64>>, Refusal> {
        let wanted = format!("a whole number from {min} to {max}");
        let given = self.take::<u64>(name, &wanted)?;
        if given
            .flatten()
            .is_some_and(|number| number < min || number > max)
        {
            return Err(Refusal::member(name, format!("must be {wanted}")));
        }
        Ok(given)
    }

    fn text(&mut self, name: &str, bytes_max: usize) -> Result<Option<Option<String>>, Refusal> {
        let given = self.take::<String>(name, "a string")?;
        if given
            .as_ref()
            .and_then(Option::as_ref)
            .is_some_and(|text| text.len() > bytes_max)
        {
            return Err(Refusal::member(name, format!("at most {bytes_max} bytes")));
        }
        Ok(given)
    }

    /// A member: absent, null, or of the type wanted.
    fn take<T: DeserializeOwned>(
        &mut self,
        name: &str,
        wanted: &str,
    ) -> Result<Option<Option<T>>, Refusal> {
        let Some(raw) = self.0.remove(name) else {
            return Ok(None);
        };
        match serde_json::from_str::<Option<T>>(raw.get()) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Refusal::member(name, format!("must be {wanted}"))),
        }
    }

    fn finish(self) -> Result<(), Refusal> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Refusal::member(&name, "is not a member that is known here")),
        }
    }
}

/// A decimal without its exponent: writers of JSON make `1e-06` of a millionth.
fn plain(text: &str) -> Option<String> {
    let Some((digits, exponent)) = text.split_once(['e', 'E']) else {
        return Some(text.to_owned());
    };
    let shift: i32 = exponent.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if shift.unsigned_abs() > EXPONENT_MAX || whole.is_empty() {
        return None;
    }
    let zeros = "0".repeat(usize::try_from(shift.unsigned_abs()).ok()?);
    let (whole, fraction) = if shift < 0 {
        let padded = format!("{zeros}{whole}");
        let point = padded.len().checked_sub(zeros.len())?;
        let (whole, moved) = padded.split_at_checked(point)?;
        (whole.to_owned(), format!("{moved}{fraction}"))
    } else {
        let padded = format!("{fraction}{zeros}");
        let (moved, fraction) = padded.split_at_checked(zeros.len())?;
        (format!("{whole}{moved}"), fraction.to_owned())
    };
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { &whole };
    Some(if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    })
}

/// The key becomes a header value.
fn header_safe(name: &str, text: &str) -> Result<(), Refusal> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(Refusal::member(
            name,
            "must be visible ASCII without spaces",
        ))
    }
}
