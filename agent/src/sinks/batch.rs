//! Records that are sent together, and how a batch that is refused is halved down to the records at fault. Pure.

use std::ops::Range;

use super::Record;

/// Records on their way out, in order.
#[derive(Debug)]
pub(super) struct Batch {
    records: Vec<Record>,
    /// Parts that are still to be sent, none of them empty. The last one is the next.
    parts: Vec<Range<usize>>,
}

impl Batch {
    pub(super) fn new(records: Vec<Record>) -> Self {
        let parts = std::iter::once(0..records.len()).filter(|part| !part.is_empty()).collect();
        Self { records, parts }
    }

    /// The records to send next; none at the end.
    pub(super) fn next(&self) -> &[Record] {
        self.parts.last().and_then(|part| self.records.get(part.clone())).unwrap_or_default()
    }

    /// Notes that the first `count` of [`Self::next`] are delivered; returns them.
    pub(super) fn take(&mut self, count: usize) -> &[Record] {
        let Some(part) = self.parts.pop() else { return &[] };
        let end = part.end.min(part.start.saturating_add(count));
        if end < part.end {
            self.parts.push(end..part.end);
        }
        self.records.get(part.start..end).unwrap_or_default()
    }

    /// Halves [`Self::next`], which was refused. A record that is refused alone is returned and not sent again.
    pub(super) fn split(&mut self) -> Option<&Record> {
        let part = self.parts.pop()?;
        if part.len() == 1 {
            return self.records.get(part.start);
        }
        let middle = part.start + part.len() / 2;
        self.parts.extend([middle..part.end, part.start..middle]);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn batch(count: u64) -> Batch {
        let record = |seq| Record { seq, is_lost: false, json: Vec::new().into() };
        Batch::new((0..count).map(record).collect())
    }

    fn seqs(records: &[Record]) -> Vec<u64> {
        records.iter().map(|record| record.seq).collect()
    }

    /// What a target got of a batch, and how many requests that took.
    #[derive(Default, Debug, PartialEq)]
    struct Outcome {
        delivered: Vec<u64>,
        dropped: Vec<u64>,
        requests: usize,
    }

    /// Sends a batch to a target that takes all of a request or nothing, or (`one_by_one`) each record up to a poisoned one.
    /// Each number of `broken` is a request that ends after so many records.
    fn send(count: u64, poison: &BTreeSet<u64>, one_by_one: bool, mut broken: Vec<usize>) -> Outcome {
        let (mut batch, mut outcome) = (batch(count), Outcome::default());
        while let [_, ..] = batch.next() {
            outcome.requests += 1;
            let part = seqs(batch.next());
            let sound = part.iter().position(|seq| poison.contains(seq)).unwrap_or(part.len());
            let (taken, is_refused) = match broken.pop() {
                Some(after) => (if one_by_one { after.min(sound) } else { 0 }, false),
                None if one_by_one => (sound, sound < part.len()),
                None if sound == part.len() => (sound, false),
                None => (0, true),
            };
            outcome.delivered.extend(seqs(batch.take(taken)));
            if is_refused {
                outcome.dropped.extend(batch.split().map(|record| record.seq));
            }
        }
        outcome
    }

    #[test]
    fn the_requests_for_one_refused_record_are_twice_the_halvings() {
        for (poison, dropped, requests) in
            [(vec![], vec![], 1), (vec![0], vec![0], 7), (vec![7], vec![7], 7), (vec![3, 4], vec![3, 4], 11)]
        {
            let outcome = send(8, &poison.iter().copied().collect(), false, Vec::new());
            let delivered: Vec<u64> = (0..8).filter(|seq| !poison.contains(seq)).collect();
            assert_eq!(outcome, Outcome { delivered, dropped, requests });
        }
    }

    #[test]
    fn an_empty_batch_is_at_its_end() {
        let mut empty = batch(0);
        assert!(empty.next().is_empty() && empty.take(3).is_empty() && empty.split().is_none());
    }

    proptest! {
        #[test]
        fn exactly_the_poisoned_records_are_dropped_and_all_others_are_delivered_once_and_in_order(
            count in 1u64..200,
            poison in proptest::collection::btree_set(0u64..200, 0..40),
            one_by_one: bool,
            broken in proptest::collection::vec(0usize..50, 0..8),
        ) {
            let outcome = send(count, &poison, one_by_one, broken.clone());
            let wanted = |is_poison| (0..count).filter(|seq| poison.contains(seq) == is_poison).collect::<Vec<_>>();
            prop_assert_eq!(&outcome.delivered, &wanted(false));
            prop_assert_eq!(&outcome.dropped, &wanted(true));
            let halvings = 8;
            prop_assert!(outcome.requests <= 1 + broken.len() + 2 * halvings * outcome.dropped.len());
        }
    }
}
