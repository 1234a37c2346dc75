//! The first look at a block of rows that lie somewhere in memory: which of them may be among the best
//! of which probe.
//!
//! Few probes are multiplied with rows as they are, in single precision. For many it pays to code
//! the block in bytes first, and to estimate in single precision only what that leaves over.

use std::ops::Range;

use super::NumberRows;
use crate::code::{Probe, ProbeCode, inverse_length};
use crate::kernel::{
    Ahead, FloatProbes, Hit, Kernel, Limit, PackedProbes, PackedRows, ROWS_PER_GROUP, coded_values,
};

/// Rows that are multiplied with all probes before they are compared: a whole number of steps of each
/// kernel, and few enough that they are in a cache still.
const ROWS_AS_THEY_ARE: usize = 24;

/// Probes that are made ready for it. Shared by all threads.
#[derive(Debug)]
pub(super) struct FirstLook {
    kernel: Kernel,
    probes: Probes,
}

#[derive(Debug)]
enum Probes {
    /// To be multiplied with rows as they are.
    Single(FloatProbes),
    /// To be multiplied with rows in bytes; the probes divided by their lengths for what is left over.
    Coded {
        packed: PackedProbes,
        codes: Vec<ProbeCode>,
        units: Vec<Vec<f32>>,
    },
}

/// What a row must reach for each probe.
pub(super) struct Least {
    /// The similarity.
    pub(super) similarities: Vec<f64>,
    /// The estimate in single precision that it has then.
    pub(super) estimates: Vec<f32>,
}

/// A row that may be among the best of a probe.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) probe: usize,
    /// In its block.
    pub(super) row: usize,
    /// Of the similarity, in single precision.
    pub(super) estimate: f32,
}

/// What is left of a block.
#[derive(Default)]
pub(super) struct Left {
    pub(super) candidates: Vec<Candidate>,
    /// Rows of which nothing can be said, in their order.
    pub(super) unknown: Vec<usize>,
}

/// What one thread needs beside: memory to be used again.
pub(super) struct Room {
    /// One for each row, and one for each row and column.
    squares: Vec<f32>,
    dots: Vec<f32>,
    /// What rows must reach for each column, and infinity where there is no probe.
    columns: Vec<f32>,
    packed: PackedRows,
    /// One for each probe and what fills up the last step, and the similarities that they were made from.
    limits: Vec<Limit>,
    similarities: Vec<f64>,
    hits: Vec<Hit>,
}

impl FirstLook {
    /// For these probes, all of one dimension.
    pub(super) fn new(probes: &[Probe], dimension: usize, kernel: Kernel) -> FirstLook {
        let is_coded = kernel
            .code_probes_min()
            .is_some_and(|least| least <= probes.len());
        let units: Vec<Vec<f32>> = probes.iter().map(Probe::unit).collect();
        let probes = match is_coded {
            false => Probes::Single(FloatProbes::new(dimension, &units)),
            true => {
                let largest = kernel.form().probe_code_max();
                let codes = probes.iter().map(|probe| probe.code_of(largest));
                let codes: Vec<ProbeCode> = codes.collect();
                let numbers: Vec<&[i8]> = codes.iter().map(ProbeCode::numbers).collect();
                Probes::Coded {
                    packed: kernel.pack_probes(coded_values(dimension), &numbers),
                    codes,
                    units,
                }
            }
        };
        FirstLook { kernel, probes }
    }

    /// How many rows are looked at together at most.
    pub(super) fn rows_per_block(&self) -> usize {
        match self.probes {
            Probes::Single(_) => ROWS_AS_THEY_ARE,
            Probes::Coded { .. } => ROWS_PER_GROUP,
        }
    }

    /// What one thread needs.
    pub(super) fn room(&self) -> Room {
        let (columns, limits) = match &self.probes {
            Probes::Single(probes) => (probes.columns(), 0),
            Probes::Coded { packed, .. } => (0, packed.limits()),
        };
        Room {
            squares: vec![0.0; ROWS_AS_THEY_ARE],
            dots: vec![0.0; ROWS_AS_THEY_ARE * columns],
            columns: vec![f32::INFINITY; columns],
            packed: self.kernel.packed_rows(),
            limits: vec![Limit::NOTHING; limits],
            similarities: vec![f64::NAN; limits],
            hits: Vec::new(),
        }
    }

    /// Looks at a block of rows, and tells what is left of it. Memory is asked for the rows that come
    /// `ahead`, as many numbers of `all`.
    pub(super) fn look(
        &self,
        block: &[&[f32]],
        (all, ahead): (&impl NumberRows, Range<usize>),
        least: &Least,
        room: &mut Room,
        left: &mut Left,
    ) {
        left.candidates.clear();
        left.unknown.clear();
        match &self.probes {
            Probes::Single(probes) => {
                // All at once, which takes less than one after the other.
                let ahead: Vec<&[f32]> = match all.lying(ahead.clone()) {
                    Some(values) => values.chunks_exact(all.dimension()).collect(),
                    None => ahead.map_while(|at| all.lying(at..at + 1)).collect(),
                };
                self.multiply(probes, block, &ahead, least, room, left);
            }
            Probes::Coded {
                packed,
                codes,
                units,
            } => {
                let ahead = all.lying(ahead).unwrap_or_default();
                self.multiply_coded(packed, codes, block, ahead, least, room);
                self.estimate_hits(units, block, least, room, left);
            }
        }
    }

    /// Multiplies rows as they are.
    fn multiply(
        &self,
        probes: &FloatProbes,
        block: &[&[f32]],
        ahead: &[&[f32]],
        least: &Least,
        room: &mut Room,
        left: &mut Left,
    ) {
        let (count, columns) = (block.len(), probes.columns());
        let squares = &mut room.squares[..count];
        let dots = &mut room.dots[..count * columns];
        self.kernel.estimate(probes, block, ahead, squares, dots);
        room.columns[..least.estimates.len()].copy_from_slice(&least.estimates);
        for (row, &square) in squares.iter().enumerate() {
            match inverse_length(square) {
                Some(inverse) => {
                    let dots = &dots[row * columns..][..columns];
                    keep_candidates(row, dots, inverse, &room.columns, left);
                }
                None => left.unknown.push(row),
            }
        }
    }

    /// Codes rows and multiplies them: what is left are hits.
    fn multiply_coded(
        &self,
        packed: &PackedProbes,
        codes: &[ProbeCode],
        block: &[&[f32]],
        ahead: &[f32],
        least: &Least,
        room: &mut Room,
    ) {
        let made_from = room.similarities.iter_mut().zip(&mut room.limits);
        for ((made_from, limit), (code, &least)) in
            made_from.zip(codes.iter().zip(&least.similarities))
        {
            // They change rarely, and making one takes longer than to compare.
            if *made_from != least {
                (*made_from, *limit) = (least, code.limit(least));
            }
        }
        self.kernel.code(block, &mut room.packed);
        room.hits.clear();
        let (rows, limits) = (&room.packed, &room.limits);
        self.kernel.tile(
            packed,
            rows,
            0,
            limits,
            Ahead::values(ahead),
            &mut room.hits,
        );
    }

    /// Estimates in single precision what was left over in bytes.
    fn estimate_hits(
        &self,
        units: &[Vec<f32>],
        block: &[&[f32]],
        least: &Least,
        room: &Room,
        left: &mut Left,
    ) {
        let residuals = room.packed.bounds().residuals.iter().enumerate();
        let unknown = residuals.filter(|(_, residual)| residual.is_nan());
        left.unknown.extend(unknown.map(|(row, _)| row));
        let mut inverses = [None; ROWS_PER_GROUP];
        for hit in &room.hits {
            let (probe, row) = (hit.probe as usize, hit.row as usize);
            let inverse = *inverses[row].get_or_insert_with(|| {
                let square = self.kernel.dot(block[row], block[row]);
                inverse_length(square)
            });
            // A row that was coded has an estimate, but for the shortest.
            let estimate = inverse.map_or(f32::INFINITY, |inverse| {
                self.kernel.dot(block[row], &units[probe]) * inverse
            });
            if estimate >= least.estimates[probe] {
                left.candidates.push(Candidate {
                    probe,
                    row,
                    estimate,
                });
            }
        }
    }
}

/// Keeps the probes of which a row may be among the best.
fn keep_candidates(row: usize, dots: &[f32], inverse: f32, least: &[f32], left: &mut Left) {
    let (dots, _) = dots.as_chunks::<16>();
    let (least, _) = least.as_chunks::<16>();
    for (step, (dots, least)) in dots.iter().zip(least).enumerate() {
        let mut reached = 0_u32;
        for lane in 0..16 {
            reached |= u32::from(dots[lane] * inverse >= least[lane]) << lane;
        }
        while reached != 0 {
            let lane = reached.trailing_zeros() as usize;
            reached &= reached - 1;
            left.candidates.push(Candidate {
                probe: step * 16 + lane,
                row,
                estimate: dots[lane] * inverse,
            });
        }
    }
}
