//! What all contexts of a worker's VM share. It may vanish with the VM at any time, so nothing
//! here is the only record of money: the sidecar has the holds.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

use engine::exchange::{Env, Exchange, Routes};
use engine::keys::KeyTable;
use engine::lease::Leases;
use engine::limits;
use engine::outbox::Outbox;
use engine::policy::PolicyIndex;
use engine::tokens::Tokenizers;
use hashbrown::HashMap;

use crate::host;

thread_local! {
    static VM: RefCell<Vm> = RefCell::new(Vm::new());
}

/// An exchange that both roles hold.
pub(crate) type Shared = Rc<RefCell<Exchange>>;

/// State of one VM.
pub(crate) struct Vm {
    /// Random part of exchange ids, and this VM's name.
    pub(crate) seed: u64,
    counter: u64,
    random: u64,
    /// The policy and its version, 0 before the first.
    pub(crate) policy: Option<Rc<PolicyIndex>>,
    pub(crate) policy_version: u64,
    pub(crate) keys: KeyTable,
    pub(crate) tokenizers: Tokenizers,
    pub(crate) leases: Leases,
    /// Exchanges under way, by id.
    pub(crate) live: HashMap<String, Shared>,
    /// Whether Envoy has ever brought a piece of a request's body.
    pub(crate) bodies_arrive: bool,
    /// Until it has: contexts of requests that wait for one, with their exchanges' ids.
    pub(crate) bodiless: Vec<(u32, String)>,
    /// Contexts of streams that have their end while the provider goes on, and when to close them.
    pub(crate) cuts: Vec<(u32, u64)>,
    /// Whether a tick is on its way that will settle.
    pub(crate) flushing_soon: bool,
    /// Records of the last settlement.
    pub(crate) settled: usize,
    /// Records that the sidecar has not acknowledged, but for those that it is just being told of.
    pub(crate) outbox: Outbox,
    pub(crate) body_bytes_max: usize,
    pub(crate) routes: Routes,
    /// Envoy's histogram of how long admissions took, in microseconds.
    pub(crate) admit_us: Option<u32>,
}

impl Vm {
    fn new() -> Vm {
        // The only source of randomness a wasm module has without a host call of its own.
        let seed = RandomState::new().build_hasher().finish();
        Vm {
            seed,
            counter: 0,
            random: seed,
            policy: None,
            policy_version: 0,
            keys: KeyTable::default(),
            tokenizers: Tokenizers::default(),
            leases: Leases::default(),
            live: HashMap::new(),
            bodies_arrive: false,
            bodiless: Vec::new(),
            cuts: Vec::new(),
            flushing_soon: false,
            settled: 0,
            outbox: Outbox::default(),
            body_bytes_max: limits::REQUEST_BODY_BYTES_MAX,
            routes: Routes::default(),
            admit_us: None,
        }
    }

    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Runs `work` on the VM's state. Callbacks never nest, so the state is always free.
pub(crate) fn with<T>(work: impl FnOnce(&mut Vm) -> T) -> Option<T> {
    VM.with(|vm| vm.try_borrow_mut().ok().map(|mut vm| work(&mut vm)))
}

/// A new exchange, known to both roles.
pub(crate) fn begin() -> Option<Shared> {
    with(|vm| {
        vm.counter = vm.counter.wrapping_add(1);
        let now_ms = host::now_ms();
        let id = Exchange::id_of(now_ms, vm.seed, vm.counter);
        let exchange = Rc::new(RefCell::new(Exchange::new(id.clone(), now_ms)));
        vm.live.insert(id, exchange.clone());
        exchange
    })
}

/// Drives an exchange with one event.
pub(crate) fn drive<T>(
    exchange: &Shared,
    event: impl FnOnce(&mut Exchange, &mut Env<'_>) -> T,
) -> Option<T> {
    drive_at(host::now_ms(), exchange, event)
}

/// The same where the time is known: asking for it costs as much as any host call.
pub(crate) fn drive_at<T>(
    now_ms: u64,
    exchange: &Shared,
    event: impl FnOnce(&mut Exchange, &mut Env<'_>) -> T,
) -> Option<T> {
    with(|vm| {
        let random = vm.next_random();
        let policy = vm.policy.clone();
        let mut env = Env {
            now_ms,
            random,
            policy: policy.as_deref(),
            keys: &mut vm.keys,
            tokenizers: &mut vm.tokenizers,
            leases: &mut vm.leases,
            body_bytes_max: vm.body_bytes_max,
        };
        exchange
            .try_borrow_mut()
            .ok()
            .map(|mut exchange| event(&mut exchange, &mut env))
    })
    .flatten()
}
