//! Which segments of a partition to make anew. Deciding is here, doing is in [`super::rewrite`].
//!
//! Every segment costs a search a little, and every removed row costs it as much as a live one, so
//! that segments of like size are merged and segments with many removed rows are written without
//! them. Sizes grow by a factor of [`FAN_IN`], so that a row is written about log₄(n / 16,384)
//! times while a partition grows to n rows.

use crate::partition::tail::TAIL_ROWS_MAX;

/// No segment is made larger by merging: what is written at once, and what one damaged file takes
/// with it, stay bounded.
pub(super) const SEGMENT_ROWS_MAX: usize = 4_194_304;

/// As many segments of like size are merged into one.
const FAN_IN: usize = 4;

/// A segment with at least this share of removed rows is written anew: one in four.
const REMOVED_SHARE_MAX: usize = 4;

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentStats {
    pub(in crate::partition) segment: u64,
    /// Removed ones included.
    pub(in crate::partition) rows: usize,
    pub(in crate::partition) removed: usize,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The partition is in order.
    Nothing,
    /// Write the tail into a segment.
    Seal,
    /// Write the live rows of these segments into one; into none if there are no live rows.
    Merge(Vec<u64>),
}

impl SegmentStats {
    fn live(&self) -> usize {
        self.rows - self.removed
    }

    /// Segments of one tier are of like size.
    fn tier(&self) -> u32 {
        (self.live() / TAIL_ROWS_MAX).max(1).ilog(FAN_IN)
    }
}

/// What is due in the ordinary course of things.
pub(super) fn choose(tail_rows: usize, segments: &[SegmentStats]) -> Choice {
    if tail_rows >= TAIL_ROWS_MAX {
        return Choice::Seal;
    }
    let wasteful = segments
        .iter()
        .find(|stats| stats.removed > 0 && stats.removed * REMOVED_SHARE_MAX >= stats.rows);
    if let Some(stats) = wasteful {
        return Choice::Merge(vec![stats.segment]);
    }
    let tiers = segments.iter().map(SegmentStats::tier).max().unwrap_or(0);
    for tier in 0..=tiers {
        let alike = segments.iter().filter(|stats| stats.tier() == tier);
        let group = fitting(alike.take(2 * FAN_IN).copied());
        if group.len() >= FAN_IN {
            return Choice::Merge(group);
        }
    }
    Choice::Nothing
}

/// What is left to do until the partition is as small as it can be: no tail, no removed rows, as
/// few segments as their size allows.
pub(super) fn choose_thoroughly(tail_rows: usize, segments: &[SegmentStats]) -> Choice {
    if tail_rows > 0 {
        return Choice::Seal;
    }
    let mut rising = segments.to_vec();
    rising.sort_by_key(|stats| (stats.live(), stats.segment));
    let group = fitting(rising.iter().copied());
    if group.len() > 1 {
        return Choice::Merge(group);
    }
    match segments.iter().find(|stats| stats.removed > 0) {
        Some(stats) => Choice::Merge(vec![stats.segment]),
        None => Choice::Nothing,
    }
}

/// The first of these segments that together make no segment that is too large.
fn fitting(segments: impl Iterator<Item = SegmentStats>) -> Vec<u64> {
    let mut rows = 0;
    let fitting = segments.take_while(|stats| {
        rows += stats.live();
        rows <= SEGMENT_ROWS_MAX
    });
    fitting.map(|stats| stats.segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments numbered from 1, each given as (rows, removed).
    fn segments(sizes: &[(usize, usize)]) -> Vec<SegmentStats> {
        (1..)
            .zip(sizes)
            .map(|(segment, &(rows, removed))| SegmentStats {
                segment,
                rows,
                removed,
            })
            .collect()
    }

    const K16: usize = TAIL_ROWS_MAX;

    #[test]
    fn what_is_due() {
        let merge = |segments: &[u64]| Choice::Merge(segments.to_vec());
        let large = SEGMENT_ROWS_MAX;
        for (why, tail, sizes, expected) in [
            ("nothing there", 0, &[][..], Choice::Nothing),
            ("a short tail stays", K16 - 1, &[], Choice::Nothing),
            ("a long tail is sealed", K16, &[], Choice::Seal),
            ("the tail comes first", K16, &[(100, 100)], Choice::Seal),
            ("three alike stay", 0, &[(K16, 0); 3], Choice::Nothing),
            (
                "four alike are merged",
                0,
                &[(K16, 0); 4],
                merge(&[1, 2, 3, 4]),
            ),
            (
                "small ones are alike whatever their size",
                0,
                &[(1, 0), (K16, 0), (500, 0), (7, 0)],
                merge(&[1, 2, 3, 4]),
            ),
            (
                "larger ones are left out",
                0,
                &[(K16, 0), (9 * K16, 0), (K16, 0), (K16, 0), (K16, 0)],
                merge(&[1, 3, 4, 5]),
            ),
            (
                "many alike go at once, but not all",
                0,
                &[(K16, 0); 20],
                merge(&[1, 2, 3, 4, 5, 6, 7, 8]),
            ),
            (
                "the smallest come first",
                0,
                &[
                    (5 * K16, 0),
                    (5 * K16, 0),
                    (5 * K16, 0),
                    (5 * K16, 0),
                    (1, 0),
                    (1, 0),
                    (1, 0),
                    (1, 0),
                ],
                merge(&[5, 6, 7, 8]),
            ),
            ("a quarter removed", 0, &[(100, 0), (100, 25)], merge(&[2])),
            (
                "less than a quarter removed",
                0,
                &[(100, 24)],
                Choice::Nothing,
            ),
            ("all removed", 0, &[(100, 100)], merge(&[1])),
            (
                "an empty one is not wasteful",
                0,
                &[(0, 0)],
                Choice::Nothing,
            ),
            (
                "what would be too large stays",
                0,
                &[
                    (large / 3, 0),
                    (large / 3, 0),
                    (large / 3, 0),
                    (large / 3, 0),
                ],
                Choice::Nothing,
            ),
            (
                "as many as fit",
                0,
                &[
                    (large / 5, 0),
                    (large / 5, 0),
                    (large / 5, 0),
                    (large / 5, 0),
                    (large / 5, 0),
                    (large / 5, 0),
                ],
                merge(&[1, 2, 3, 4, 5]),
            ),
        ] {
            assert_eq!(choose(tail, &segments(sizes)), expected, "{why}");
        }
    }

    #[test]
    fn what_is_left_to_do_thoroughly() {
        let merge = |segments: &[u64]| Choice::Merge(segments.to_vec());
        let large = SEGMENT_ROWS_MAX;
        for (why, tail, sizes, expected) in [
            ("nothing there", 0, &[][..], Choice::Nothing),
            ("any tail is sealed", 1, &[], Choice::Seal),
            ("one whole segment", 0, &[(100, 0)], Choice::Nothing),
            ("one removed row", 0, &[(100, 1)], merge(&[1])),
            (
                "any two are merged",
                0,
                &[(9 * K16, 0), (1, 0)],
                merge(&[2, 1]),
            ),
            (
                "two that do not fit",
                0,
                &[(large, 0), (large, 0)],
                Choice::Nothing,
            ),
            (
                "two that do not fit, one wasteful",
                0,
                &[(large, 0), (large, 9)],
                merge(&[2]),
            ),
            (
                "the small ones fit",
                0,
                &[(large, 0), (1, 0), (2, 0)],
                merge(&[2, 3]),
            ),
        ] {
            assert_eq!(choose_thoroughly(tail, &segments(sizes)), expected, "{why}");
        }
    }

    #[test]
    fn both_come_to_an_end() {
        for choose in [choose, choose_thoroughly] {
            for seed in 1..200_usize {
                let size = |at: usize| (at * 7919 * seed) % 3_000_000;
                let mut all: Vec<SegmentStats> = (0..40)
                    .map(|at| SegmentStats {
                        segment: at as u64,
                        rows: size(at),
                        removed: size(at) / (1 + at % 7),
                    })
                    .collect();
                let mut steps = 0;
                while let Choice::Merge(group) = choose(0, &all) {
                    let merged = all.iter().filter(|stats| group.contains(&stats.segment));
                    let rows = merged.map(SegmentStats::live).sum();
                    assert!(rows <= SEGMENT_ROWS_MAX);
                    all.retain(|stats| !group.contains(&stats.segment));
                    steps += 1;
                    let segment = 1000 + steps;
                    if rows > 0 {
                        all.push(SegmentStats {
                            segment,
                            rows,
                            removed: 0,
                        });
                    }
                    assert!(steps < 100, "seed {seed} goes in circles");
                }
            }
        }
    }
}
