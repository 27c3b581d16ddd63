//! Positions in the log, and where on disk they are.
//!
//! ```text
//! records   1 2 3 4 5 6 7 8 9 | cut from 5 | 5' 6' 7'
//! runs      first 1, count 4, samples [offset of 1]
//!           first 5, count 3, samples [offset of 5']
//! ```
//!
//! A run is a row of records without a gap and without dead records in between. Of every
//! [`STRIDE`]th record of a run the offset is kept; the others are found by walking from there.

use std::fmt;
use std::ops::Range;

/// Position of a record in the log, from 1; 0 is before the first.
#[doc(alias = "lsn")]
#[doc(alias = "offset")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Index(pub u64);

impl Index {
    /// The largest there can be: a frame has 56 bits for it.
    pub const MAX: Self = Self((1 << 56) - 1);

    /// Returns the index `count` records further on.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.checked_add(count).expect("an index fits 64 bits"))
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A row of records, and the offset of every [`STRIDE`]th.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) count: u32,
    /// In units of 8 bytes.
    pub(crate) samples: Vec<u32>,
}

impl Run {
    pub(crate) const fn end(&self) -> u64 {
        self.first + self.count as u64
    }
}

/// The live records of one segment.
///
/// # Invariants
///
/// Runs are in order of their indexes and do not overlap; none is empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Runs {
    pub(crate) runs: Vec<Run>,
    /// The last run is followed by dead records, so the next record starts a run.
    is_broken: bool,
}

/// Where to start looking for a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// Offset of a record of the same run, at or before it.
    pub(crate) offset: u64,
    /// The index of that record.
    pub(crate) first: u64,
    /// End of the run: what lies behind must be looked up again.
    pub(crate) run_end: u64,
}

impl Runs {
    pub(crate) const fn from_footer(runs: Vec<Run>) -> Self {
        Self { runs, is_broken: false }
    }

    /// Adds the record `index` at `offset`, behind all others.
    pub(crate) fn push(&mut self, index: u64, offset: u64) {
        let sample = u32::try_from(offset / 8).expect("a segment is shorter than 32 GiB");
        match self.runs.last_mut() {
            Some(run) if run.end() == index && !self.is_broken && run.count < u32::MAX => {
                if run.count.is_multiple_of(STRIDE) {
                    run.samples.push(sample);
                }
                run.count += 1;
            }
            _ => {
                self.runs.push(Run { first: index, count: 1, samples: vec![sample] });
                self.is_broken = false;
            }
        }
    }

    /// Takes note that what follows cannot be walked to from the last record.
    pub(crate) const fn end_run(&mut self) {
        self.is_broken = true;
    }

    /// Forgets the records from `from` on.
    pub(crate) fn cut(&mut self, from: u64) {
        while let Some(run) = self.runs.last_mut()
            && from < run.end()
        {
            self.is_broken = true;
            if from <= run.first {
                self.runs.pop();
                continue;
            }
            run.count = u32::try_from(from - run.first).expect("shorter than it was");
            run.samples.truncate(run.count.div_ceil(STRIDE) as usize);
        }
    }

    /// Returns the indexes of the records, in rows without a gap.
    pub(crate) fn rows(&self) -> Vec<Range<u64>> {
        let mut rows: Vec<Range<u64>> = Vec::new();
        for run in &self.runs {
            match rows.last_mut() {
                Some(row) if row.end == run.first => row.end = run.end(),
                _ => rows.push(run.first..run.end()),
            }
        }
        rows
    }

    /// Returns about how much memory this takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let run_bytes = |run: &Run| size_of::<Run>() + run.samples.len() * size_of::<u32>();
        self.runs.iter().map(run_bytes).sum()
    }

    /// Returns where to look for `index`. O(log runs).
    pub(crate) fn find(&self, index: u64) -> Option<Place> {
        let at = self.runs.partition_point(|run| run.end() <= index);
        let run = self.runs.get(at).filter(|run| run.first <= index)?;
        let sample = usize::try_from((index - run.first) / u64::from(STRIDE)).ok()?;
        let offset = u64::from(*run.samples.get(sample)?) * 8;
        let first = run.first + sample as u64 * u64::from(STRIDE);
        Some(Place { offset, first, run_end: run.end() })
    }
}

/// Forgets the indexes from `from` on.
pub(crate) fn cut_rows(rows: &mut Vec<Range<u64>>, from: u64) {
    while let Some(row) = rows.pop_if(|row| from < row.end) {
        if row.start < from {
            rows.push(row.start..from);
        }
    }
}

/// Every how many records of a run an offset is kept: 0.5 bytes per record, and seven frame heads
/// to walk at worst.
pub(crate) const STRIDE: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_ends_a_run_and_the_rewrite_starts_one() {
        let mut runs = Runs::default();
        (1..=20).for_each(|index| runs.push(index, index * 32));
        assert_eq!(runs.find(20), Some(Place { offset: 17 * 32, first: 17, run_end: 21 }));
        runs.cut(10);
        runs.push(10, 4_000);
        assert_eq!(runs.find(9), Some(Place { offset: 9 * 32, first: 9, run_end: 10 }));
        assert_eq!(runs.find(10), Some(Place { offset: 4_000, first: 10, run_end: 11 }));
        assert_eq!(runs.runs[0].samples.len(), 2);
        runs.cut(11);
        runs.push(11, 4_032);
        assert_eq!(runs.runs.len(), 2, "nothing was cut, nothing is dead");
        assert_eq!(runs.rows().len(), 1, "two runs, one row");
        assert_eq!(runs.rows()[0], 1..12);
        runs.cut(1);
        assert_eq!(runs.runs, []);
    }

    #[test]
    fn rows_are_cut_anywhere() {
        let cut = |from| {
            let mut rows = vec![1..5, 7..9];
            cut_rows(&mut rows, from);
            rows
        };
        assert_eq!(cut(9), [1..5, 7..9]);
        assert_eq!(cut(8), [1..5, 7..8]);
        assert_eq!(cut(7), cut(5));
        assert!(cut(3).len() == 1 && cut(3)[0] == (1..3));
        assert!(cut(1).is_empty());
    }
}
