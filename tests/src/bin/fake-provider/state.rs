//! What all connections share: the record of requests, scripts, and what was stored.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use e2e::behaviour::{Behaviour, Recorded, Script};
use serde_json::Value;

/// What all connections share.
#[derive(Default)]
pub(crate) struct State {
    next_id: AtomicUsize,
    requests: Mutex<Vec<Recorded>>,
    scripts: Mutex<Vec<Script>>,
    pub(crate) shelf: Shelf,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Notes a request and numbers it.
    pub(crate) fn note(&self, request: &mut Recorded) {
        let mut requests = locked(&self.requests);
        request.id = self.next_id.fetch_add(1, Ordering::Relaxed);
        requests.push(request.clone());
    }

    pub(crate) fn record(&self, id: usize, change: impl FnOnce(&mut Recorded)) {
        if let Some(recorded) = locked(&self.requests)
            .iter_mut()
            .rev()
            .find(|one| one.id == id)
        {
            change(recorded);
        }
    }

    /// The record as JSON.
    pub(crate) fn recorded(&self) -> String {
        serde_json::to_string(&*locked(&self.requests)).unwrap_or_default()
    }

    pub(crate) fn forget(&self) {
        locked(&self.requests).clear();
    }

    pub(crate) fn script(&self, script: Script) {
        locked(&self.scripts).push(script);
    }

    pub(crate) fn drop_scripts(&self) {
        locked(&self.scripts).clear();
    }

    pub(crate) fn scripted(&self, request: &Recorded, model: Option<&str>) -> Option<Behaviour> {
        let mut scripts = locked(&self.scripts);
        let index = scripts.iter().position(|script| {
            script
                .model
                .as_deref()
                .is_none_or(|wanted| Some(wanted) == model)
                && script
                    .contains
                    .as_deref()
                    .is_none_or(|wanted| request.body.contains(wanted))
                && script
                    .path
                    .as_deref()
                    .is_none_or(|wanted| request.path.contains(wanted))
                && script
                    .header
                    .as_ref()
                    .is_none_or(|(name, value)| request.header(name) == Some(value.as_str()))
        })?;
        let behaviour = scripts[index].behaviour.clone();
        match scripts[index].times {
            0 => {}
            1 => drop(scripts.remove(index)),
            _ => scripts[index].times -= 1,
        }
        Some(behaviour)
    }
}

/// What clients had stored: files, batches, responses; by id, in order of arrival.
#[derive(Default)]
pub(crate) struct Shelf {
    next_id: AtomicUsize,
    items: Mutex<BTreeMap<String, Item>>,
}

/// Something stored.
#[derive(Clone, Default)]
pub(crate) struct Item {
    /// As it is shown.
    pub(crate) object: Value,
    /// What is in it.
    pub(crate) content: Bytes,
}

impl Shelf {
    /// A new id with this prefix.
    pub(crate) fn id(&self, prefix: &str) -> String {
        let serial = self.next_id.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}fake{serial:06}")
    }

    pub(crate) fn put(&self, id: &str, item: Item) {
        locked(&self.items).insert(id.to_owned(), item);
    }

    pub(crate) fn get(&self, id: &str) -> Option<Item> {
        locked(&self.items).get(id).cloned()
    }

    pub(crate) fn take(&self, id: &str) -> Option<Item> {
        locked(&self.items).remove(id)
    }

    /// Everything of one kind, the newest first.
    pub(crate) fn list(&self, prefix: &str) -> Vec<Value> {
        let items = locked(&self.items);
        let found = items.iter().filter(|(id, _)| id.starts_with(prefix));
        let mut objects: Vec<Value> = found.map(|(_, item)| item.object.clone()).collect();
        objects.reverse();
        objects
    }
}
