//! What a seed makes of a run: what happens to whom, when and for how long.

use std::fmt;
use std::time::Duration;

/// A sequence of random numbers that its seed repeats.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Dice for somebody else, numbered.
    pub(super) fn of(&self, number: u64) -> Dice {
        let mut dice = Dice(self.0 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.roll(2);
        dice
    }

    /// From 0 on, less than `sides` (splitmix64).
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.roll(most - least + 1)
    }
}

/// How a run is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// Whether workers get leases; some keys are busy then.
    pub(super) leases: bool,
    /// Masters of Redis; more than one are a cluster.
    pub(super) masters: usize,
}

/// Masters of a cluster.
const MASTERS: usize = 3;

impl Variant {
    pub(super) fn new(leases: bool, cluster: bool) -> Variant {
        Variant {
            leases,
            masters: if cluster { MASTERS } else { 1 },
        }
    }

    pub(super) fn drawn(dice: &mut Dice) -> Variant {
        Variant::new(dice.roll(2) == 1, dice.roll(2) == 1)
    }

    /// The one that has nothing in common with it.
    pub(super) fn other(self) -> Variant {
        Variant::new(!self.leases, !self.is_cluster())
    }

    pub(super) fn is_cluster(self) -> bool {
        self.masters > 1
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (leases, cluster) = (u8::from(self.leases), u8::from(self.is_cluster()));
        write!(f, "LEASES={leases} CLUSTER={cluster}")
    }
}

/// What can be harmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Sidecar(usize),
    Envoy(usize),
    /// One of its masters.
    Redis(usize),
    Postgres,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// `SIGKILL`, and started again.
    Kill,
    /// `SIGSTOP`, and `SIGCONT`.
    Freeze,
    /// `SIGKILL`, and started again without what it had on disk.
    KillAndEmpty,
    /// It forgets everything while it runs.
    Flush,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) at: Duration,
    pub(super) part: Part,
    pub(super) harm: Harm,
    pub(super) lasts: Duration,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event {
            at,
            part,
            harm,
            lasts,
        } = self;
        let (at, lasts) = (at.as_secs_f64(), lasts.as_secs_f64());
        write!(f, "{at:7.2} s  {part:?}: {harm:?} for {lasts:.2} s")
    }
}

/// Longest pause between two events on average, in milliseconds.
const PAUSE_MS: u64 = 4_000;
/// The least time that a part is left alone after it was harmed, in milliseconds.
const PEACE_MS: u64 = 700;

/// Everything that happens within `span`. Each kind of harm comes as often as its share says, the
/// shortest run has all of them, and those to Envoys in its first half:
/// what they held takes a minute to expire.
pub(super) fn plan(dice: &mut Dice, places: usize, masters: usize, span: Duration) -> Vec<Event> {
    let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (mut events, mut deck): (Vec<Event>, Vec<(Part, Harm)>) = (Vec::new(), Vec::new());
    let mut free_ms: Vec<(Part, u64)> = Vec::new();
    let pause_ms = PAUSE_MS.min(span_ms / (deck_of(dice, places, masters).len() as u64 + 1));
    let mut at_ms = pause_ms;
    loop {
        if deck.is_empty() {
            deck = deck_of(dice, places, masters);
        }
        let Some((part, harm)) = deck.pop() else {
            break;
        };
        let free = free_ms.iter_mut().find(|(of, _)| *of == part);
        let start_ms = free.as_ref().map_or(0, |(_, free)| *free).max(at_ms);
        let lasts_ms = match harm {
            Harm::Flush => 0,
            Harm::Freeze => dice.between(300, 2_500),
            Harm::Kill | Harm::KillAndEmpty => dice.between(50, 3_000),
        };
        if start_ms + lasts_ms >= span_ms {
            break;
        }
        if matches!(part, Part::Envoy(_)) && start_ms > span_ms / 2 {
            continue;
        }
        let until_ms = start_ms + lasts_ms + PEACE_MS;
        match free {
            Some((_, free)) => *free = until_ms,
            None => free_ms.push((part, until_ms)),
        }
        events.push(Event {
            at: Duration::from_millis(start_ms),
            part,
            harm,
            lasts: Duration::from_millis(lasts_ms),
        });
        at_ms += dice.between(pause_ms / 2, pause_ms * 3 / 2);
    }
    events.sort_by_key(|event| event.at);
    events
}

fn deck_of(dice: &mut Dice, places: usize, masters: usize) -> Vec<(Part, Harm)> {
    let mut one_of = |count: usize| usize::try_from(dice.roll(count as u64)).unwrap_or(0);
    let redis = [Harm::Kill, Harm::KillAndEmpty, Harm::Flush, Harm::Freeze];
    let redis = redis.map(|harm| (Part::Redis(one_of(masters)), harm));
    let mut place = || one_of(places);
    let mut deck = vec![
        (Part::Sidecar(place()), Harm::Kill),
        (Part::Sidecar(place()), Harm::Kill),
        (Part::Sidecar(place()), Harm::Kill),
        (Part::Sidecar(place()), Harm::Freeze),
        (Part::Postgres, Harm::Kill),
        (Part::Postgres, Harm::Freeze),
    ];
    deck.extend(redis);
    let envoy = (Part::Envoy(place()), Harm::Kill);
    for index in (1..deck.len()).rev() {
        let other = usize::try_from(dice.roll(index as u64 + 1)).unwrap_or(0);
        deck.swap(index, other);
    }
    deck.push(envoy);
    deck
}
