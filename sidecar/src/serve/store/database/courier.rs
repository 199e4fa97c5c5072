//! The thread that speaks to the database.

use super::*;

/// What the thread works with.
pub(crate) struct Courier {
    pub(crate) greeting: Greeting,
    pub(crate) db: Option<Db>,
    pub(crate) database: Database,
    pub(crate) writer: Writer,
    pub(crate) shared: Arc<Shared>,
    /// The local store.
    pub(crate) file: PathBuf,
    /// Budgets of `weir.yaml`.
    pub(crate) rules: Rules,
    /// Whether somebody wants to be told of alerts.
    pub(crate) tells: bool,
    /// Whether the counters are this service's own.
    pub(crate) counts: bool,
    /// Whether what was spent is not known yet: it started without the database.
    pub(crate) pull: bool,
    /// The versions of keys and budgets, and of what is counted, that are in force.
    pub(crate) version: Option<(u64, u64)>,
    /// Who this service is.
    pub(crate) who: String,
}

impl Courier {
    /// Starts the thread.
    pub(crate) fn start(self, jobs: Jobs) -> Result<JoinHandle<()>, StoreError> {
        let file = Db::reader(&self.file)?;
        let mut thread = Thread {
            file,
            courier: self,
            refusals: None,
            cursor: 0,
            shown_ms: 0,
            retry_ms: 0,
            pause_ms: PAUSE_MS,
            insists: true,
        };
        let spawned = std::thread::Builder::new()
            .name("weir-database".into())
            .spawn(move || thread.run(&jobs.0));
        Ok(spawned?)
    }
}

struct Thread {
    courier: Courier,
    file: Db,
    refusals: Option<Refusals>,
    /// What the database has of the spool.
    cursor: u64,
    /// When this service has last said that it is there.
    shown_ms: u64,
    /// Not before this instant a new connection is tried.
    retry_ms: u64,
    pause_ms: u64,
    /// Whether sums are still to be made anew in this service's calendar.
    insists: bool,
}

impl Thread {
    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(POLL_EVERY) {
                Ok(Job::Change(change)) => {
                    self.connect();
                    change(self.courier.db.as_mut());
                }
                Ok(Job::Deliver) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Job::Stop) => {
                    self.round();
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.courier
                .database
                .state
                .rung
                .store(false, Ordering::Release);
            self.round();
        }
    }

    /// Everything that is to be done, as far as the database takes part.
    fn round(&mut self) {
        self.connect();
        if self.courier.db.is_none() {
            return;
        }
        if let Err(error) = self
            .show()
            .and_then(|()| self.adopt())
            .and_then(|()| self.deliver())
            .and_then(|()| self.tell())
        {
            self.failed(&error.into());
        }
        let lost = self.courier.db.as_ref().is_none_or(Db::is_lost);
        if lost {
            self.courier.db = None;
        }
        self.courier
            .database
            .state
            .up
            .store(!lost, Ordering::Relaxed);
    }

    fn connect(&mut self) {
        let courier = &mut self.courier;
        if courier.db.as_ref().is_some_and(Db::is_lost) {
            courier.db = None;
        }
        let now_ms = clock::now_ms();
        if courier.db.is_some() || now_ms < self.retry_ms {
            return;
        }
        match courier.greeting.meet() {
            Ok(db) => {
                courier.db = Some(db);
                courier.version = None;
                self.refusals = None;
                self.pause_ms = PAUSE_MS;
                let log = courier.shared.log;
                log.line(Level::Info, "database connected", json!({}));
            }
            Err(error) => {
                self.retry_ms = now_ms.saturating_add(self.pause_ms);
                self.pause_ms = self.pause_ms.saturating_mul(2).min(PAUSE_MS_MAX);
                self.failed(&error);
            }
        }
    }

    /// Says that this service is there, to those that come new to what is counted together.
    fn show(&mut self) -> Result<(), DbError> {
        let now_ms = clock::now_ms();
        let Courier {
            db, who, counts, ..
        } = &mut self.courier;
        let due = now_ms >= self.shown_ms.saturating_add(SHOW_EVERY_MS);
        if let (Some(db), true) = (db, due && !*counts) {
            deliveries::note(db, who, 0, now_ms)?;
            self.shown_ms = now_ms;
        }
        Ok(())
    }

    fn failed(&self, error: &StoreError) {
        let state = &self.courier.database.state;
        state.up.store(false, Ordering::Relaxed);
        let fields = json!({"error": error.to_string()});
        let log = self.courier.shared.log;
        log.line(Level::Error, "the database cannot be used", fields);
    }

    /// Brings what waits to the database.
    fn deliver(&mut self) -> Result<(), DbError> {
        let before = self.cursor;
        loop {
            let waiting = spool::after(&mut self.file, self.cursor, BATCH)?;
            let Some(last) = waiting.last().map(|last| last.seq) else {
                break;
            };
            let stored = match self.store(&waiting) {
                Err(error) if error.is_of_values() => self.store_each(&waiting)?,
                stored => stored?,
            };
            if !stored {
                break;
            }
            self.cursor = last;
            self.courier
                .database
                .state
                .stored
                .store(last, Ordering::Release);
        }
        if self.cursor > before {
            self.courier.writer.trim();
        }
        Ok(())
    }

    /// Says whether it did: others may have begun to count more than is known here.
    fn store(&mut self, waiting: &[Waiting]) -> Result<bool, DbError> {
        let Courier {
            db, shared, who, ..
        } = &mut self.courier;
        let (Some(db), Some(last)) = (db, waiting.last()) else {
            return Ok(false);
        };
        let refusals = match &mut self.refusals {
            Some(known) => known,
            none => none.insert(Refusals::count(db, REFUSALS_MAX)?),
        };
        let records: Vec<_> = waiting
            .iter()
            .map(|waiting| (waiting.record.clone(), waiting.charged_ms))
            .collect();
        let (basis, version) = {
            let core = shared.core();
            (core.calendar_basis(), core.counted.version)
        };
        let kept = db.transaction(|step| {
            if counted::version_held(step)? != version {
                return Ok(None);
            }
            let mut sums = Sums::default();
            let written = usage::write_all(step, &records, &mut sums)?;
            let all = records.iter().zip(&written);
            let all = all.map(|((record, charged_ms), written)| (record, *charged_ms, written));
            charge(&mut sums, &shared.core(), all);
            sums.write(step)?;
            deliveries::note(step, who, last.seq, clock::now_ms())?;
            // Sums in another calendar than ours are made anew by whoever has that.
            let sql = "UPDATE meta SET value = 0 WHERE name = 'spend_basis' AND value <> $1";
            step.execute(sql, &[basis.into()])?;
            let all = records.iter().map(|(record, _)| record).zip(&written);
            refusals.trim(step, all).map(Some)
        })?;
        let stored = kept.is_some();
        if let Some(kept) = kept {
            refusals.committed(kept);
        }
        Ok(stored)
    }

    /// One record that the database does not take must not hold up the others.
    fn store_each(&mut self, waiting: &[Waiting]) -> Result<bool, DbError> {
        for one in waiting {
            match self.store(std::slice::from_ref(one)) {
                Err(error) if error.is_of_values() => {
                    let why = error.to_string();
                    let fields = json!({"exchange": one.record.exchange, "error": why});
                    let log = self.courier.shared.log;
                    log.line(Level::Error, "the database does not take a record", fields);
                    let one = one.clone();
                    let kept = move |db: &mut Db| spool::refused(db, &one, &why);
                    let kept = self.courier.writer.change_now(kept);
                    kept.map_err(|_| DbError::Other("the local store is full".into()))??;
                }
                stored => {
                    if !stored? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Hands over thresholds that were reached; whoever is the first to do so says it.
    fn tell(&mut self) -> Result<(), DbError> {
        let found = alerts::untold(&mut self.file, ALERTS_MAX)?;
        let Courier {
            db, shared, tells, ..
        } = &mut self.courier;
        let (Some(db), false) = (db, found.is_empty()) else {
            return Ok(());
        };
        let now_ms = clock::now_ms();
        let told_ms = (!*tells).then_some(now_ms);
        let mut fresh = Vec::new();
        for alert in &found {
            if alerts::insert(db, alert, told_ms)? {
                fresh.push(alert.clone());
            }
        }
        crate::serve::alerts::log(&fresh, &shared.log);
        let told = move |db: &mut Db| {
            let mut each = found.iter();
            each.try_for_each(|alert| alerts::told(db, alert, now_ms))
        };
        // What is handed over twice is known the second time.
        let _again = self.courier.writer.change_now(told);
        Ok(())
    }

    /// Puts in force what others have changed of keys and budgets.
    fn adopt(&mut self) -> Result<(), DbError> {
        for _ in 0..ADOPTIONS_MAX {
            if self.adopt_once()? {
                break;
            }
        }
        Ok(())
    }

    /// Says whether there is nothing more to be known.
    fn adopt_once(&mut self) -> Result<bool, DbError> {
        let Some(db) = &mut self.courier.db else {
            return Ok(true);
        };
        let version = (store::keys_version(db)?, counted::version(db)?);
        if self.courier.version == Some(version) {
            return Ok(true);
        }
        let snapshot = Snapshot::take(db)?;
        let version = (snapshot.version, snapshot.counted.version);
        let shared = Arc::clone(&self.courier.shared);
        let rules = self.courier.rules.clone();
        let sealer = Arc::clone(&self.courier.greeting.sealer);
        let adopted = self.courier.writer.change_now(move |local: &mut Db| {
            snapshot.put(local)?;
            adoption::take_over(&shared, &snapshot, &rules, &sealer);
            Ok::<_, DbError>(())
        });
        adopted.map_err(|_| DbError::Other("the local store is busy".into()))??;
        let is_known = self.recount()?;
        if is_known {
            self.courier.version = Some(version);
        }
        Ok(is_known)
    }

    /// Makes the sums anew when more is counted than before. Says whether nothing has changed thereby.
    fn recount(&mut self) -> Result<bool, DbError> {
        let Courier {
            db,
            shared,
            counts,
            pull,
            ..
        } = &mut self.courier;
        let Some(db) = db else {
            return Ok(false);
        };
        let shares = adoption::share(db, shared, self.insists)?;
        if shares != Shares::Same {
            self.insists &= shares == Shares::Again;
            *pull = true;
            return Ok(false);
        }
        self.insists = false;
        if !*counts || !*pull {
            return Ok(true);
        }
        let sums = spend::all(db)?;
        *pull = false;
        let (shared, cursor) = (Arc::clone(&self.courier.shared), self.cursor);
        // Where records are written, so that none is missed in between.
        let counted = self.courier.writer.change_now(move |local: &mut Db| {
            mirror::put_spend(local, &sums)?;
            let basis = shared.core().basis();
            spend::set_basis(local, basis)?;
            let mut more = Sums::default();
            let waiting = spool::after(local, cursor, u64::MAX / 2)?;
            let all = waiting
                .iter()
                .map(|waiting| (&waiting.record, waiting.charged_ms, &Written::New));
            charge(&mut more, &shared.core(), all);
            local.transaction(|step| more.write(step))?;
            let sums = spend::all(local)?;
            shared.core().recount(sums);
            Ok::<_, DbError>(())
        });
        counted.map_err(|_| DbError::Other("the local store is busy".into()))??;
        Ok(true)
    }
}
