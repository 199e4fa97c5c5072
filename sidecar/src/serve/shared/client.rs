//! One connection to Redis, made again when it breaks. Requests share it and wait for nobody else.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisError, ServerErrorKind, Value};
use tokio::sync::Mutex;

use super::{Group, script};
use crate::clock;

/// How long a connection to a cluster may take to mend itself, in milliseconds.
const MENDS_MS: u64 = 3_000;

/// Why Redis did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It did not answer in time, or not at all. What was asked may be done all the same.
    Down(String),
    /// It answered with an error, or with something that is not understood.
    Odd(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Down(why) => write!(out, "Redis does not answer: {why}"),
            Fault::Odd(why) => write!(out, "Redis: {why}"),
        }
    }
}

/// See the module.
pub(crate) struct Client {
    url: String,
    cluster: bool,
    patience: Duration,
    known: Mutex<Known>,
}

/// The connection that is used, and how it fares.
#[derive(Default)]
struct Known {
    number: u64,
    link: Option<Link>,
    made_ms: u64,
    /// Whether another one is to be tried.
    is_stale: bool,
}

impl Known {
    /// What was asked was not answered. A connection to one server that has gone silent is not waited for again. One
    /// to a cluster serves others while it mends itself node by node, and knows nodes that the address in the
    /// configuration does not; only one that does not mend itself in a while is left for another.
    fn failed(&mut self) {
        match self.link {
            Some(Link::Cluster(_)) => {
                let mends_ms = self.made_ms.saturating_add(MENDS_MS);
                self.is_stale |= clock::now_ms() >= mends_ms;
            }
            _ => self.link = None,
        }
    }
}

#[derive(Clone)]
enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Client {
    /// Whoever asks waits no longer than `patience`, connecting included.
    pub(crate) fn new(url: &str, cluster: bool, patience: Duration) -> Client {
        Client {
            url: url.to_owned(),
            cluster,
            patience,
            known: Mutex::default(),
        }
    }

    /// The answer to one command.
    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, Fault> {
        match tokio::time::timeout(self.patience, self.attempt(command)).await {
            Ok(answer) => answer,
            Err(_) => {
                if let Ok(mut known) = self.known.try_lock() {
                    known.failed();
                }
                Err(Fault::Down("no answer in time".to_owned()))
            }
        }
    }

    async fn attempt(&self, command: &Cmd) -> Result<Value, Fault> {
        let (number, mut link) = self.link().await?;
        let mut answer = link.send(command).await;
        if is_unknown(&answer)
            && let Some(spelled) = script::spelled(command)
        {
            answer = link.send(&spelled).await;
        }
        match answer {
            Ok(Value::ServerError(error)) => Err(Fault::Odd(error.to_string())),
            Ok(value) => Ok(value),
            Err(error) => {
                let fault = fault(error);
                if let Fault::Down(_) = fault {
                    let mut known = self.known.lock().await;
                    if known.number == number {
                        known.failed();
                    }
                }
                Err(fault)
            }
        }
    }

    async fn link(&self) -> Result<(u64, Link), Fault> {
        let mut known = self.known.lock().await;
        if let (Some(link), false) = (&known.link, known.is_stale) {
            return Ok((known.number, link.clone()));
        }
        // Whoever comes next uses the one that there is, should nobody wait for the other one to the end.
        (known.is_stale, known.made_ms) = (false, clock::now_ms());
        match (self.made().await, known.link.clone()) {
            (Ok(link), _) => {
                known.number = known.number.wrapping_add(1);
                known.link = Some(link.clone());
                Ok((known.number, link))
            }
            (Err(_), Some(link)) => Ok((known.number, link)),
            (Err(error), None) => Err(fault(error)),
        }
    }

    async fn made(&self) -> Result<Link, RedisError> {
        let mut link = self.connect().await?;
        if let Link::One(_) = link {
            // A server that was started again may have read back what it had written to disk.
            let group = Group::common().key("e");
            let command = script::DISTRUST.evaluation(&group);
            link.send(&command).await?;
        }
        Ok(link)
    }

    async fn connect(&self) -> Result<Link, RedisError> {
        if self.cluster {
            let client = ClusterClientBuilder::new([self.url.as_str()])
                // A node that says nothing leaves time for the others.
                .connection_timeout(self.patience / 2)
                .response_timeout(self.patience)
                .retries(2)
                .min_retry_wait(10)
                .max_retry_wait(50)
                .build()?;
            return Ok(Link::Cluster(client.get_async_connection().await?));
        }
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(Some(self.patience));
        let client = redis::Client::open(self.url.as_str())?;
        let connection = client.get_multiplexed_async_connection_with_config(&settings);
        Ok(Link::One(connection.await?))
    }
}

impl Link {
    async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Link::One(connection) => connection.req_packed_command(command).await,
            Link::Cluster(connection) => connection.req_packed_command(command).await,
        }
    }
}

/// Whether a server does not know the script that was called.
fn is_unknown(answer: &Result<Value, RedisError>) -> bool {
    let missing = Some(ServerErrorKind::NoScript);
    match answer {
        Ok(Value::ServerError(error)) => error.kind() == missing,
        Ok(_) => false,
        Err(error) => error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript),
    }
}

fn fault(error: RedisError) -> Fault {
    let told = error.to_string();
    let server = matches!(error.kind(), redis::ErrorKind::Server(_));
    if server && !error.is_cluster_error() {
        Fault::Odd(told)
    } else {
        Fault::Down(told)
    }
}
