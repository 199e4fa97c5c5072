//! OpenAI's files.

use serde_json::{Value, json};

use super::multipart::Form;
use super::{Asked, CREATED, Complaint, Content, Pieces, Reply, Request, list, not_found};
use crate::openai::Events;
use crate::state::Item;

/// What is done with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call<'a> {
    Create,
    List,
    Show(&'a str),
    Content(&'a str),
    Delete(&'a str),
}

pub(super) fn call<'a>(method: &str, segments: &[&'a str]) -> Option<Call<'a>> {
    Some(match (method, segments) {
        ("POST", [.., "files"]) => Call::Create,
        ("GET", [.., "files"]) => Call::List,
        ("GET", [.., "files", id]) => Call::Show(id),
        ("GET", [.., "files", id, "content"]) => Call::Content(id),
        ("DELETE", [.., "files", id]) => Call::Delete(id),
        _ => return None,
    })
}

const PREFIX: &str = "file-";

/// Reads a request; the error is what the real API complains about.
pub(super) fn read(call: Call<'_>, request: &Request<'_>) -> Result<Asked, Complaint> {
    let id = match call {
        Call::Create => return create(request),
        Call::List => {
            return Ok(Asked::new(None, String::new(), |_, shelf| {
                Ok(list(shelf.list(PREFIX)).into())
            }));
        }
        Call::Show(id) | Call::Content(id) | Call::Delete(id) => id.to_owned(),
    };
    let show = matches!(call, Call::Show(_));
    let delete = matches!(call, Call::Delete(_));
    Ok(Asked::new(None, String::new(), move |_, shelf| {
        let item = shelf.get(&id).ok_or_else(|| not_found("File", &id))?;
        if delete {
            shelf.take(&id);
            return Ok(json!({"id": id, "object": "file", "deleted": true}).into());
        }
        if show {
            return Ok(item.object.into());
        }
        Ok(Reply {
            headers: Vec::new(),
            content: Content::Pieces(content(&item)),
        })
    }))
}

/// What is in a file, a byte for each character up to U+00FF.
fn content(item: &Item) -> Pieces {
    let letters: String = item.content.iter().map(|byte| char::from(*byte)).collect();
    Pieces {
        events: Events {
            head: Vec::new(),
            pieces: vec![letters],
            tail: Vec::new(),
        },
        kind: "application/octet-stream",
        encode: |letters| letters.chars().map(|letter| letter as u8).collect(),
        error: String::new(),
    }
}

fn create(request: &Request<'_>) -> Result<Asked, Complaint> {
    let form = Form::read(request)?;
    let purpose = form
        .text("purpose")
        .ok_or("'purpose' is a required property")?;
    let file = form.file("file")?;
    let (name, content) = (file.filename.clone(), file.content.clone());
    Ok(Asked::new(None, String::new(), move |_, shelf| {
        let id = shelf.id(PREFIX);
        let object: Value = json!({
            "id": id, "object": "file", "bytes": content.len(), "created_at": CREATED,
            "filename": name, "purpose": purpose, "status": "processed", "status_details": null,
        });
        let item = Item {
            object: object.clone(),
            content,
        };
        shelf.put(&id, item);
        Ok(object.into())
    }))
}
