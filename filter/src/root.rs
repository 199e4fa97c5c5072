//! The root context: keeps the policy current, settles what has ended, renews what runs.

use std::rc::Rc;
use std::time::Duration;

use engine::exchange::Step;
use engine::limits;
use engine::policy::PolicyIndex;
use engine::tokens::Encoding;
use engine::usage::NanoUsd;
use engine::wire::{self, LeaseState, Parcel, PolicyAnswer, PolicyPoll, Renew, Settled};
use hashbrown::HashMap;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use serde::Deserialize;

use crate::adapter::Adapter;
use crate::host::{self, Buffer, Stream};
use crate::policy::Policy;
use crate::vm;

/// How long the sidecar took to admit or refuse, as Envoy saw it.
const ADMIT_US: &str = "weir_admit_us";
/// Tick while nothing has ended.
const TICK_IDLE_MS: u32 = 250;
/// Tick while records wait: how long a settlement may lag behind its exchange.
const TICK_BUSY_MS: u32 = 10;
/// The same where many end: a settlement costs Envoy, the sidecar and its disk more than a record of it
/// does, and under such a load most exchanges run under leases, which can wait.
const TICK_LOADED_MS: u32 = 50;
/// Records of one settlement from which on that is so.
const LOADED_RECORDS_MIN: usize = 16;
/// Between two policy polls.
const POLL_EVERY_MS: u64 = 1_000;
/// Between two policy polls before the first one succeeded.
const FIRST_POLL_EVERY_MS: u64 = 100;
/// How long the first requests of a worker may wait for a body.
const BODY_PATIENCE_MS: u64 = 5_000;
/// Between two renewals.
const RENEW_EVERY_MS: u64 = 5_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Plugin configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    role: Role,
    /// Envoy cluster of the sidecar's internal API.
    #[serde(default)]
    pub(crate) internal_cluster: String,
    #[serde(default)]
    request_body_bytes_max: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Policy,
    Adapter,
}

#[derive(Default)]
pub(crate) struct Root {
    settings: Option<Rc<Settings>>,
    polled_ms: u64,
    renewed_ms: u64,
    calls: Vec<(u32, Call)>,
}

enum Call {
    Poll,
    Renew,
    Settle(Parcel, Vec<LeaseState>),
}

impl Root {
    fn is_policy(&self) -> bool {
        self.settings
            .as_ref()
            .is_some_and(|settings| settings.role == Role::Policy)
    }

    fn post<T: serde::Serialize>(&self, path: &str, message: &T) -> Option<u32> {
        self.post_bytes(path, &serde_json::to_vec(message).ok()?)
    }

    fn post_bytes(&self, path: &str, body: &[u8]) -> Option<u32> {
        let cluster = &self.settings.as_ref()?.internal_cluster;
        host::post(cluster, path, body, CALL_TIMEOUT)
    }

    fn is_calling(&self, which: fn(&Call) -> bool) -> bool {
        self.calls.iter().any(|(_, call)| which(call))
    }

    fn poll(&mut self, now_ms: u64) {
        let Some((version, seed)) = vm::with(|vm| (vm.policy_version, vm.seed)) else {
            return;
        };
        let every = if version == 0 {
            FIRST_POLL_EVERY_MS
        } else {
            POLL_EVERY_MS
        };
        let due = now_ms.saturating_sub(self.polled_ms) >= every;
        if !due || self.is_calling(|call| matches!(call, Call::Poll)) {
            return;
        }
        self.polled_ms = now_ms;
        let poll = PolicyPoll {
            version,
            vm: format!("{seed:016x}"),
        };
        if let Some(token) = self.post(wire::PATH_POLICY, &poll) {
            self.calls.push((token, Call::Poll));
        }
    }

    fn settle(&mut self, now_ms: u64) {
        if self.is_calling(|call| matches!(call, Call::Settle(..))) {
            return;
        }
        let batch = vm::with(|vm| {
            vm.flushing_soon = false;
            let parcel = vm.outbox.take().unwrap_or_default();
            vm.settled = parcel.len();
            // What a lease still needs is true only once everything charged to it has been told.
            let leases = if vm.outbox.is_empty() {
                vm.leases.states(now_ms)
            } else {
                Vec::new()
            };
            (parcel, leases)
        });
        let Some((parcel, leases)) =
            batch.filter(|(parcel, leases)| !parcel.is_empty() || !leases.is_empty())
        else {
            host::tick_every_ms(TICK_IDLE_MS);
            return;
        };
        match self.post_bytes(wire::PATH_SETTLE, &parcel.body(&leases)) {
            Some(token) => self.calls.push((token, Call::Settle(parcel, leases))),
            None => give_back(parcel),
        }
    }

    fn renew(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.renewed_ms) < RENEW_EVERY_MS {
            return;
        }
        self.renewed_ms = now_ms;
        let live = vm::with(|vm| {
            let none = vm.leases.ids().map(|lease| (lease.to_owned(), 0));
            let mut leased: HashMap<String, NanoUsd> = none.collect();
            let mut live = Vec::new();
            for exchange in vm.live.values() {
                let Ok(exchange) = exchange.try_borrow() else {
                    continue;
                };
                let Some(cost) = exchange.live_cost() else {
                    continue;
                };
                let age = now_ms.saturating_sub(exchange.started_ms());
                match exchange.lease().and_then(|lease| leased.get_mut(lease)) {
                    Some(sum) => *sum = sum.saturating_add(cost),
                    None if age >= RENEW_EVERY_MS => live.push((exchange.id().to_owned(), cost)),
                    None => {}
                }
            }
            live.extend(leased);
            live
        });
        let Some(live) = live.filter(|live| !live.is_empty()) else {
            return;
        };
        if let Some(token) = self.post(wire::PATH_RENEW, &Renew { live, grow: None }) {
            self.calls.push((token, Call::Renew));
        }
    }

    /// Closes streams that have their end while the provider goes on. Clients that have read it are gone
    /// by then.
    fn close_cut(now_ms: u64) {
        let due = vm::with(|vm| {
            let due = vm.cuts.extract_if(.., |(_, at_ms)| *at_ms <= now_ms);
            due.map(|(context, _)| context).collect::<Vec<_>>()
        });
        for context in due.unwrap_or_default() {
            host::enter(context);
            host::close(Stream::Response);
        }
    }

    /// Answers requests whose bodies Envoy keeps back, so that nobody waits for a time limit.
    fn refuse_bodiless(now_ms: u64) {
        let due = vm::with(|vm| {
            if vm.bodies_arrive {
                vm.bodiless.clear();
            }
            let live = &vm.live;
            let mut due = Vec::new();
            vm.bodiless.retain(|(context, id)| {
                let Some(exchange) = live.get(id) else {
                    return false;
                };
                let started_ms = exchange.try_borrow().map(|exchange| exchange.started_ms());
                let waited =
                    started_ms.is_ok_and(|at| now_ms.saturating_sub(at) >= BODY_PATIENCE_MS);
                if waited {
                    due.push((*context, exchange.clone()));
                }
                !waited
            });
            due
        });
        for (context, exchange) in due.unwrap_or_default() {
            let step = vm::drive(&exchange, |exchange, _| exchange.on_no_body());
            if let Some(Step::Reply(reply)) = step {
                log::error!("weir: no request body arrives; set allow_on_headers_stop_iteration");
                host::enter(context);
                host::reply(reply.status, reply.headers, &reply.body);
            }
        }
    }

    fn on_policy(body: &[u8]) {
        let Ok(answer) = serde_json::from_slice::<PolicyAnswer>(body) else {
            return;
        };
        vm::with(|vm| {
            if vm.keys.observe(answer.keys_version) {
                // A key was revoked, or its limits are others: nothing is given from what was leased.
                vm.leases.retire_all();
            }
            if let Some(policy) = answer.policy {
                vm.policy = Some(Rc::new(PolicyIndex::new(policy)));
                vm.policy_version = answer.version;
            }
        });
    }
}

/// Makes the root context settle soon: calls made where an exchange ends would lose their answer.
pub(crate) fn settle_soon() {
    let armed = vm::with(|vm| {
        let waits = !vm.outbox.is_empty();
        (waits && !std::mem::replace(&mut vm.flushing_soon, true)).then_some(vm.settled)
    });
    if let Some(settled) = armed.flatten() {
        let is_loaded = settled >= LOADED_RECORDS_MIN;
        host::tick_every_ms(if is_loaded {
            TICK_LOADED_MS
        } else {
            TICK_BUSY_MS
        });
    }
}

/// The sidecar has not acknowledged these: they are told again.
fn give_back(parcel: Parcel) {
    vm::with(|vm| vm.outbox.give_back(parcel));
    host::tick_every_ms(TICK_IDLE_MS);
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, size: usize, _: usize) {
        let Some(at) = self.calls.iter().position(|(known, _)| *known == token) else {
            return;
        };
        let (_, call) = self.calls.swap_remove(at);
        let body = host::bytes(Buffer::CallBody, size);
        match call {
            Call::Poll => Root::on_policy(&body),
            Call::Renew => {}
            Call::Settle(parcel, leases) => {
                let settled = serde_json::from_slice::<Settled>(&body).ok();
                if settled.is_none_or(|settled| (settled.durable as usize) < parcel.len()) {
                    give_back(parcel);
                } else {
                    vm::with(|vm| {
                        vm.outbox.settled(parcel);
                        vm.leases.told(&leases);
                    });
                }
            }
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        proxy_wasm::set_log_level(host::log_level());
        let bytes = host::bytes(Buffer::PluginConfiguration, size);
        match serde_json::from_slice::<Settings>(&bytes) {
            Ok(settings) => self.settings = Some(Rc::new(settings)),
            Err(error) => {
                log::error!("weir: plugin configuration: {error}");
                return false;
            }
        }
        if self.is_policy() {
            let body_bytes_max = self
                .settings
                .as_ref()
                .and_then(|s| s.request_body_bytes_max);
            vm::with(|vm| {
                vm.admit_us = host::histogram(ADMIT_US);
                vm.body_bytes_max = body_bytes_max.unwrap_or(limits::REQUEST_BODY_BYTES_MAX);
                // Building a vocabulary takes a tenth of a second: here it delays no request.
                vm.tokenizers.count(Encoding::O200k, "");
            });
            host::tick_every_ms(TICK_BUSY_MS);
        }
        true
    }

    fn on_tick(&mut self) {
        if !self.is_policy() {
            return;
        }
        let now_ms = host::now_ms();
        self.poll(now_ms);
        self.settle(now_ms);
        self.renew(now_ms);
        // The last: they leave the root context.
        Root::refuse_bodiless(now_ms);
        Root::close_cut(now_ms);
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let settings = self.settings.clone()?;
        Some(match settings.role {
            Role::Policy => Box::new(Policy::new(id, settings)),
            Role::Adapter => Box::new(Adapter::default()),
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
