//! A client of one vault: its token, and what it does when the vault stumbles.

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::{Cause, Content, aws, azure, hashicorp};
use crate::call::Answer;
use crate::config::{Endpoint, VaultAccess, VaultConfig, VaultKeys, VaultLogin};
use crate::http::{self, Call};

/// Tries of one access, when what failed may pass.
const TRIES_MAX: u32 = 3;
/// Pause before the second try; doubled before the third.
const PAUSE: Duration = Duration::from_millis(300);
/// A token is not used in the last part of its life.
const TOKEN_SLACK: Duration = Duration::from_secs(30);

/// A client of one vault.
pub(super) struct Client {
    config: VaultConfig,
    trust: Option<TlsConnector>,
    /// The token that a login gave, while it can be used.
    kept: Mutex<Option<Token>>,
}

/// What a login gave.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    /// How long it is good for, seconds.
    pub(super) life_s: u64,
    until: Option<Instant>,
}

impl Token {
    pub(super) fn new(text: String, life_s: u64) -> Token {
        Token {
            text,
            life_s,
            until: None,
        }
    }

    fn usable(&self) -> bool {
        self.until.is_none_or(|until| until > Instant::now())
    }
}

impl Client {
    pub(super) fn new(config: VaultConfig, authorities: &Path) -> Result<Client, String> {
        let authority = match &config.access {
            VaultAccess::Azure { authority, .. } => Some(authority),
            VaultAccess::Aws {
                keys: VaultKeys::Container { endpoint, .. },
                ..
            } => Some(endpoint),
            _ => None,
        };
        let tls = [config.endpoint(), authority];
        let trust = tls
            .into_iter()
            .flatten()
            .any(|endpoint| endpoint.tls)
            .then(|| http::trust(config.ca.as_deref().unwrap_or(authorities)))
            .transpose()?;
        let kept = Mutex::default();
        Ok(Client {
            config,
            trust,
            kept,
        })
    }

    pub(super) fn provider(&self) -> &'static str {
        self.config.provider().name()
    }

    /// What the vault keeps there. What may pass is tried again.
    pub(super) async fn read(&self, secret: &str, version: Option<&str>) -> Result<Content, Cause> {
        let mut tries = 1;
        loop {
            let answer = self.read_once(secret, version).await;
            let passing = matches!(
                &answer,
                Err(Cause::Unreachable(_) | Cause::Status(429 | 500..))
            );
            if !passing || tries >= TRIES_MAX {
                return answer;
            }
            tokio::time::sleep(PAUSE.saturating_mul(tries)).await;
            tries = tries.saturating_add(1);
        }
    }

    async fn read_once(&self, secret: &str, version: Option<&str>) -> Result<Content, Cause> {
        match &self.config.access {
            VaultAccess::Local(folder) => return local(&folder.join(secret)).await,
            VaultAccess::Aws { .. } => return aws::read(self, secret, version).await,
            VaultAccess::Azure { .. } | VaultAccess::Hashicorp { .. } => {}
        }
        let (token, was_kept) = self.token(None).await?;
        match self.ask(&token, secret, version).await {
            // It may have been revoked before its time.
            Err(Cause::Authentication(_)) if was_kept => {
                let (token, _) = self.token(Some(&token.text)).await?;
                self.ask(&token, secret, version).await
            }
            answer => answer,
        }
    }

    async fn ask(
        &self,
        token: &Token,
        secret: &str,
        version: Option<&str>,
    ) -> Result<Content, Cause> {
        match self.config.access {
            VaultAccess::Azure { .. } => azure::read(self, &token.text, secret, version).await,
            _ => hashicorp::read(self, &token.text, secret, version).await,
        }
    }

    /// A token other than `refused`, and whether it had been kept from before.
    async fn token(&self, refused: Option<&str>) -> Result<(Token, bool), Cause> {
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_ref()
            && token.usable()
            && refused != Some(&token.text)
        {
            return Ok((token.clone(), true));
        }
        let mut token = match &self.config.access {
            VaultAccess::Hashicorp {
                login: VaultLogin::Token(token),
                ..
            } => return Ok((Token::new(token.current().into_owned(), 0), false)),
            VaultAccess::Azure { .. } => azure::login(self).await?,
            _ => hashicorp::login(self).await?,
        };
        if token.life_s > 0 {
            let life = Duration::from_secs(token.life_s).saturating_sub(TOKEN_SLACK);
            token.until = Instant::now().checked_add(life);
        }
        *kept = Some(token.clone());
        Ok((token, false))
    }

    pub(super) fn access(&self) -> &VaultAccess {
        &self.config.access
    }

    pub(super) async fn send(&self, endpoint: &Endpoint, call: Call<'_>) -> Result<Answer, Cause> {
        Ok(http::send(endpoint, self.trust.as_ref(), call).await?)
    }
}

/// The file of a vault that is a folder.
async fn local(path: &Path) -> Result<Content, Cause> {
    match tokio::fs::read_to_string(path).await {
        Ok(text) => Ok(Content::Text(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Cause::Missing),
        Err(error) => Err(Cause::Unusable(format!("the file cannot be read: {error}"))),
    }
}

/// The JSON of a good answer; `denied` are further statuses that mean: not with these credentials.
pub(super) fn json<T: DeserializeOwned>(answer: &Answer, denied: &[u16]) -> Result<T, Cause> {
    match answer.status {
        200..=299 => serde_json::from_str(&answer.body)
            .map_err(|_| Cause::Unusable("the vault's answer is not what it documents".to_owned())),
        status @ (401 | 403) => Err(Cause::Authentication(status)),
        status if denied.contains(&status) => Err(Cause::Authentication(status)),
        404 => Err(Cause::Missing),
        status => Err(Cause::Status(status)),
    }
}
