//! `weir keys`: the admin interface's virtual keys from the command line.

use serde_json::{Map, Value};

use crate::call::{Answer, call};
use crate::config::{Config, Secret};

/// Path of the collection.
const PATH: &str = "/admin/virtual-keys";

/// What to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Name of the new key and further members, values as JSON or text.
    Create(String, Vec<(String, String)>),
    /// Id.
    Delete(String),
    List,
    /// Id, and members such as `new_api_key`.
    Rotate(String, Vec<(String, String)>),
}

/// Asks the running state service; the answer is its JSON, indented.
///
/// # Errors
/// Whatever the service refuses with, or that it does not answer.
pub async fn run(action: &Action, config: &Config) -> Result<String, String> {
    let token = config.admin_token.clone().or_else(|| kept_token(config));
    let token = token.ok_or("no admin token: set WEIR_ADMIN_TOKEN, or admin_token in weir.yaml")?;
    let (method, path, body) = match action {
        Action::Create(name, members) => {
            let name = ("name".to_owned(), name.clone());
            (
                "POST",
                PATH.to_owned(),
                Some(object([&name].into_iter().chain(members))),
            )
        }
        Action::Delete(id) => ("DELETE", path_of(id, "")?, None),
        Action::List => ("GET", PATH.to_owned(), None),
        Action::Rotate(id, members) => ("PUT", path_of(id, "/rotate")?, Some(object(members))),
    };
    let Answer { status, body } =
        call(&config.sidecar.admin, method, &path, Some(&token), body).await?;
    let shown = serde_json::from_str::<Value>(&body).map_or(body, |json| format!("{json:#}"));
    if status < 400 {
        Ok(shown)
    } else {
        Err(format!("refused with {status}: {shown}"))
    }
}

/// The token of a running `weir up`.
fn kept_token(config: &Config) -> Option<Secret> {
    let text = std::fs::read_to_string(config.data.join("dev.json")).ok()?;
    let dev: Value = serde_json::from_str(&text).ok()?;
    Some(Secret::new(dev.get("admin_token")?.as_str()?))
}

/// Members as a JSON object; a value is JSON where it can be, else text.
fn object<'a>(members: impl IntoIterator<Item = &'a (String, String)>) -> String {
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let object: Map<String, Value> = members
        .into_iter()
        .map(|(name, text)| (name.clone(), value(text)))
        .collect();
    Value::Object(object).to_string()
}

fn path_of(id: &str, rest: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !id.is_empty() && id.bytes().all(fits) {
        return Ok(format!("{PATH}/{id}{rest}"));
    }
    Err(format!("`{id}` is not the id of a key"))
}
