//! The state service: what all filters share, and the admin interface.
//!
//! Three threads: the filter's interface on one of its own, so that nothing slow delays an
//! admission; the store's writer; and the caller's runtime for admin, health and metrics.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use engine::ledger::{Ledger, Scope};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc, watch};

use crate::config::Config;
use crate::{clock, render, vault};

mod admin;
mod adoption;
mod alerts;
mod beginning;
mod cache;
mod internal;
mod journal;
mod keys;
mod leases;
mod limits;
mod listen;
mod log;
mod membership;
#[cfg(test)]
pub(crate) use metrics::tests::families as metric_families;
mod metrics;
mod restart;
mod rotation;
mod shared;
mod state;
mod store;

use alerts::Webhook;
use beginning::{Begun, begin};
use journal::Journal;
use limits::LimitRules;
use listen::Listener;
use log::{Level, Log};
use membership::Rules;
use metrics::Metrics;
use rotation::Rotation;
use shared::counting::{self, Counting};
use shared::epoch;
use shared::ledger::LedgerSums;
use shared::replica::Replica;
use state::{CompiledPolicy, Core, Shared, Spent};
use store::StoreError;
use store::counted::Counted;
use store::database::{Courier, Database, Greeting};
use store::db::{Db, DbError, Target};
use store::mirror::Snapshot;
use store::registry::Registry;
use store::seal::Sealer;
use store::writer::{Spool, Writer};

/// How often the store is asked whether somebody has changed keys or budgets with SQL.
const CHANGES_EVERY: Duration = Duration::from_secs(1);
/// How often holds are looked through for those nobody renewed.
const EXPIRY_EVERY: Duration = Duration::from_secs(1);
/// Names in the data directory.
const DATABASE: &str = "weir.db";
const JOURNAL: &str = "holds.journal";
const SECRET: &str = "secret.key";

/// Why the service did not start or did not end well.
#[derive(Debug)]
pub enum ServeError {
    /// An address cannot be listened on.
    Listen(String, io::Error),
    /// The data directory, a thread or a signal.
    Io(io::Error),
    /// The store.
    Store(StoreError),
    /// Address of the database.
    Database(String),
    /// A virtual key of the configuration.
    Key(String),
    /// Who is told of alerts.
    Webhook(String),
    /// Secrets that vaults keep.
    Vault(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            ServeError::Io(error) => error.fmt(f),
            ServeError::Store(error) => error.fmt(f),
            ServeError::Key(error) | ServeError::Vault(error) | ServeError::Database(error) => {
                f.write_str(error)
            }
            ServeError::Webhook(error) => write!(f, "alerts.webhook: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> ServeError {
        ServeError::Io(error)
    }
}

impl From<StoreError> for ServeError {
    fn from(error: StoreError) -> ServeError {
        ServeError::Store(error)
    }
}

impl From<DbError> for ServeError {
    fn from(error: DbError) -> ServeError {
        ServeError::Store(error.into())
    }
}

/// Runs the service until SIGTERM or SIGINT, then finishes what it has accepted.
///
/// # Errors
/// When it cannot start: an address in use, a store that cannot be read, a vault that does not
/// answer.
pub async fn run(mut config: Config) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let env = |name: &str| std::env::var(name).ok();
    let level = env("LOG_LEVEL").and_then(|name| Level::from_name(&name));
    let log = Log {
        level: level.unwrap_or(Level::Info),
    };
    let mut accesses = Vec::new();
    let authorities = render::system_ca(&env);
    let mut heard = |access: &vault::Access| {
        rotation::audit(log, access);
        accesses.push(access.clone());
    };
    let vaults = vault::fill(
        &mut config,
        &rotation::PURPOSES,
        authorities.as_ref(),
        &mut heard,
    )
    .await
    .map_err(ServeError::Vault)?;
    private_folder(&config.data)?;
    let internal = bind(&config.sidecar.internal).await?;
    let admin = bind(&config.sidecar.admin).await?;

    let sealer = Arc::new(match &config.store.secret_key {
        Some(digits) => Sealer::from_hex(digits.expose())?,
        None => Sealer::open(&config.data.join(SECRET))?,
    });
    let greeting = match &config.store.database {
        None => None,
        Some(url) => Some(Greeting {
            target: Target::parse(url.expose(), authorities.as_ref())
                .map_err(ServeError::Database)?,
            config: config.clone(),
            sealer: Arc::clone(&sealer),
        }),
    };
    let (counted, left) = mpsc::unbounded_channel();
    let begun = {
        let (config, sealer, greeting) = (config.clone(), Arc::clone(&sealer), greeting.clone());
        // A database is waited for.
        tokio::task::spawn_blocking(move || {
            begin(&config, greeting.as_ref(), &sealer, log, counted)
        })
    };
    let Begun {
        db,
        remote,
        shared,
        who,
    } = begun.await.map_err(io::Error::other)??;
    let shared = Arc::new(shared);
    for access in &accesses {
        shared.metrics().vault_access(access);
    }
    let webhook = config.webhook.clone();
    let webhook = webhook.map(|webhook| Webhook::new(webhook, authorities.as_ref()));
    let webhook = webhook.transpose().map_err(ServeError::Webhook)?;
    let tells = webhook.is_some();
    let shares = greeting.map(|greeting| (greeting, Database::new()));
    let spool = shares.as_ref().map(|(_, (database, _))| {
        Spool::new(
            database.clone(),
            config.store.spool_records,
            config.store.redis.is_some(),
        )
    });
    let (writer, writer_thread) = Writer::start(db, Arc::clone(&shared), tells, spool)?;
    let (registry, ledger, courier) = match shares {
        None => {
            let ledger = admin::Ledger::File(config.data.join(DATABASE));
            (Registry::Own(writer.clone()), ledger, None)
        }
        Some((greeting, (database, jobs))) => {
            let ledger = admin::Ledger::Server(Box::new(greeting.target.clone()));
            let courier = Courier {
                greeting,
                db: remote,
                database: database.clone(),
                writer: writer.clone(),
                shared: Arc::clone(&shared),
                file: config.data.join(DATABASE),
                rules: Rules::new(&config.budgets),
                tells,
                counts: config.store.redis.is_none(),
                pull: true,
                version: None,
                who: who.clone(),
            };
            let thread = courier.start(jobs)?;
            // What others have spent is known before anybody asks.
            database.settled().await;
            database.settled().await;
            let registry = Registry::Shared(database.clone());
            (registry, ledger, Some((database, thread)))
        }
    };
    let (end, ending) = watch::channel(false);

    let internal_thread = {
        let (shared, writer, ending) = (Arc::clone(&shared), writer.clone(), ending.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let internal = internal.into_std()?;
        std::thread::Builder::new()
            .name("weir-internal".into())
            .spawn(move || {
                runtime.block_on(async {
                    let listener = Listener::from_std(internal)?;
                    let handler = move |request| {
                        internal::handle(Arc::clone(&shared), writer.clone(), request)
                    };
                    listener.serve(ending, handler).await;
                    Ok::<(), io::Error>(())
                })
            })?
    };
    let interface = Arc::new(admin::Interface::new(
        &config,
        Arc::clone(&shared),
        writer.clone(),
        (registry.clone(), ledger),
        Arc::clone(&sealer),
    ));
    let file_rules = Rules::new(&config.budgets);
    let (internal_address, admin_address) = (
        config.sidecar.internal.to_string(),
        config.sidecar.admin.to_string(),
    );
    let watching = rotation::start(Rotation {
        vaults,
        config: Mutex::new(config),
        shared: Arc::clone(&shared),
        interface: Arc::clone(&interface),
    })
    .await;
    let admin_task = tokio::spawn(admin.serve(ending.clone(), move |request| {
        admin::handle(Arc::clone(&interface), request)
    }));
    let counting = tokio::spawn(counting::count(Arc::clone(&shared), writer.clone(), left));
    let ended = Arc::clone(&shared);
    let database = courier.as_ref().map(|(database, _)| database.clone());
    let epochs = tokio::spawn(epoch::look(Arc::clone(&shared), writer.clone(), database));
    let expiry = tokio::spawn(expire(Arc::clone(&shared), writer.clone()));
    let own = match &registry {
        Registry::Own(writer) => Some(tokio::spawn(watch(
            Arc::clone(&shared),
            writer.clone(),
            file_rules,
            sealer,
        ))),
        Registry::Shared(_) => None,
    };
    let telling = webhook.map(|webhook| tokio::spawn(webhook.tell(registry, who, log)));

    log.line(
        Level::Info,
        "state service ready",
        json!({"internal": internal_address, "admin": admin_address}),
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Nobody listens any more only if the threads have ended already.
    let _ended = end.send(true);
    expiry.abort();
    if let Some(own) = own {
        own.abort();
    }
    if let Some(telling) = telling {
        telling.abort();
    }
    drop(watching);
    let served = tokio::task::spawn_blocking(move || {
        let served = internal_thread.join();
        if let Some((database, thread)) = courier {
            // It asks the writer.
            database.stop();
            let _ended = thread.join();
        }
        writer.stop();
        // A panic there has been reported by its own thread.
        let _ended = writer_thread.join();
        served
    });
    let _drained = admin_task.await;
    let served = served.await;
    if let Some(replica) = &ended.replica {
        replica.flush().await;
    }
    counting.abort();
    epochs.abort();
    if let Ok(Ok(Err(error))) = served {
        return Err(error.into());
    }
    log.line(Level::Info, "state service ended", json!({}));
    Ok(())
}

async fn bind(address: &crate::config::Address) -> Result<Listener, ServeError> {
    let bound = Listener::bind(address).await;
    bound.map_err(|error| ServeError::Listen(address.to_string(), error))
}

/// Puts in force what somebody has changed in the service's own store.
async fn watch(shared: Arc<Shared>, writer: Writer, file: Rules, sealer: Arc<Sealer>) {
    let mut every = tokio::time::interval(CHANGES_EVERY);
    loop {
        every.tick().await;
        let (shared, file, sealer) = (Arc::clone(&shared), file.clone(), Arc::clone(&sealer));
        let log = shared.log;
        let changes = move |db: &mut Db| {
            let known = shared.core().keys_version;
            if store::keys_version(db)? == known {
                return Ok(());
            }
            adoption::of_own(&shared, &file, &sealer, db)
        };
        if let Ok(Err(error)) = writer.change(changes).await {
            let fields = json!({"error": error.to_string()});
            log.line(Level::Error, "changes in the store cannot be read", fields);
        }
    }
}

async fn expire(shared: Arc<Shared>, writer: Writer) {
    let mut every = tokio::time::interval(EXPIRY_EVERY);
    loop {
        every.tick().await;
        let late = match &shared.replica {
            // What Redis does not tell now it tells later.
            Some(replica) => {
                let late = replica.expire(&shared).await.unwrap_or_default();
                late.into_iter().map(shared::draft::expired).collect()
            }
            None => shared.core().expire(clock::now_ms()),
        };
        if !late.is_empty() && writer.expire(late).is_err() {
            // They come again after another time to live.
            shared.log.line(
                Level::Error,
                "expired holds could not be settled",
                json!({}),
            );
        }
    }
}

fn private_folder(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}
