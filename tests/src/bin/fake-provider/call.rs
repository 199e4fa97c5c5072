//! What is asked for, by method and path, and how it is answered.

mod audio;
mod batches;
mod completions;
mod count;
mod embeddings;
mod files;
mod images;
mod moderations;
mod multipart;
mod responses;

use bytes::Bytes;
use e2e::behaviour::{Behaviour, Recorded};
use serde_json::{Value, json};

use crate::chat::{Answer, Dialect};
use crate::openai::Events;
use crate::state::Shelf;
use crate::{azure, words};

/// A call of a provider's interface.
pub(crate) struct Call<'a> {
    pub(crate) dialect: Dialect,
    api: Api<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api<'a> {
    Batches(batches::Call<'a>),
    Chat,
    Completions,
    Count,
    Embeddings(embeddings::Words<'a>),
    Files(files::Call<'a>),
    Images,
    Moderations,
    Responses(responses::Call<'a>),
    Speech,
    Transcription,
}

/// A request as it came.
pub(crate) struct Request<'a> {
    pub(crate) recorded: &'a Recorded,
    pub(crate) bytes: &'a Bytes,
    pub(crate) json: Value,
}

/// What the real API complains about.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl From<&str> for Complaint {
    fn from(message: &str) -> Complaint {
        message.to_owned().into()
    }
}

impl From<String> for Complaint {
    fn from(message: String) -> Complaint {
        Complaint {
            status: 400,
            message,
        }
    }
}

/// A request that was understood.
pub(crate) struct Asked {
    pub(crate) model: Option<String>,
    /// Text in which a behaviour may be asked for.
    pub(crate) text: String,
    pub(crate) reply: Answering,
}

type Answering = Box<dyn FnOnce(&Behaviour, &Shelf) -> Result<Reply, Complaint> + Send>;

impl Asked {
    fn new(
        model: Option<&str>,
        text: String,
        reply: impl FnOnce(&Behaviour, &Shelf) -> Result<Reply, Complaint> + Send + 'static,
    ) -> Asked {
        Asked {
            model: model.map(str::to_owned),
            text,
            reply: Box::new(reply),
        }
    }
}

/// A good answer.
pub(crate) struct Reply {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Json(Value),
    Pieces(Pieces),
}

/// A body that is sent piece by piece.
pub(crate) struct Pieces {
    pub(crate) events: Events,
    /// Content type.
    pub(crate) kind: &'static str,
    /// A piece as it goes out.
    pub(crate) encode: fn(&str) -> Vec<u8>,
    /// The event that ends a stream with an error.
    pub(crate) error: String,
}

impl From<Value> for Reply {
    fn from(value: Value) -> Reply {
        Reply {
            headers: Vec::new(),
            content: Content::Json(value),
        }
    }
}

impl From<Pieces> for Reply {
    fn from(pieces: Pieces) -> Reply {
        Reply {
            headers: Vec::new(),
            content: Content::Pieces(pieces),
        }
    }
}

impl<'a> Call<'a> {
    /// The call that is made at a path (without its query).
    pub(crate) fn of(method: &str, path: &'a str) -> Option<Call<'a>> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let stored = files::call(method, &segments)
            .map(Api::Files)
            .or_else(|| batches::call(method, &segments).map(Api::Batches))
            .or_else(|| responses::call(method, &segments).map(Api::Responses));
        let dialect = Dialect::of_path(path);
        if let Some(api) = stored {
            return Some(Call { dialect, api });
        }
        let api = match (method, segments.as_slice()) {
            ("POST", [.., "chat", "completions"] | [.., "messages"]) => Api::Chat,
            ("POST", [.., "converse" | "converse-stream"]) => Api::Chat,
            ("POST", [.., "completions"]) => Api::Completions,
            ("POST", [.., "messages", "count_tokens"]) => Api::Count,
            ("POST", [.., "moderations"]) => Api::Moderations,
            ("POST", [.., "audio", "speech"]) => Api::Speech,
            ("POST", [.., "audio", "transcriptions" | "translations"]) => Api::Transcription,
            ("POST", [.., "images", "generations" | "edits" | "variations"]) => Api::Images,
            ("POST", [.., last]) => match embeddings::words(&segments) {
                Some(words) => Api::Embeddings(words),
                None if last.ends_with(":generateContent") => Api::Chat,
                None if last.ends_with(":streamGenerateContent") => Api::Chat,
                None => return None,
            },
            _ => return None,
        };
        Some(Call { dialect, api })
    }

    /// Reads the request of this call.
    pub(crate) fn read(&self, request: &Request<'_>) -> Result<Asked, Complaint> {
        if self.api == Api::Chat {
            return self.chat(request);
        }
        let deployment = match self.dialect {
            Dialect::Azure => azure::admit(request.recorded)?,
            _ => None,
        };
        let asked = match self.api {
            Api::Chat => self.chat(request),
            Api::Batches(call) => batches::read(call, request),
            Api::Completions => completions::read(request),
            Api::Count => count::read(request),
            Api::Embeddings(words) => embeddings::read(words, request),
            Api::Files(call) => files::read(call, request),
            Api::Images => images::read(request),
            Api::Moderations => moderations::read(request),
            Api::Responses(call) => responses::read(call, request),
            Api::Speech => audio::speech(request),
            Api::Transcription => audio::transcription(request),
        }?;
        Ok(Asked {
            model: deployment.or(asked.model),
            ..asked
        })
    }

    fn chat(&self, request: &Request<'_>) -> Result<Asked, Complaint> {
        let dialect = self.dialect;
        let question =
            words::question(dialect, request.recorded, &request.json).map_err(|message| {
                Complaint {
                    status: words::complaint_status(dialect),
                    message,
                }
            })?;
        let (model, text) = (question.model.clone(), question.last_text.clone());
        Ok(Asked::new(Some(&model), text, move |behaviour, _| {
            let answer = Answer::of(&question, behaviour);
            if !question.stream {
                return Ok(words::answer(dialect, &answer, behaviour).into());
            }
            let pieces = Pieces {
                events: words::events(dialect, &answer, &question, behaviour),
                kind: words::stream_type(dialect),
                encode: words::encoding(dialect),
                error: words::error_event(dialect),
            };
            Ok(pieces.into())
        }))
    }
}

const CREATED: u64 = 1_763_700_000;

fn as_text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// Refuses a request without one of these members.
fn require(body: &Value, names: &[&str]) -> Result<(), Complaint> {
    match names.iter().find(|name| body[**name].is_null()) {
        Some(name) => Err(format!("Missing required parameter: '{name}'.").into()),
        None => Ok(()),
    }
}

/// Refuses a request with a member that is not among these.
fn permit(body: &Value, names: &[&str]) -> Result<(), Complaint> {
    let mut members = body.as_object().into_iter().flatten();
    match members.find(|(name, _)| !names.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("Unrecognized request argument supplied: {name}").into()),
        None => Ok(()),
    }
}

fn with_extra(mut value: Value, behaviour: &Behaviour) -> Value {
    if let (Some(members), Some(extra)) = (value.as_object_mut(), &behaviour.extra) {
        members.extend(extra.clone());
    }
    value
}

/// A list as OpenAI shows it, `data` already in order.
fn list(data: Vec<Value>) -> Value {
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    json!({
        "object": "list", "first_id": id(data.first()), "last_id": id(data.last()),
        "has_more": false, "data": data,
    })
}

fn not_found(what: &str, id: &str) -> Complaint {
    Complaint {
        status: 404,
        message: format!("No such {what} object: {id}"),
    }
}
