//! `vaults`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::document::Value;
use super::super::reader::{Field, Object, Reader};
use super::super::{
    Endpoint, Host, Secret, VaultAccess, VaultConfig, VaultKeys, VaultLogin, VaultProvider,
};

mod reference;

pub(super) use reference::alias;
pub(in super::super) use reference::reference;

/// Seconds a secret is used before the vault is asked again, when `ttl` does not say.
const TTL_S: u64 = 300;
/// One day.
const TTL_S_MAX: u64 = 86_400;
/// Where containers of AWS ECS get the keys of their role.
const CONTAINER_ROLES: &str = "http://169.254.170.2";
/// The folder of a local vault that names none.
const FOLDER: &str = "./secrets";

const PROVIDERS: [(&str, VaultProvider); 4] = [
    ("hashicorp", VaultProvider::Hashicorp),
    ("azure", VaultProvider::Azure),
    ("aws", VaultProvider::Aws),
    ("local", VaultProvider::Local),
];

/// The section; what it holds is the reader's from here on.
pub(super) fn vaults(top: &mut Object<'_>, reader: &mut Reader<'_>) {
    let Some(list) = top.member("vaults") else {
        return;
    };
    for field in reader.list(&list) {
        let Some(mut object) = reader.object(field.clone()) else {
            continue;
        };
        let name = object.required("name", reader);
        let name = name.and_then(|field| reader.name(&field));
        let provider = object.required("provider", reader);
        let provider = provider.and_then(|field| reader.choice(&field, &PROVIDERS));
        let Some(provider) = provider else {
            continue;
        };
        let mut source = Source {
            at: field.clone(),
            object: Some(&mut object),
        };
        let vault = source.vault(name.clone().unwrap_or_default(), provider, None, reader);
        object.finish(reader);
        let (Some(name), Some(vault)) = (name, vault) else {
            continue;
        };
        if reader.vaults.iter().any(|other| other.name == name) {
            reader.problem(&field, format!("vault `{name}` is given twice"));
            continue;
        }
        reader.vaults.push(vault);
    }
    reader.has_vaults = !reader.vaults.is_empty();
}

/// Where a vault's members come from: its entry, and the environment for what the entry leaves out.
struct Source<'o, 'n> {
    at: Field<'n>,
    object: Option<&'o mut Object<'n>>,
}

impl<'n> Source<'_, 'n> {
    fn vault(
        &mut self,
        name: String,
        provider: VaultProvider,
        url: Option<String>,
        reader: &mut Reader<'_>,
    ) -> Option<VaultConfig> {
        let ttl = self.member("ttl");
        let ttl = ttl.and_then(|field| reader.integer(&field, 1, TTL_S_MAX));
        let access = match provider {
            VaultProvider::Aws => self.aws(url, reader),
            VaultProvider::Azure => self.azure(url, reader),
            VaultProvider::Hashicorp => self.hashicorp(url, reader),
            VaultProvider::Local => {
                let folder = url.or_else(|| self.text("url", &[], reader));
                reader.warnings.push(format!(
                    "vault `{name}` is a folder of files, which is for development"
                ));
                Some(VaultAccess::Local(
                    folder.unwrap_or_else(|| FOLDER.to_owned()).into(),
                ))
            }
        };
        let variables: &[&str] = match provider {
            VaultProvider::Hashicorp => &["VAULT_CACERT"],
            _ => &[],
        };
        let ca = match provider {
            VaultProvider::Local => None,
            _ => self.text("ca", variables, reader).map(PathBuf::from),
        };
        let vault = VaultConfig {
            name,
            access: access?,
            ca,
            ttl: Duration::from_secs(ttl.unwrap_or(TTL_S)),
        };
        if let Some(endpoint) = vault.endpoint().filter(|endpoint| in_the_clear(endpoint)) {
            reader.warnings.push(format!(
                "vault `{}`: secrets cross the network in the clear, {} is without TLS",
                vault.name, endpoint.authority
            ));
        }
        Some(vault)
    }

    fn aws(&mut self, url: Option<String>, reader: &mut Reader<'_>) -> Option<VaultAccess> {
        let region = self.required("region", &["AWS_REGION", "AWS_DEFAULT_REGION"], reader);
        let own = region.as_deref().map(|region| {
            let china = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://secretsmanager.{region}.amazonaws.com{china}")
        });
        let variables = ["AWS_ENDPOINT_URL_SECRETS_MANAGER"];
        let url = url.or_else(|| self.text("url", &variables, reader));
        let endpoint = self.endpoint("url", url.or(own), reader);
        let keys = self.keys(reader);
        Some(VaultAccess::Aws {
            endpoint: endpoint?,
            region: region?,
            keys: keys?,
        })
    }

    /// The access key, else where the container's role has some.
    fn keys(&mut self, reader: &mut Reader<'_>) -> Option<VaultKeys> {
        let session_token = self.secret("session_token", &["AWS_SESSION_TOKEN"], reader);
        let (before, variables) = (reader.problems.len(), ["AWS_ACCESS_KEY_ID"]);
        let id = self.secret("access_key_id", &variables, reader);
        let relative = reader.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let url = relative.map(|path| format!("{CONTAINER_ROLES}{path}"));
        let url = url.or_else(|| reader.env("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
        if let (None, Some(url)) = (&id, url) {
            let file = reader.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
            let token = match file {
                Some(path) => Secret::read(path.into()).ok(),
                None => reader
                    .env("AWS_CONTAINER_AUTHORIZATION_TOKEN")
                    .map(Secret::new),
            };
            self.member("secret_access_key");
            let endpoint = self.endpoint("access_key_id", Some(url), reader)?;
            return Some(VaultKeys::Container { endpoint, token });
        }
        self.missed(id.is_none(), before, "access_key_id", &variables, reader);
        let secret = self.credential("secret_access_key", &["AWS_SECRET_ACCESS_KEY"], reader);
        Some(VaultKeys::Given {
            id: id?,
            secret: secret?,
            session_token,
        })
    }

    fn azure(&mut self, url: Option<String>, reader: &mut Reader<'_>) -> Option<VaultAccess> {
        let url = url.or_else(|| self.required("url", &["AZURE_KEY_VAULT_URL"], reader));
        let endpoint = url.and_then(|url| self.endpoint("url", Some(url), reader));
        let authority = self
            .text("authority", &["AZURE_AUTHORITY_HOST"], reader)
            .unwrap_or_else(|| "https://login.microsoftonline.com".to_owned());
        let authority = self.endpoint("authority", Some(authority), reader);
        let tenant = self.required("tenant_id", &["AZURE_TENANT_ID"], reader);
        let client = self.required("client_id", &["AZURE_CLIENT_ID"], reader);
        let secret = self.credential("client_secret", &["AZURE_CLIENT_SECRET"], reader);
        Some(VaultAccess::Azure {
            endpoint: endpoint?,
            authority: authority?,
            tenant: tenant?,
            client: client?,
            secret: secret?,
        })
    }

    fn hashicorp(&mut self, url: Option<String>, reader: &mut Reader<'_>) -> Option<VaultAccess> {
        let url = url.or_else(|| self.required("url", &["VAULT_URL", "VAULT_ADDR"], reader));
        let endpoint = url.and_then(|url| self.endpoint("url", Some(url), reader));
        let mount = self.text("mount", &[], reader);
        let kv = self.member("kv");
        let kv = kv.and_then(|field| reader.integer(&field, 1, 2));
        let namespace = self.text("namespace", &["VAULT_NAMESPACE"], reader);
        let role = self.secret("role_id", &["VAULT_ROLE_ID"], reader);
        // Both are known whichever is used.
        let token = self.member("token").is_some();
        let login = match role {
            Some(id) if !token => {
                let secret = self.credential("secret_id", &["VAULT_SECRET_ID"], reader);
                secret.map(|secret| VaultLogin::Role { id, secret })
            }
            _ => {
                self.member("secret_id");
                let token = self.credential("token", &["VAULT_TOKEN"], reader);
                token.map(VaultLogin::Token)
            }
        };
        let mount = mount.unwrap_or_else(|| "secret".to_owned());
        Some(VaultAccess::Hashicorp {
            endpoint: endpoint?,
            mount: mount.trim_matches('/').to_owned(),
            kv: kv.unwrap_or(2),
            namespace,
            login: login?,
        })
    }

    fn member(&mut self, name: &'static str) -> Option<Field<'n>> {
        self.object.as_mut()?.member(name)
    }

    fn text(
        &mut self,
        name: &'static str,
        variables: &[&str],
        reader: &mut Reader<'_>,
    ) -> Option<String> {
        match self.member(name) {
            Some(field) => reader.text(&field),
            None => variables.iter().find_map(|variable| reader.env(variable)),
        }
    }

    fn secret(
        &mut self,
        name: &'static str,
        variables: &[&str],
        reader: &mut Reader<'_>,
    ) -> Option<Secret> {
        let Some(field) = self.member(name) else {
            let mut values = variables.iter().filter_map(|variable| reader.env(variable));
            return values.next().map(Secret::new);
        };
        if let Value::Mapping(members) = &field.node.value
            && members.iter().any(|(key, _)| key.text == "vault")
        {
            reader.problem(&field, "what opens a vault cannot be in one");
            return None;
        }
        super::optional_secret(field, reader)
    }

    /// A member that has to be there, in the entry or in the environment.
    fn required(
        &mut self,
        name: &'static str,
        variables: &[&str],
        reader: &mut Reader<'_>,
    ) -> Option<String> {
        let before = reader.problems.len();
        let found = self.text(name, variables, reader);
        self.missed(found.is_none(), before, name, variables, reader);
        found
    }

    fn credential(
        &mut self,
        name: &'static str,
        variables: &[&str],
        reader: &mut Reader<'_>,
    ) -> Option<Secret> {
        let before = reader.problems.len();
        let found = self.secret(name, variables, reader);
        self.missed(found.is_none(), before, name, variables, reader);
        found
    }

    /// Says what is missing, once.
    fn missed(
        &self,
        missing: bool,
        problems: usize,
        name: &str,
        variables: &[&str],
        reader: &mut Reader<'_>,
    ) {
        if !missing || reader.problems.len() > problems {
            return;
        }
        let variables = variables.join(" or ");
        let message = if self.object.is_some() {
            format!("`{name}` is missing, and {variables} is not set")
        } else {
            format!("the vault needs {variables}, which is not set")
        };
        reader.problem(&self.at, message);
    }

    fn endpoint(
        &mut self,
        name: &'static str,
        url: Option<String>,
        reader: &mut Reader<'_>,
    ) -> Option<Endpoint> {
        let url = url?;
        let at = self.member(name).unwrap_or_else(|| self.at.clone());
        if !url.starts_with("http://") && !url.starts_with("https://") {
            reader.problem(&at, format!("`{url}` is neither http:// nor https://"));
            return None;
        }
        Endpoint::parse(&url, Path::new(""))
            .map_err(|message| reader.problem(&at, message))
            .ok()
    }
}

fn in_the_clear(endpoint: &Endpoint) -> bool {
    let local = match &endpoint.host {
        Host::Ip(at) => at.ip().is_loopback(),
        Host::Name(name, _) => name == "localhost",
        Host::Demo(_) => true,
    };
    !endpoint.tls && !local
}
