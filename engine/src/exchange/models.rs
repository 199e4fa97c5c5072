//! The models a key may use, as its client wants them listed.

use std::rc::Rc;

use serde_json::Value;

use super::{Env, Exchange, Reply, Step};
use crate::ingress;
use crate::reply::Code;
use crate::wire::Model;

impl Exchange {
    /// `GET /v1/models` and `GET /v1/models/{id}`.
    pub(super) fn models(&mut self, env: &Env<'_>) -> Step {
        let Some(policy) = env.policy else {
            return self.refuse(Code::StateUnavailable, None);
        };
        let path = self.head.text(":path").unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let one = path.strip_prefix("/v1/models/");
        let allowed = self
            .key
            .as_ref()
            .map(|key| key.models.as_slice())
            .unwrap_or_default();
        let shown = policy
            .listed()
            .filter(|m| allowed.is_empty() || allowed.contains(&m.id));
        let shown: Vec<&Model> = shown
            .filter(|model| one.is_none_or(|id| id == model.id))
            .map(Rc::as_ref)
            .collect();
        if let (Some(id), []) = (one, shown.as_slice()) {
            let message = format!("The model `{id}` does not exist");
            return self.refuse(Code::ModelNotFound, Some(message));
        }
        let anthropic = self.client_form().is_some();
        let ids = shown.iter().map(|model| model.id.as_str());
        let body = match (one, shown.first()) {
            (Some(_), Some(model)) if anthropic => ingress::messages_model(&model.id),
            (Some(_), Some(model)) => openai(model).to_string().into_bytes(),
            _ if anthropic => ingress::messages_models(ids),
            _ => {
                let data: Vec<Value> = shown.iter().map(|model| openai(model)).collect();
                let list = serde_json::json!({"object": "list", "data": data});
                list.to_string().into_bytes()
            }
        };
        self.reply(Reply {
            status: 200,
            headers: self.reply_headers("application/json"),
            body,
        })
    }
}

fn openai(model: &Model) -> Value {
    serde_json::json!({"id": model.id, "object": "model", "created": 0,
        "owned_by": model.provider})
}
