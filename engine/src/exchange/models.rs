//! The models a key may use, as its client wants them listed.

use super::{Env, Exchange, Reply, Step};
use crate::reply::Code;

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
        let mut list = shown
            .filter(|model| one.is_none_or(|id| id == model.id))
            .map(|model| {
                serde_json::json!({"id": model.id, "object": "model", "created": 0,
                "owned_by": model.provider})
            });
        let body = match one {
            None => serde_json::json!({"object": "list", "data": list.collect::<Vec<_>>()}),
            Some(id) => match list.next() {
                Some(model) => model,
                None => {
                    let message = format!("The model `{id}` does not exist");
                    drop(list);
                    return self.refuse(Code::ModelNotFound, Some(message));
                }
            },
        };
        self.reply(Reply {
            status: 200,
            headers: self.reply_headers("application/json"),
            body: body.to_string().into_bytes(),
        })
    }
}
