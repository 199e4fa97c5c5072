//! In a cluster, where holds are: the group of the tenant that an exchange is of, which its id does not
//! tell. Who made a hold remembers that, and leaves a note in Redis for everybody else: for other
//! services, and for itself after a restart.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::ledger::HOLDS_MAX;
use lru::LruCache;

use super::Group;
use super::calls::text;
use super::client::{Client, Fault};

/// How long a note stays, in seconds. What runs for longer and is renewed by another service than began
/// it expires, and is charged anew by its record.
const NOTE_TTL_S: u64 = 24 * 3_600;

/// See the module.
pub(super) struct Homes {
    client: Arc<Client>,
    known: Mutex<LruCache<String, Group>>,
}

impl Homes {
    pub(super) fn new(client: Arc<Client>) -> Homes {
        let most = NonZeroUsize::new(HOLDS_MAX).unwrap_or(NonZeroUsize::MIN);
        Homes {
            client,
            known: Mutex::new(LruCache::new(most)),
        }
    }

    /// A hold was made. Nobody waits for the note.
    pub(super) fn made(&self, id: &str, group: &Group) {
        self.known().put(id.to_owned(), group.clone());
        let mut command = redis::cmd("SET");
        command
            .arg(note(id))
            .arg(&group.0)
            .arg("EX")
            .arg(NOTE_TTL_S);
        self.send(command);
    }

    /// A hold has ended.
    pub(super) fn ended(&self, id: &str) {
        self.known().pop(id);
        let mut command = redis::cmd("UNLINK");
        command.arg(note(id));
        self.send(command);
    }

    /// Where a hold is, as far as anybody knows.
    pub(super) async fn of(&self, id: &str) -> Result<Option<Group>, Fault> {
        if let Some(known) = self.known().get(id) {
            return Ok(Some(known.clone()));
        }
        let mut command = redis::cmd("GET");
        command.arg(note(id));
        let group = text(self.client.ask(&command).await?).map(Group);
        if let Some(group) = &group {
            self.known().put(id.to_owned(), group.clone());
        }
        Ok(group)
    }

    fn send(&self, command: redis::Cmd) {
        let client = Arc::clone(&self.client);
        tokio::spawn(async move {
            // Without its note a hold is found by who made it.
            let _lost = client.ask(&command).await;
        });
    }

    fn known(&self) -> MutexGuard<'_, LruCache<String, Group>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(id: &str) -> String {
    format!("weir:home:{id}")
}
