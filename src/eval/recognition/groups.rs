//! Whether errors differ between groups of people.
//!
//! Two figures say how much. The worst group over the geometric mean of all is what NIST settled on
//! as Max/GeoMean, 1 where all are alike (Grother 2022, NISTIR 8429, "FRVT Part 8: Summarizing
//! Demographic Differentials"). The Gini coefficient of their rates, with n / (n - 1) for few groups,
//! is what GARBE weighs of both errors (Howard and others 2022, arXiv 2203.05051).

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::rate::Rate;
use crate::types::ClassId;

/// The group of each person, as far as it is known.
pub type Groups = BTreeMap<ClassId, String>;

/// Errors of people of one group, at the threshold for all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// How many people of it there are.
    pub people: usize,
    /// FNIR, or FNMR.
    pub false_negative: Rate,
    /// FPIR of probes of the group, or FMR of comparisons within it.
    pub false_positive: Rate,
}

/// How much a rate differs between groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Differential {
    /// The rate of the worst group over the geometric mean of all; `None` where a group has no
    /// error.
    pub mxog: Option<f64>,
    /// The Gini coefficient of the rates, with n / (n - 1) for few groups: 0 where all are alike, 1
    /// where one group has all errors; `None` without any error.
    pub gini: Option<f64>,
    /// The group with the highest rate.
    pub worst: String,
}

/// All groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// The threshold for all.
    pub threshold: f64,
    /// The groups by name.
    pub groups: Vec<Group>,
    /// People of no known group, who are left out.
    pub people_without: usize,
    /// Of FNIR, or FNMR; `None` with fewer than two groups.
    pub false_negative: Option<Differential>,
    /// Of FPIR, or FMR.
    pub false_positive: Option<Differential>,
}

/// What is counted of one group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) people: usize,
    pub(super) mated: usize,
    pub(super) missed: usize,
    pub(super) strangers: usize,
    pub(super) named: usize,
}

impl GroupReport {
    pub(super) fn of(
        threshold: f64,
        counts: BTreeMap<String, Counts>,
        people_without: usize,
    ) -> GroupReport {
        let groups: Vec<Group> = counts
            .into_iter()
            .map(|(name, counts)| Group {
                name,
                people: counts.people,
                false_negative: Rate::of(counts.missed, counts.mated),
                false_positive: Rate::of(counts.named, counts.strangers),
            })
            .collect();
        GroupReport {
            threshold,
            people_without,
            false_negative: Differential::of(&groups, |group| group.false_negative),
            false_positive: Differential::of(&groups, |group| group.false_positive),
            groups,
        }
    }
}

impl Differential {
    /// Of the groups of which there are trials.
    fn of(groups: &[Group], rate: impl Fn(&Group) -> Rate) -> Option<Differential> {
        let tried: Vec<&Group> = groups.iter().filter(|it| rate(it).total > 0).collect();
        let rates: Vec<f64> = tried.iter().map(|group| rate(group).rate).collect();
        if rates.len() < 2 {
            return None;
        }
        let worst = tried
            .iter()
            .max_by(|a, b| rate(a).rate.total_cmp(&rate(b).rate))?;
        let (count, most) = (rates.len() as f64, rate(worst).rate);
        let logarithms: f64 = rates.iter().map(|rate| rate.ln()).sum();
        let geometric_mean = (logarithms / count).exp();
        let mean = rates.iter().sum::<f64>() / count;
        let distances: f64 = rates
            .iter()
            .flat_map(|one| rates.iter().map(move |other| (one - other).abs()))
            .sum();
        let gini = count / (count - 1.0) * distances / (2.0 * count * count * mean);
        Some(Differential {
            mxog: (geometric_mean > 0.0).then(|| most / geometric_mean),
            gini: (mean > 0.0).then_some(gini),
            worst: worst.name.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(groups: &[(&str, usize, usize)]) -> GroupReport {
        let counts = groups.iter().map(|&(name, missed, mated)| {
            let counts = Counts {
                people: 1,
                mated,
                missed,
                ..Counts::default()
            };
            (name.to_owned(), counts)
        });
        GroupReport::of(0.4, counts.collect(), 0)
    }

    #[test]
    fn differentials_are_those_of_the_papers() {
        // Rates of 0.01, 0.02 and 0.04: the geometric mean is 0.02.
        let differential = report(&[("a", 1, 100), ("b", 2, 100), ("c", 4, 100)]);
        let differential = differential.false_negative.unwrap();
        assert!((differential.mxog.unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(differential.worst, "c");
        // Distances 1, 3 and 2, each twice: 12 / (2 * 9 * 7 / 3) * 3 / 2.
        assert!((differential.gini.unwrap() - 12.0 / 42.0 * 1.5).abs() < 1e-12);
        // Rates of 0.001, 0.002, 0.004 and 0.008: the geometric mean is 0.001 64^(1/4), the mean
        // 0.00375. Distances 1, 3, 7, 2, 6 and 4, each twice: 46 / (2 * 16 * 3.75) * 4 / 3.
        let four = report(&[
            ("a", 1, 1000),
            ("b", 4, 2000),
            ("c", 4, 1000),
            ("d", 8, 1000),
        ]);
        let four = four.false_negative.unwrap();
        assert!((four.mxog.unwrap() - 8.0_f64.sqrt()).abs() < 1e-12);
        assert!((four.gini.unwrap() - 23.0 / 45.0).abs() < 1e-12);
        let alike = report(&[("a", 2, 100), ("b", 4, 200)])
            .false_negative
            .unwrap();
        assert_eq!((alike.mxog, alike.gini), (Some(1.0), Some(0.0)));
        let one = report(&[("a", 0, 100), ("b", 4, 100)])
            .false_negative
            .unwrap();
        assert_eq!(
            one.mxog, None,
            "without an error there is no geometric mean"
        );
        assert!((one.gini.unwrap() - 1.0).abs() < 1e-12);
        let none = report(&[("a", 0, 100), ("b", 0, 100)])
            .false_negative
            .unwrap();
        assert_eq!((none.mxog, none.gini), (None, None));
        assert_eq!(report(&[("a", 1, 100), ("b", 0, 0)]).false_negative, None);
        assert_eq!(report(&[("a", 1, 100), ("b", 1, 100)]).false_positive, None);
    }
}
