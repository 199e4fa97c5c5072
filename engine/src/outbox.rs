//! Records that the sidecar has not acknowledged, in the order in which exchanges ended.

use std::collections::VecDeque;

use crate::limits::RECORDS_QUEUED_MAX;
use crate::wire::{Parcel, UsageRecord};

/// What waits to be settled.
#[derive(Debug, Default)]
pub struct Outbox {
    parcels: VecDeque<Parcel>,
    /// Records in them.
    count: usize,
    /// One that is empty: its room is used again.
    spare: Option<Parcel>,
}

impl Outbox {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Keeps a record until it is settled. Above [`RECORDS_QUEUED_MAX`] the oldest that costs nothing goes:
    /// a refusal is no loss. Where there is none, the oldest goes.
    pub fn push(&mut self, record: UsageRecord) {
        if self.count >= RECORDS_QUEUED_MAX {
            self.make_room();
        }
        if self.parcels.back().is_none_or(Parcel::is_full) {
            self.parcels
                .push_back(self.spare.take().unwrap_or_default());
        }
        if let Some(parcel) = self.parcels.back_mut() {
            parcel.push(record);
            self.count = self.count.saturating_add(1);
        }
    }

    /// The records of the next settlement. What comes of them is said by [`Outbox::settled`] or
    /// [`Outbox::give_back`].
    pub fn take(&mut self) -> Option<Parcel> {
        let parcel = self.parcels.pop_front()?;
        self.count = self.count.saturating_sub(parcel.len());
        Some(parcel)
    }

    /// These are durable.
    pub fn settled(&mut self, mut parcel: Parcel) {
        parcel.clear();
        self.spare = Some(parcel);
    }

    /// These are not acknowledged and come first again. The sidecar knows those it has seen, so sending
    /// one twice does no harm; losing one would.
    pub fn give_back(&mut self, parcel: Parcel) {
        if !parcel.is_empty() {
            self.count = self.count.saturating_add(parcel.len());
            self.parcels.push_front(parcel);
        }
    }

    fn make_room(&mut self) {
        let mut parcels = self.parcels.iter();
        let free = parcels.position(|parcel| parcel.free() > 0);
        let place = free.unwrap_or(0);
        let Some(parcel) = self.parcels.get_mut(place) else {
            return;
        };
        if parcel.remove(free.is_some()) {
            self.count = self.count.saturating_sub(1);
        }
        if parcel.is_empty() {
            self.parcels.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECORDS_PER_SETTLE_MAX;
    use crate::wire::Settle;
    use crate::wire::sample_record;

    fn numbered(number: usize, cost_nano: i64) -> UsageRecord {
        UsageRecord {
            exchange: number.to_string(),
            cost_nano,
            ..sample_record()
        }
    }

    fn exchanges(parcel: &Parcel) -> Vec<usize> {
        let settle = Settle::read(&parcel.body(&[])).unwrap();
        let records = settle.records.iter();
        records.map(|it| it.exchange.parse().unwrap()).collect()
    }

    #[test]
    fn batches_are_bounded_and_what_is_not_acknowledged_comes_first_again() {
        let mut outbox = Outbox::default();
        assert!(outbox.is_empty() && outbox.take().is_none());
        let all = RECORDS_PER_SETTLE_MAX + 3;
        (0..all).for_each(|number| outbox.push(numbered(number, 1)));
        let first = outbox.take().unwrap();
        let wanted: Vec<usize> = (0..RECORDS_PER_SETTLE_MAX).collect();
        assert_eq!(exchanges(&first), wanted);
        outbox.push(numbered(all, 1));
        outbox.give_back(first);
        let first = outbox.take().unwrap();
        assert_eq!(exchanges(&first), wanted);
        outbox.settled(first);
        let rest = outbox.take().unwrap();
        let wanted: Vec<usize> = (RECORDS_PER_SETTLE_MAX..=all).collect();
        assert_eq!(exchanges(&rest), wanted);
        outbox.settled(rest);
        assert!(outbox.is_empty());
        outbox.push(numbered(7, 1));
        assert_eq!(exchanges(&outbox.take().unwrap()), [7]);
    }

    #[test]
    fn refusals_go_first_then_the_oldest() {
        let mut outbox = Outbox::default();
        let free = [3, RECORDS_PER_SETTLE_MAX + 1];
        for number in 0..RECORDS_QUEUED_MAX {
            let cost_nano = i64::from(!free.contains(&number));
            outbox.push(numbered(number, cost_nano));
        }
        let gone = [3, RECORDS_PER_SETTLE_MAX + 1, 0, 1];
        for new in 0..gone.len() {
            outbox.push(numbered(RECORDS_QUEUED_MAX + new, 1));
        }
        let mut kept = Vec::new();
        while let Some(parcel) = outbox.take() {
            kept.extend(exchanges(&parcel));
        }
        let all = 0..RECORDS_QUEUED_MAX + gone.len();
        let wanted: Vec<usize> = all.filter(|number| !gone.contains(number)).collect();
        assert_eq!(kept, wanted);
        assert!(outbox.is_empty());
    }
}
