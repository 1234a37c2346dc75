//! How curves look: each has a colour and dashes, so that it can be told from the others also by who
//! sees few colours, and on paper without any.

use super::svg::Stroke;

/// Distinct also for those who do not see red and green apart: Okabe and Ito 2008 without their
/// yellow, which white swallows, and with two of Tol's.
const COLOURS: [&str; 8] = [
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#999933",
];

const DASHES: [&str; 8] = [
    "10 4",
    "2 3",
    "12 3 2 3",
    "5 3",
    "18 4",
    "8 3 2 3 2 3",
    "3 6",
    "14 3 5 3",
];

/// What matters most: in a plot of errors the live people.
pub(crate) const LIVE: Stroke = Stroke {
    colour: "#000000",
    width: 3.0,
    dashes: "",
};

/// Lines that are no data.
pub(crate) const HELP: Stroke = Stroke {
    colour: "#8a8a8a",
    width: 1.0,
    dashes: "",
};

/// The mesh.
pub(crate) const MESH: Stroke = Stroke {
    colour: "#ececec",
    width: 1.0,
    dashes: "",
};

/// The curve at this place, beside that of [`LIVE`]. Sixty-four are told apart.
pub(crate) fn curve(at: usize) -> Stroke {
    Stroke {
        colour: COLOURS[at % COLOURS.len()],
        width: 2.0,
        dashes: DASHES[(at + at / COLOURS.len()) % DASHES.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_curves_look_alike() {
        for at in 0..64 {
            assert_ne!(curve(at), LIVE);
            assert!(
                !curve(at).dashes.is_empty(),
                "only live people are a solid line"
            );
            for other in 0..at {
                assert_ne!(curve(at), curve(other), "{at} and {other}");
                if at < 8 {
                    assert_ne!(curve(at).colour, curve(other).colour);
                    assert_ne!(curve(at).dashes, curve(other).dashes);
                }
            }
        }
    }
}
