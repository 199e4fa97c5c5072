//! What a service starts with: its store, the database that it shares, and everything in memory, from these, the
//! journal and the configuration.

use super::*;

/// What a service starts with.
pub(super) struct Begun {
    pub(super) db: Db,
    /// The database that others share, if it could be reached.
    pub(super) remote: Option<Db>,
    pub(super) shared: Shared,
    /// Who this service is among those that share it.
    pub(super) who: String,
}

/// Opens the stores and reads them. Without the database that is shared it goes on with what is known
/// here of it.
pub(super) fn begin(
    config: &Config,
    greeting: Option<&Greeting>,
    sealer: &Sealer,
    log: Log,
    counting: Counting,
) -> Result<Begun, ServeError> {
    let mut db = store::open(&config.data.join(DATABASE))?;
    let mut remote = None;
    match greeting.map(Greeting::meet) {
        None => {}
        Some(Ok(mut met)) => {
            Snapshot::take(&mut met)?.put(&mut db)?;
            remote = Some(met);
        }
        Some(Err(error)) if store::database::is_fatal(&error) => return Err(error.into()),
        Some(Err(error)) => {
            let fields = json!({"error": error.to_string()});
            log.line(Level::Error, "starting without the database", fields);
        }
    }
    let who = match &mut remote {
        Some(shared) => store::instance_beside(&mut db, shared)?,
        None => store::instance(&mut db)?,
    };
    let stores = (&mut db, remote.as_mut());
    let shared = load(config, greeting, stores, sealer, log, (counting, &who))?;
    if let Some(replica) = &shared.replica {
        replica.remember(epoch::peers(&mut db, remote.as_mut())?);
    }
    Ok(Begun {
        db,
        remote,
        shared,
        who,
    })
}

/// Everything in memory, from the store, the journal and the configuration.
fn load(
    config: &Config,
    greeting: Option<&Greeting>,
    (db, remote): (&mut Db, Option<&mut Db>),
    sealer: &Sealer,
    log: Log,
    (counting, who): (Counting, &str),
) -> Result<Shared, ServeError> {
    let shares = greeting.is_some();
    db.transaction(|step| {
        store::catalogue::put(step, config)?;
        admin::write_file_keys(config, step, sealer)
    })?;
    let now_ms = clock::now_ms();
    let mut ledger = Ledger::new(config.calendar.clone());
    let rules = Rules::new(&config.budgets).replaced_by(&store::rules::all(db)?);
    let limit_rules = LimitRules::new(&config.rate_limits);
    let global = ledger.open(Scope::Global);
    // Moves the new ledger to the present before anything is charged.
    ledger.expire(now_ms);
    let mut table = keys::KeyTable::default();
    for key in store::keys::all(db)? {
        let sealed = key.sealed.as_deref();
        let opened = sealed
            .map(|sealed| sealer.unseal(&key.id, sealed))
            .transpose()?;
        table.put(key, opened.as_deref(), &mut ledger);
    }
    ledger.set_budgets(global, rules.global());
    let mut policy = config.policy();
    policy.defaults.guard_key = sealer.guard_key();
    let path = config.data.join(JOURNAL);
    let redis = config.store.redis.as_ref();
    let mut held = journal::replay(&path)?;
    let mut settled = Vec::new();
    for (exchange, _) in &held {
        settled.push(store::usage::is_settled(db, exchange)?);
    }
    let mut settled = settled.into_iter();
    held.retain(|_| settled.next() == Some(false));
    let mut core = Core::new(
        ledger,
        table,
        match redis {
            None => Journal::open(&path)?,
            Some(_) => Journal::none(),
        },
        CompiledPolicy::new(policy.clone()).map_err(io::Error::from)?,
        store::keys_version(db)?,
        (rules, limit_rules),
        (config.sidecar.leases, config.sidecar.hold_output_tokens),
    );
    if shares {
        core.counted = Counted::read(db)?;
    }
    core.set_policy(policy.clone()).map_err(io::Error::from)?;
    core.open_named();
    if let (Some(redis), Some(greeting)) = (redis, greeting) {
        let sums = LedgerSums::new(greeting.target.clone())?;
        let layout = match config.store.redis_cluster {
            true => shared::Layout::Tenants,
            false => shared::Layout::One,
        };
        let patience = Duration::from_millis(config.store.redis_timeout_ms);
        let mut replica = Replica::new((redis.expose(), layout, patience), sums, counting, who);
        replica.counts(core.counted.version);
        replica.take_over(&mut core, Journal::open(&path)?, held);
        return Ok(Shared::new(core, Metrics::new(&policy), log, Some(replica)));
    }
    restore_spend(&mut core, db, shares)?;
    let mut noted = Vec::new();
    for (exchange, of) in held {
        let mut hold = of.hold;
        noted.push((exchange.clone(), hold.key.clone(), of.limited, of.counted));
        hold.scopes = core.scope_ids(&Spent {
            key: &hold.key,
            user: &hold.user,
            tags: &hold.tags,
            provider: &hold.provider,
            model: &hold.model,
        });
        core.ledger.restore(exchange, hold, now_ms);
    }
    let crossings = core.ledger.take_crossings();
    let fresh = store::alerts::note(db, crossings, now_ms, config.webhook.is_some() || shares)?;
    if !shares {
        alerts::log(&fresh, &log);
    }
    // What waits here is not there yet.
    let waits = store::spool::count(db)? > 0;
    let known = remote.filter(|_| !waits).unwrap_or(db);
    restart::restore_limits(&mut core, known, noted, now_ms)?;
    let Core {
        journal,
        ledger,
        limits,
        ..
    } = &mut core;
    journal.compact(ledger, limits)?;
    Ok(Shared::new(core, Metrics::new(&policy), log, None))
}

/// What every scope has spent, from the store's sums. They are made anew when other scopes are
/// counted than before, or in another calendar; where the ledger is shared, from that one, later.
fn restore_spend(core: &mut Core, db: &mut Db, shares: bool) -> Result<(), DbError> {
    if !shares {
        let (basis, calendar) = (core.basis(), core.ledger.calendar().clone());
        store::spend::rebase(db, basis, &calendar, |spent| core.scopes(spent))?;
    }
    core.recount(store::spend::all(db)?);
    Ok(())
}
