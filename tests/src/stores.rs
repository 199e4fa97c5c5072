//! Where a gateway under test keeps its state.

use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json};
use test_servers::postgres::Postgres;
use test_servers::redis::Redis;

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
    redis: Mutex<Redis>,
    postgres: Mutex<Postgres>,
}

impl Stores {
    /// Starts both, empty. Redis keeps what it is told when it is killed.
    pub fn start() -> Stores {
        let postgres = std::thread::spawn(Postgres::start);
        let redis = Redis::start_durable();
        Stores {
            redis: Mutex::new(redis),
            postgres: Mutex::new(postgres.join().expect("PostgreSQL")),
        }
    }

    /// `store` of a `weir.yaml`.
    pub fn config(&self) -> Value {
        json!({
            "redis": self.redis().url(),
            "database": self.postgres().url(),
            "secret_key": "ab".repeat(32),
        })
    }

    /// Nobody else changes it meanwhile.
    pub fn redis(&self) -> MutexGuard<'_, Redis> {
        self.redis.lock().expect("redis")
    }

    /// Nobody else changes it meanwhile.
    pub fn postgres(&self) -> MutexGuard<'_, Postgres> {
        self.postgres.lock().expect("postgres")
    }
}
