//! Secrets that vaults keep: asked for at the start, and again when their time is over.
//!
//! Every access is told to the caller as an [`Access`], for the audit log; values are in none.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config::{Config, Purpose, VaultConfig, VaultReference};
use crate::http;

mod aws;
mod azure;
mod client;
mod hashicorp;
mod signature;

#[cfg(test)]
mod tests;

use client::Client;

/// How long a start waits for all secrets together.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// Accesses at the same time.
const ACCESSES_MAX: usize = 8;
/// A longer secret would fit no header.
const SECRET_BYTES_MAX: usize = 16 * 1024;
/// The member of a secret with several that is meant when nobody names one.
const USUAL_FIELD: &str = "value";

/// Why a secret could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The vault does not let us in, or not at this secret: HTTP status.
    Authentication(u16),
    /// There is no such secret or version.
    Missing,
    /// Any other HTTP status.
    Status(u16),
    /// No answer.
    Unreachable(String),
    /// The answer, or what the vault keeps, is not a secret that can be used.
    Unusable(String),
}

/// One access to a vault.
#[derive(Clone, Debug)]
pub struct Access {
    /// Name of the vault.
    pub vault: String,
    /// Its kind.
    pub provider: &'static str,
    /// Name of the secret.
    pub secret: String,
    /// Version asked for; the latest when `None`.
    pub version: Option<String>,
    /// Members of `weir.yaml` that it is for.
    pub members: Vec<String>,
    /// How it ended.
    pub result: Result<(), Cause>,
}

/// What was asked of vaults.
#[derive(Default)]
pub struct Reading {
    /// One an access, in the order of names.
    pub accesses: Vec<Access>,
    values: BTreeMap<VaultReference, String>,
    /// Problems that are one member's, worded for the operator.
    pub problems: Vec<String>,
}

/// What a vault keeps under one name.
enum Content {
    Text(String),
    Members(Map<String, Value>),
}

/// Secret and version in a vault.
type Place = (String, String, Option<String>);

/// The vaults that something refers to.
pub struct Vaults {
    clients: BTreeMap<String, Arc<Client>>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Authentication(status) => {
                write!(f, "Key vault authentication failed (HTTP {status})")
            }
            Cause::Missing => f.write_str("the vault has no such secret"),
            Cause::Status(status) => write!(f, "the vault answered with HTTP {status}"),
            Cause::Unreachable(why) => write!(f, "the vault does not answer: {why}"),
            Cause::Unusable(why) => f.write_str(why),
        }
    }
}

impl From<http::Failure> for Cause {
    fn from(failure: http::Failure) -> Cause {
        match failure {
            http::Failure::Unmade(why) => Cause::Unusable(why),
            http::Failure::Unreachable(why) => Cause::Unreachable(why),
        }
    }
}

impl Cause {
    /// The cause in a word, for labels of metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Cause::Authentication(_) => "denied",
            Cause::Missing => "missing",
            Cause::Status(_) | Cause::Unreachable(_) => "unavailable",
            Cause::Unusable(_) => "unusable",
        }
    }
}

impl Access {
    /// `ok`, or the cause in a word.
    pub fn result(&self) -> &'static str {
        self.result.as_ref().map_or_else(Cause::name, |()| "ok")
    }

    /// Members of its line in a log.
    pub fn fields(&self) -> Value {
        let mut fields = json!({
            "vault": self.vault,
            "provider": self.provider,
            "secret": self.secret,
            "version": self.version.as_deref().unwrap_or("latest"),
            "members": self.members,
            "result": self.result(),
        });
        if let (Err(cause), Some(fields)) = (&self.result, fields.as_object_mut()) {
            fields.insert("cause".to_owned(), cause.to_string().into());
        }
        fields
    }

    fn problem(&self, cause: &Cause) -> String {
        let (vault, secret) = (&self.vault, &self.secret);
        format!(
            "{}: vault `{vault}` ({}), secret `{secret}`: {cause}",
            self.members.join(", "),
            self.provider
        )
    }
}

impl Reading {
    /// The value of a secret that was read.
    pub fn value(&self, reference: &VaultReference) -> Option<String> {
        self.values.get(reference).cloned()
    }

    /// Whether every secret that was asked for was read.
    pub fn complete(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, access: Access, content: Option<Content>, wanted: &[&VaultReference]) {
        if let Err(cause) = &access.result {
            self.problems.push(access.problem(cause));
        }
        for reference in wanted {
            match content
                .as_ref()
                .map(|content| content.pick(reference.field.as_deref()))
            {
                None => {}
                Some(Ok(text)) => {
                    self.values.insert((*reference).clone(), text);
                }
                Some(Err(why)) => {
                    let of_member = Access {
                        members: vec![reference.member.clone()],
                        ..access.clone()
                    };
                    self.problems.push(of_member.problem(&Cause::Unusable(why)));
                }
            }
        }
        self.accesses.push(access);
    }
}

impl Content {
    /// The text of one member, or of the whole when it has no members.
    fn pick(&self, field: Option<&str>) -> Result<String, String> {
        let parsed;
        let members = match self {
            Content::Members(members) => Some(members),
            Content::Text(text) => {
                parsed = serde_json::from_str::<Map<String, Value>>(text).ok();
                parsed.as_ref()
            }
        };
        let found = match (members, field, self) {
            (Some(members), Some(field), _) => members.get(field).and_then(Value::as_str),
            (Some(members), None, _) if members.len() == 1 => {
                members.values().next().and_then(Value::as_str)
            }
            (Some(members), None, _) => members.get(USUAL_FIELD).and_then(Value::as_str),
            (None, None, Content::Text(text)) => Some(text.as_str()),
            (None, ..) => return Err("the secret has no members; leave out `field`".to_owned()),
        };
        match (found, field) {
            (Some(text), _) => usable(text),
            (None, Some(field)) => Err(format!("the secret has no text named `{field}`")),
            (None, None) => Err("the secret has several members; name one in `field`".to_owned()),
        }
    }
}

/// A value that can be sent in a header, without white space at both ends.
fn usable(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the secret is empty".to_owned());
    }
    if text.len() > SECRET_BYTES_MAX || text.chars().any(char::is_control) {
        return Err("the secret is too long or has line breaks: it fits no header".to_owned());
    }
    Ok(text.to_owned())
}

impl Vaults {
    /// Clients of those of `vaults` that `references` name. `authorities` is the file of
    /// certificates for vaults that have none of their own.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub fn new(
        vaults: &[VaultConfig],
        references: &[VaultReference],
        authorities: &Path,
    ) -> Result<Vaults, String> {
        let used = |vault: &&VaultConfig| references.iter().any(|used| used.vault == vault.name);
        let clients = vaults.iter().filter(used).map(|vault| {
            let client = Client::new(vault.clone(), authorities)
                .map_err(|why| format!("vault `{}`: {why}", vault.name))?;
            Ok::<_, String>((vault.name.clone(), Arc::new(client)))
        });
        let clients = clients.collect::<Result<_, String>>()?;
        Ok(Vaults { clients })
    }

    /// Asks for all of `references`, at most [`ACCESSES_MAX`] at a time, each secret once.
    pub async fn read(&self, references: &[VaultReference]) -> Reading {
        let mut wanted: BTreeMap<Place, Vec<&VaultReference>> = BTreeMap::new();
        for reference in references {
            let place = (
                reference.vault.clone(),
                reference.secret.clone(),
                reference.version.clone(),
            );
            wanted.entry(place).or_default().push(reference);
        }
        let mut answers = self.ask(wanted.keys().cloned().collect()).await;
        let mut reading = Reading::default();
        for (place, references) in wanted {
            let answer = answers.remove(&place).unwrap_or_else(|| {
                let why = format!("not within {} s", START_TIME_MAX.as_secs());
                Err(Cause::Unreachable(why))
            });
            let (vault, secret, version) = place;
            let provider = self.clients.get(&vault).map(|client| client.provider());
            let (content, result) = match answer {
                Ok(content) => (Some(content), Ok(())),
                Err(cause) => (None, Err(cause)),
            };
            let access = Access {
                vault,
                provider: provider.unwrap_or_default(),
                secret,
                version,
                members: references.iter().map(|used| used.member.clone()).collect(),
                result,
            };
            reading.add(access, content, &references);
        }
        reading
    }

    /// The answers that come within [`START_TIME_MAX`].
    async fn ask(&self, places: Vec<Place>) -> BTreeMap<Place, Result<Content, Cause>> {
        let at_a_time = Arc::new(Semaphore::new(ACCESSES_MAX));
        let mut asked = JoinSet::new();
        for place in places {
            let Some(client) = self.clients.get(&place.0).cloned() else {
                continue;
            };
            let at_a_time = Arc::clone(&at_a_time);
            asked.spawn(async move {
                // It is never closed.
                let _turn = at_a_time.acquire().await;
                let content = client.read(&place.1, place.2.as_deref()).await;
                (place, content)
            });
        }
        let mut answers = BTreeMap::new();
        let all = async {
            while let Some(answer) = asked.join_next().await {
                answers.extend(answer.ok());
            }
        };
        // What did not answer in time is missing from the answers.
        let _in_time = tokio::time::timeout(START_TIME_MAX, all).await;
        answers
    }
}

/// Puts into `config` what vaults keep for `purposes`. Every access is told to `heard`. Returns the
/// clients, for the next time.
///
/// # Errors
/// Each secret that could not be had, one a line: member, vault, secret, cause.
pub async fn fill(
    config: &mut Config,
    purposes: &[Purpose],
    authorities: &Path,
    heard: &mut dyn FnMut(&Access),
) -> Result<Vaults, String> {
    let references = config.references(purposes);
    let vaults = Vaults::new(&config.vaults, &references, authorities)?;
    let reading = vaults.read(&references).await;
    reading.accesses.iter().for_each(heard);
    if !reading.complete() {
        return Err(reading.problems.join("\n"));
    }
    config.fill(&|reference| reading.value(reference));
    config.check_filled()?;
    Ok(vaults)
}
