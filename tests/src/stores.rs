//! Where a gateway under test keeps its state.

use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json};
use test_servers::postgres::Postgres;
use test_servers::redis::{Cluster, Redis};

/// The two deployments, which behave alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// Files of the one state service.
    #[default]
    Embedded,
    /// A private Redis and a private PostgreSQL.
    Shared,
}

/// What state services share.
pub struct Stores {
    /// One, or the masters of a cluster.
    redis: Vec<Mutex<Redis>>,
    postgres: Mutex<Postgres>,
}

impl Stores {
    /// Starts both, empty. Redis keeps what it is told when it is killed.
    pub fn start() -> Stores {
        Stores::start_with(|| vec![Redis::start_durable()])
    }

    /// The same with a Redis Cluster of so many masters.
    pub fn start_clustered(masters: usize) -> Stores {
        Stores::start_with(|| Cluster::start_durable(masters).nodes)
    }

    fn start_with(redis: impl FnOnce() -> Vec<Redis>) -> Stores {
        let postgres = std::thread::spawn(Postgres::start);
        Stores {
            redis: redis().into_iter().map(Mutex::new).collect(),
            postgres: Mutex::new(postgres.join().expect("PostgreSQL")),
        }
    }

    /// `store` of a `weir.yaml`.
    pub fn config(&self) -> Value {
        json!({
            "redis": self.redis().url(),
            "redis_cluster": self.redis.len() > 1,
            "database": self.postgres().url(),
            "secret_key": "ab".repeat(32),
        })
    }

    /// The first of a cluster; nobody else changes it meanwhile.
    pub fn redis(&self) -> MutexGuard<'_, Redis> {
        self.master(0)
    }

    /// Masters that there are.
    pub fn masters(&self) -> usize {
        self.redis.len()
    }

    /// One of a cluster; nobody else changes it meanwhile.
    pub fn master(&self, index: usize) -> MutexGuard<'_, Redis> {
        self.redis[index].lock().expect("redis")
    }

    /// Nobody else changes it meanwhile.
    pub fn postgres(&self) -> MutexGuard<'_, Postgres> {
        self.postgres.lock().expect("postgres")
    }
}
