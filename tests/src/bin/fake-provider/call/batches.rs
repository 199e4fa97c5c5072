//! OpenAI's batches.

use serde_json::{Value, json};

use super::{Asked, CREATED, Complaint, Request, list, not_found, permit, require};
use crate::state::Item;

/// What is done with batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call<'a> {
    Create,
    List,
    Show(&'a str),
    Cancel(&'a str),
}

pub(super) fn call<'a>(method: &str, segments: &[&'a str]) -> Option<Call<'a>> {
    Some(match (method, segments) {
        ("POST", [.., "batches"]) => Call::Create,
        ("GET", [.., "batches"]) => Call::List,
        ("GET", [.., "batches", id]) => Call::Show(id),
        ("POST", [.., "batches", id, "cancel"]) => Call::Cancel(id),
        _ => return None,
    })
}

const PREFIX: &str = "batch_";

/// Reads a request; the error is what the real API complains about.
pub(super) fn read(call: Call<'_>, request: &Request<'_>) -> Result<Asked, Complaint> {
    match call {
        Call::Create => create(&request.json),
        Call::List => Ok(Asked::new(None, String::new(), |_, shelf| {
            Ok(list(shelf.list(PREFIX)).into())
        })),
        Call::Show(id) | Call::Cancel(id) => {
            let id = id.to_owned();
            let cancel = matches!(call, Call::Cancel(_));
            Ok(Asked::new(None, String::new(), move |_, shelf| {
                let mut item = shelf.get(&id).ok_or_else(|| not_found("Batch", &id))?;
                if cancel {
                    item.object["status"] = json!("cancelling");
                    item.object["cancelling_at"] = json!(CREATED + 60);
                    shelf.put(&id, item.clone());
                }
                Ok(item.object.into())
            }))
        }
    }
}

fn create(body: &Value) -> Result<Asked, Complaint> {
    let known = [
        "input_file_id",
        "endpoint",
        "completion_window",
        "metadata",
        "output_expires_after",
    ];
    permit(body, &known)?;
    require(body, &["input_file_id", "endpoint", "completion_window"])?;
    let body = body.clone();
    Ok(Asked::new(None, String::new(), move |_, shelf| {
        let file = body["input_file_id"].as_str().unwrap_or_default();
        shelf.get(file).ok_or_else(|| not_found("File", file))?;
        let id = shelf.id(PREFIX);
        let object = json!({
            "id": id, "object": "batch", "endpoint": body["endpoint"], "errors": null,
            "input_file_id": file, "completion_window": body["completion_window"],
            "status": "validating", "output_file_id": null, "error_file_id": null,
            "created_at": CREATED, "in_progress_at": null, "expires_at": CREATED + 86_400,
            "finalizing_at": null, "completed_at": null, "failed_at": null, "expired_at": null,
            "cancelling_at": null, "cancelled_at": null,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": body["metadata"],
        });
        let item = Item {
            object: object.clone(),
            ..Item::default()
        };
        shelf.put(&id, item);
        Ok(object.into())
    }))
}
