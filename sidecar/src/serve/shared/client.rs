//! One connection to Redis, made again when it breaks. Requests share it and wait for nobody else.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisError, ServerErrorKind, Value};
use tokio::sync::Mutex;

use super::{Group, script};

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
    link: Mutex<(u64, Option<Link>)>,
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
            link: Mutex::new((0, None)),
        }
    }

    /// The answer to one command.
    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, Fault> {
        match tokio::time::timeout(self.patience, self.attempt(command)).await {
            Ok(answer) => answer,
            Err(_) => {
                // A connection that has gone silent is not waited for again.
                if let Ok(mut link) = self.link.try_lock() {
                    link.1 = None;
                }
                Err(Fault::Down("no answer in time".to_owned()))
            }
        }
    }

    async fn attempt(&self, command: &Cmd) -> Result<Value, Fault> {
        let (number, mut link) = self.link().await?;
        let mut answer = link.send(command).await;
        if let Err(error) = &answer
            && error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
        {
            load(&mut link).await.map_err(fault)?;
            answer = link.send(command).await;
        }
        match answer {
            Ok(Value::ServerError(error)) => Err(Fault::Odd(error.to_string())),
            Ok(value) => Ok(value),
            Err(error) => {
                let fault = fault(error);
                if let Fault::Down(_) = fault {
                    let mut link = self.link.lock().await;
                    if link.0 == number {
                        link.1 = None;
                    }
                }
                Err(fault)
            }
        }
    }

    async fn link(&self) -> Result<(u64, Link), Fault> {
        let mut known = self.link.lock().await;
        if let (number, Some(link)) = &*known {
            return Ok((*number, link.clone()));
        }
        let mut link = self.connect().await.map_err(fault)?;
        load(&mut link).await.map_err(fault)?;
        if let Link::One(_) = link {
            // A server that was started again may have read back what it had written to disk.
            let mut command = redis::cmd("EVALSHA");
            let group = Group::common().key("e");
            command.arg(&script::DISTRUST.name).arg(1).arg(group);
            link.send(&command).await.map_err(fault)?;
        }
        let number = known.0.wrapping_add(1);
        *known = (number, Some(link.clone()));
        Ok((number, link))
    }

    async fn connect(&self) -> Result<Link, RedisError> {
        if self.cluster {
            let client = ClusterClientBuilder::new([self.url.as_str()])
                .connection_timeout(self.patience)
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

async fn load(link: &mut Link) -> Result<(), RedisError> {
    for script in script::all() {
        link.send(&script.load()).await?;
    }
    Ok(())
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
