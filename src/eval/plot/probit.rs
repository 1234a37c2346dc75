//! The scale of normal deviates, on which errors of a normal distribution are a straight line. A DET
//! has it on both axes (Martin and others 1997).

/// Shares that may be ticks of an axis.
const TICKS: [f64; 21] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9,
    0.95, 0.98, 0.99, 0.995, 0.998, 0.999,
];

/// An axis of shares, whose ends stand for 0 and 1: those have no normal deviate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// The share that 0 is drawn at.
    least: f64,
}

impl Axis {
    /// An axis for shares of at most `total`, so that one of them stands apart from none.
    pub(super) fn of(total: usize) -> Axis {
        let one = 1.0 / (total.max(1) as f64);
        let below = TICKS.into_iter().take_while(|tick| *tick < 0.7 * one);
        let least = below.last().unwrap_or(TICKS[0]).min(0.02);
        Axis { least }
    }

    /// Where a share stands, from 0 to 1.
    pub(super) fn place(self, share: f64) -> f64 {
        let (low, high) = (quantile(self.least), quantile(1.0 - self.least));
        let place = quantile(share.clamp(self.least, 1.0 - self.least));
        (place - low) / (high - low)
    }

    /// The shares that are ticks, with the ends.
    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        let most = 1.0 - self.least;
        let inner = TICKS.into_iter();
        let inner =
            inner.filter(move |tick| *tick > 1.5 * self.least && *tick < most - 0.5 * self.least);
        [0.0].into_iter().chain(inner).chain([1.0])
    }
}

/// The quantile of the standard normal distribution, to eight digits: Wichura's AS 241, PPND7.
///
/// `share` is between 0 and 1, without these.
fn quantile(share: f64) -> f64 {
    let central = share - 0.5;
    if central.abs() <= 0.425 {
        let r = 0.180_625 - central * central;
        let above =
            ((59.109_374_720 * r + 159.291_132_02) * r + 50.434_271_938) * r + 3.387_132_717_9;
        let below = ((67.187_563_600 * r + 78.757_757_664) * r + 17.895_169_469) * r + 1.0;
        return central * above / below;
    }
    let tail = if central < 0.0 { share } else { 1.0 - share };
    let r = (-tail.ln()).sqrt();
    let size = if r <= 5.0 {
        let r = r - 1.6;
        let above =
            ((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_390_0) * r + 1.423_437_277_7;
        let below = (0.120_211_329_75 * r + 0.737_001_642_50) * r + 1.0;
        above / below
    } else {
        let r = r - 5.0;
        let above = ((0.017_337_203_997 * r + 0.428_682_943_37) * r + 3.081_226_386_0) * r
            + 6.657_905_115_0;
        let below = (0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0;
        above / below
    };
    size.copysign(central)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (share, expected) in [
            (0.5, 0.0),
            (0.8, 0.841_621_2),
            (0.9, 1.281_551_6),
            (0.975, 1.959_964_0),
            (0.01, -2.326_347_9),
            (0.001, -3.090_232_3),
            (1e-5, -4.264_890_8),
            (1e-12, -7.034_483_8),
        ] {
            let found = quantile(share);
            assert!((found - expected).abs() < 1e-6, "{share}: {found}");
        }
    }

    #[test]
    fn an_axis_keeps_none_apart_from_one() {
        for total in [1, 2, 3, 10, 96, 128, 5_000, 1_000_000] {
            let axis = Axis::of(total);
            assert_eq!((axis.place(0.0), axis.place(1.0)), (0.0, 1.0), "{total}");
            assert!((axis.place(0.5) - 0.5).abs() < 1e-9);
            assert!(
                total > 5_000 || axis.place(1.0 / total as f64) > 0.01,
                "{total}"
            );
            let ticks: Vec<f64> = axis.ticks().collect();
            assert!(ticks.is_sorted() && ticks.len() >= 9, "{total}: {ticks:?}");
            let places: Vec<f64> = ticks.iter().map(|tick| axis.place(*tick)).collect();
            assert!(
                places.windows(2).all(|two| two[1] - two[0] > 0.02),
                "{total}: {places:?}"
            );
        }
    }
}
