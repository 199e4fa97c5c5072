//! How a provider lets us in: credentials, and the addresses that follow from them.

use engine::wire::Dialect;

use super::super::super::document::Value;
use super::super::super::reader::{Field, Object, Reader, SecretSource};
use super::super::super::{AwsCredentials, Secret, Signing};
use super::super::vault;

/// What the members for access say.
pub(super) struct Access {
    pub(super) header: String,
    pub(super) prefix: String,
    pub(super) key: Option<Secret>,
    pub(super) signing: Option<Signing>,
    pub(super) api_version: String,
    /// Where the provider is when `base_url` does not say; `None` where it has to.
    pub(super) base_url: Option<String>,
    /// What follows the base path.
    pub(super) path: String,
}

pub(super) fn access(
    object: &mut Object<'_>,
    dialect: Dialect,
    present: bool,
    reader: &mut Reader<'_>,
) -> Access {
    let mut access = Access {
        header: "authorization".to_owned(),
        prefix: "Bearer ".to_owned(),
        key: None,
        signing: None,
        api_version: String::new(),
        base_url: None,
        path: String::new(),
    };
    match dialect {
        Dialect::Openai => {}
        Dialect::Anthropic => access.by("x-api-key"),
        Dialect::Azure => azure(object, &mut access, present, reader),
        Dialect::Bedrock => bedrock(object, &mut access, present, reader),
        Dialect::Gemini => {
            access.by("x-goog-api-key");
            access.base_url = Some("https://generativelanguage.googleapis.com/v1beta".to_owned());
        }
        Dialect::Mistral => access.base_url = Some("https://api.mistral.ai/v1".to_owned()),
        Dialect::Ollama => access.base_url = Some("http://127.0.0.1:11434/v1".to_owned()),
        Dialect::Perplexity => access.base_url = Some("https://api.perplexity.ai".to_owned()),
        Dialect::Vertex => vertex(object, &mut access, present, reader),
    }
    if access.key.is_none() && !matches!(dialect, Dialect::Bedrock | Dialect::Vertex) {
        access.key = key(object, "api_key", present, reader);
        for name in ["api_key_reference", "api_key_secret_ref"] {
            let Some(field) = object.member(name) else {
                continue;
            };
            if access.key.is_some() {
                reader.problem(&field, "the key is given twice");
            } else if let Some(SecretSource::Present(secret)) = vault::alias(field, reader) {
                access.key = Some(secret);
            }
        }
    }
    own_header(object, &mut access, reader);
    access
}

impl Access {
    fn by(&mut self, header: &str) {
        header.clone_into(&mut self.header);
        self.prefix.clear();
    }
}

/// A key or token. One whose variable is not set is worth a warning: the provider will refuse.
fn key(
    object: &mut Object<'_>,
    name: &'static str,
    present: bool,
    reader: &mut Reader<'_>,
) -> Option<Secret> {
    let field = object.member(name)?;
    match reader.secret(field.clone())? {
        SecretSource::Present(secret) => Some(secret),
        SecretSource::Unset(variable) => {
            if present {
                let text = format!(
                    "{}: {variable} is not set; requests go there without a key",
                    field.path
                );
                reader.warnings.push(text);
            }
            None
        }
    }
}

/// `auth_header` and `auth_prefix`.
fn own_header(object: &mut Object<'_>, access: &mut Access, reader: &mut Reader<'_>) {
    let header = object
        .member("auth_header")
        .and_then(|field| header_name(&field, reader));
    let prefix = object
        .member("auth_prefix")
        .map(|field| match &field.node.value {
            Value::Scalar { text, .. } => text.clone(),
            _ => reader.text(&field).unwrap_or_default(),
        });
    if let Some(header) = header.filter(|header| *header != access.header) {
        access.by(&header);
    }
    access.prefix = prefix.unwrap_or_else(|| std::mem::take(&mut access.prefix));
}

/// `api_version`, and `api_key` or `entra_token`.
fn azure(object: &mut Object<'_>, access: &mut Access, present: bool, reader: &mut Reader<'_>) {
    if let Some(field) = object.member("api_version") {
        access.api_version = version(&field, reader).unwrap_or_default();
    }
    access.key = key(object, "entra_token", present, reader);
    if access.key.is_none() {
        access.by("api-key");
    } else if let Some(field) = object.member("api_key") {
        reader.problem(&field, "give either `api_key` or `entra_token`");
    }
}

fn version(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text(field)?;
    let date = text.get(..10).unwrap_or_default().bytes().enumerate();
    let is_date = text.len() >= 10
        && date.into_iter().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if is_date
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Some(text);
    }
    reader.problem(
        field,
        format!(
            "`{text}` is not an api-version such as 2024-10-21; leave it out for Azure's v1 paths"
        ),
    );
    None
}

/// `project`, `location` and `access_token`.
fn vertex(object: &mut Object<'_>, access: &mut Access, present: bool, reader: &mut Reader<'_>) {
    let mut name = |name| {
        let field = object.required(name, reader)?;
        reader.name(&field)
    };
    let (project, location) = (name("project"), name("location"));
    access.key = key(object, "access_token", present, reader);
    let (Some(project), Some(location)) = (project, location) else {
        access.base_url = Some("https://aiplatform.googleapis.com".to_owned());
        return;
    };
    let region = if location == "global" {
        String::new()
    } else {
        format!("{location}-")
    };
    access.base_url = Some(format!("https://{region}aiplatform.googleapis.com"));
    access.path = format!("/v1/projects/{project}/locations/{location}/publishers/google");
}

/// `aws: {region, bearer_token | access_key_id and secret_access_key | profile | irsa}`.
fn bedrock(object: &mut Object<'_>, access: &mut Access, present: bool, reader: &mut Reader<'_>) {
    let Some(field) = object.required("aws", reader) else {
        return;
    };
    let Some(mut aws) = reader.object(field) else {
        return;
    };
    let region = aws.required("region", reader);
    let region = region.and_then(|field| reader.name(&field));
    access.key = key(&mut aws, "bearer_token", present, reader);
    let credentials = credentials(&mut aws, present, reader);
    let region = region.unwrap_or_default();
    access.base_url = Some(format!("https://bedrock-runtime.{region}.amazonaws.com"));
    let ways = usize::from(access.key.is_some()) + credentials.len();
    if ways > 1 {
        reader.problem(aws.field(), "names more than one kind of credentials");
    }
    if access.key.is_none() {
        let credentials = credentials
            .into_iter()
            .next()
            .unwrap_or(AwsCredentials::Chain);
        access.signing = Some(Signing {
            region,
            credentials,
        });
    }
    aws.finish(reader);
}

fn credentials(
    aws: &mut Object<'_>,
    present: bool,
    reader: &mut Reader<'_>,
) -> Vec<AwsCredentials> {
    let mut found = Vec::new();
    let id = key(aws, "access_key_id", present, reader);
    let secret = key(aws, "secret_access_key", present, reader);
    let session_token = key(aws, "session_token", present, reader);
    match (id, secret) {
        (Some(id), Some(secret)) => found.push(AwsCredentials::Keys {
            id,
            secret,
            session_token,
        }),
        (None, None) => {}
        _ => reader.problem(
            aws.field(),
            "`access_key_id` and `secret_access_key` go together",
        ),
    }
    if let Some(field) = aws.member("profile") {
        found.extend(reader.name(&field).map(AwsCredentials::Profile));
    }
    let irsa = aws.member("irsa");
    let irsa = irsa.and_then(|field| reader.choice(&field, &[("true", true), ("false", false)]));
    if irsa == Some(true) {
        found.push(AwsCredentials::Chain);
    }
    found
}

fn header_name(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let name = reader.name(field)?.to_ascii_lowercase();
    if name.contains('.') {
        reader.problem(field, format!("`{name}` is not the name of a header"));
        return None;
    }
    Some(name)
}
