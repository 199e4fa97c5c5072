//! One scope's limits and what counts against them.

use super::{Bound, Exceeded, Measure, RUNNING_WAIT_MS, Room, Window};
use crate::ledger::Scope;
use crate::wire::RateState;

/// One scope.
#[derive(Clone, Debug)]
pub(super) struct Account {
    scope: Scope,
    bounds: Vec<Bound>,
    /// What each limit looks at; those of limits that were taken away stay until they are idle.
    tracks: Vec<Track>,
    running: u64,
    /// Passes that name it.
    pins: u64,
    /// When it was last asked for.
    seen_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    measure: Measure,
    window_ms: u64,
    window: Window,
}

impl Account {
    pub(super) fn new(scope: Scope) -> Account {
        Account {
            scope,
            bounds: Vec::new(),
            tracks: Vec::new(),
            running: 0,
            pins: 0,
            seen_ms: 0,
        }
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn running(&self) -> u64 {
        self.running
    }

    pub(super) fn bounds(&self) -> &[Bound] {
        &self.bounds
    }

    pub(super) fn adopt(&mut self, running: u64, counted: &[(Measure, u64, Window)]) {
        self.running = running;
        for (measure, window_ms, window) in counted {
            let mut tracks = self.tracks.iter_mut();
            if let Some(track) =
                tracks.find(|track| (track.measure, track.window_ms) == (*measure, *window_ms))
            {
                track.window = *window;
            }
        }
    }

    pub(super) fn set_bounds(&mut self, bounds: &[Bound], now_ms: u64) {
        self.seen_ms = now_ms;
        if self.bounds == bounds {
            return;
        }
        self.bounds = bounds.to_vec();
        for bound in bounds {
            let known = |track: &Track| {
                (track.measure, track.window_ms) == (bound.measure, bound.window_ms)
            };
            if bound.measure != Measure::Running && !self.tracks.iter().any(known) {
                self.tracks.push(Track {
                    measure: bound.measure,
                    window_ms: bound.window_ms,
                    window: Window::default(),
                });
            }
        }
    }

    /// The limit that makes an exchange wait longest, if one does.
    pub(super) fn exceeded(&mut self, tokens: u64, now_ms: u64) -> Option<Exceeded> {
        let mut worst: Option<Exceeded> = None;
        for at in 0..self.bounds.len() {
            let Some(bound) = self.bounds.get(at).copied() else {
                break;
            };
            let Some((wait_ms, remaining)) = self.wait(&bound, tokens, now_ms) else {
                continue;
            };
            let longer =
                |other: &Exceeded| wait_ms.unwrap_or(u64::MAX) > other.wait_ms.unwrap_or(u64::MAX);
            if worst.as_ref().is_none_or(longer) {
                worst = Some(Exceeded {
                    bound,
                    kind: self.scope.kind(),
                    tokens,
                    wait_ms,
                    remaining,
                });
            }
        }
        worst
    }

    /// `None` when it fits, else how long it does not (`None` again for ever) and what is left.
    fn wait(&mut self, bound: &Bound, tokens: u64, now_ms: u64) -> Option<(Option<u64>, u64)> {
        let more = match bound.measure {
            Measure::Running => {
                let full = self.running >= bound.limit;
                return full.then_some((Some(RUNNING_WAIT_MS), 0));
            }
            Measure::Requests => 1,
            // Without a token of its own it is still refused while others are over the limit.
            Measure::Tokens => tokens.max(1),
        };
        let (limit, length_ms) = (bound.limit, bound.window_ms);
        let window = find(&mut self.tracks, bound)?;
        if window.fits(more, limit, length_ms, now_ms) {
            return None;
        }
        let left = window.state(limit, length_ms, now_ms).remaining;
        Some((window.wait_ms(more, limit, length_ms, now_ms), left))
    }

    pub(super) fn states(&mut self, now_ms: u64) -> impl Iterator<Item = (Measure, RateState)> {
        let Account { bounds, tracks, .. } = self;
        bounds.iter().filter_map(move |bound| {
            let window = find(tracks, bound)?;
            let state = window.state(bound.limit, bound.window_ms, now_ms);
            Some((bound.measure, state))
        })
    }

    /// Lowers `room` to what is left here.
    pub(super) fn narrow(&mut self, room: &mut Room, now_ms: u64) {
        let running = self.running;
        for bound in &self.bounds {
            let place = match bound.measure {
                Measure::Requests => &mut room.requests,
                Measure::Tokens => &mut room.tokens,
                Measure::Running => &mut room.running,
            };
            let (left, until_ms) = match find(&mut self.tracks, bound) {
                Some(window) => {
                    let state = window.state(bound.limit, bound.window_ms, now_ms);
                    let until_ms = now_ms.saturating_add(state.reset_ms);
                    (state.remaining, Some(until_ms))
                }
                None => (bound.limit.saturating_sub(running), None),
            };
            *place = Some(place.unwrap_or(u64::MAX).min(left));
            if let Some(until_ms) = until_ms {
                room.until_ms = Some(room.until_ms.unwrap_or(u64::MAX).min(until_ms));
            }
        }
    }

    pub(super) fn add(&mut self, measure: Measure, more: u64, at_ms: u64) {
        for track in &mut self.tracks {
            if track.measure == measure {
                track.window.count(more, track.window_ms, at_ms);
            }
        }
    }

    pub(super) fn take(&mut self, measure: Measure, less: u64, at_ms: u64, now_ms: u64) {
        for track in &mut self.tracks {
            if track.measure == measure {
                track.window.give_back(less, at_ms, track.window_ms, now_ms);
            }
        }
    }

    pub(super) fn pin(&mut self, running: u64) {
        self.pins = self.pins.saturating_add(1);
        self.running = self.running.saturating_add(running);
    }

    pub(super) fn unpin(&mut self, running: u64) {
        self.pins = self.pins.saturating_sub(1);
        self.stop(running);
    }

    pub(super) fn stop(&mut self, running: u64) {
        self.running = self.running.saturating_sub(running);
    }

    /// Whether nothing would be lost with it. A scope that was just asked for is about to count.
    pub(super) fn is_idle(&mut self, now_ms: u64) -> bool {
        let idle = |track: &mut Track| track.window.is_idle(track.window_ms, now_ms);
        self.pins == 0 && self.seen_ms < now_ms && self.tracks.iter_mut().all(idle)
    }
}

fn find<'a>(tracks: &'a mut [Track], bound: &Bound) -> Option<&'a mut Window> {
    let wanted = (bound.measure, bound.window_ms);
    let mut all = tracks.iter_mut();
    let track = all.find(|track| (track.measure, track.window_ms) == wanted)?;
    Some(&mut track.window)
}
