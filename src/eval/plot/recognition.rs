//! The figures of recognition: errors against each other, ranks, scores and reliability.

use super::probit::Axis;
use super::style;
use super::svg::{Anchor, Point, Stroke, Svg};
use crate::eval::rate::wilson;
use crate::eval::recognition::{DetPoint, Histogram, RankShare, Reliability, Scores};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 532.0;
const LEFT: f64 = 84.0;
const TOP: f64 = 56.0;
const PANEL_WIDTH: f64 = 530.0;
const PANEL_HEIGHT: f64 = 360.0;
/// How far the ends of an axis stand from the frame, so that lines there can be seen.
const INSET: f64 = 8.0;
/// How wide a character is at most in the mean, in pixels.
const CHARACTER_WIDTH: f64 = 8.0;
/// The first line of the key.
const KEY_TOP: f64 = TOP + PANEL_HEIGHT + 74.0;

/// One person, and different people, also for those who do not see red and green apart, and in
/// print.
const SAME: Stroke = Stroke {
    colour: "#0072b2",
    width: 2.5,
    dashes: "",
};
const OTHERS: Stroke = Stroke {
    colour: "#d55e00",
    width: 2.5,
    dashes: "10 4",
};
const THRESHOLD: Stroke = Stroke {
    colour: "#8a8a8a",
    width: 1.5,
    dashes: "1 3",
};

/// How an axis is divided.
#[derive(Clone, Copy)]
enum Scale {
    Even { from: f64, to: f64 },
    Deviates(Axis),
}

impl Scale {
    /// Where a value stands, from 0 to 1.
    fn place(self, value: f64) -> f64 {
        match self {
            Scale::Even { from, to } => ((value - from) / (to - from)).clamp(0.0, 1.0),
            Scale::Deviates(axis) => axis.place(value),
        }
    }

    /// The values that are ticks, with what stands beside them.
    fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Scale::Deviates(axis) => axis.ticks().map(|tick| (tick, percent(tick))).collect(),
            Scale::Even { from, to } => {
                let step = even_step(to - from);
                let first = (from / step - 1e-9).ceil() as i64;
                let last = (to / step + 1e-9).floor() as i64;
                let decimals = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
                let tick = |at: i64| at as f64 * step;
                (first..=last)
                    .map(|at| (tick(at), format!("{:.decimals$}", tick(at))))
                    .collect()
            }
        }
    }
}

/// A step of 1, 2 or 5 with which a range has four to ten.
fn even_step(range: f64) -> f64 {
    let magnitude = 10.0_f64.powf((range / 10.0).max(1e-9).log10().ceil());
    let steps = [0.1, 0.2, 0.5, 1.0].map(|part| part * magnitude);
    let enough = steps.into_iter().find(|step| range / step <= 10.5);
    enough.unwrap_or(magnitude)
}

struct Panel {
    across: Scale,
    up: Scale,
}

impl Panel {
    fn x(&self, value: f64) -> f64 {
        LEFT + INSET + self.across.place(value) * (PANEL_WIDTH - 2.0 * INSET)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + PANEL_HEIGHT - INSET - self.up.place(value) * (PANEL_HEIGHT - 2.0 * INSET)
    }

    fn frame(&self, svg: &mut Svg, heading: &str, across: &str, up: &str) {
        let (right, bottom) = (LEFT + PANEL_WIDTH, TOP + PANEL_HEIGHT);
        let ticks = self.up.ticks();
        let highest = ticks.last().map_or(TOP, |(tick, _)| self.y(*tick));
        let mut before = f64::INFINITY;
        for (tick, text) in ticks {
            let y = self.y(tick);
            svg.line(&[(LEFT, y), (right, y)], style::MESH);
            // Numbers that would stand on each other are left out, never the last.
            if y <= highest || (before - y > 13.0 && y - highest > 13.0) {
                svg.text((LEFT - 7.0, y + 4.5), Anchor::End, &text);
                before = y;
            }
        }
        let mut before = f64::NEG_INFINITY;
        for (tick, text) in self.across.ticks() {
            let x = self.x(tick);
            svg.line(&[(x, TOP), (x, bottom)], style::MESH);
            if x - before > 34.0 {
                svg.text((x, bottom + 19.0), Anchor::Middle, &text);
                before = x;
            }
        }
        let corners = [
            (LEFT, TOP),
            (right, TOP),
            (right, bottom),
            (LEFT, bottom),
            (LEFT, TOP),
        ];
        svg.line(&corners, style::HELP);
        let middle = LEFT + PANEL_WIDTH / 2.0;
        svg.heading((middle, TOP - 24.0), Anchor::Middle, heading);
        svg.text((middle, bottom + 42.0), Anchor::Middle, across);
        svg.upright_text((LEFT - 54.0, TOP + PANEL_HEIGHT / 2.0), up);
    }

    fn say_nothing(svg: &mut Svg, why: &str) {
        let middle = (LEFT + PANEL_WIDTH / 2.0, TOP + PANEL_HEIGHT / 2.0);
        svg.text(middle, Anchor::Middle, why);
    }
}

fn key(svg: &mut Svg, lines: &[(Stroke, String)]) {
    for (at, (stroke, text)) in lines.iter().enumerate() {
        let y = KEY_TOP + 22.0 * at as f64;
        svg.line(&[(LEFT, y - 4.5), (LEFT + 52.0, y - 4.5)], *stroke);
        svg.text((LEFT + 62.0, y), Anchor::Start, text);
    }
}

/// What errors are called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorNames {
    pub(crate) positive: &'static str,
    pub(crate) negative: &'static str,
    pub(crate) heading: &'static str,
}

/// Both errors against each other, on the scale of normal deviates. `trials` are how many there are
/// of strangers and of enrolled people, `distinct` how many of these are different ones, which say how
/// wide the band is, and `marks` single thresholds with what is said of them.
pub(crate) fn det(
    points: &[DetPoint],
    trials: (usize, usize),
    distinct: (usize, usize),
    marks: &[(DetPoint, String)],
    names: ErrorNames,
) -> Svg {
    let mut svg = Svg::new(WIDTH, HEIGHT, names.heading);
    let panel = Panel {
        across: Scale::Deviates(Axis::of(trials.0)),
        up: Scale::Deviates(Axis::of(trials.1)),
    };
    panel.frame(&mut svg, names.heading, names.positive, names.negative);
    if points.is_empty() {
        Panel::say_nothing(&mut svg, "there is nothing to set against each other");
        return svg;
    }
    let place = |it: &DetPoint| (panel.x(it.false_positive), panel.y(it.false_negative));
    let end = |it: &DetPoint, of: fn((f64, f64)) -> f64| {
        let positive = wilson(it.false_positive, distinct.0 as f64);
        let negative = wilson(it.false_negative, distinct.1 as f64);
        (panel.x(of(positive)), panel.y(of(negative)))
    };
    let low = steps(points.iter().map(|it| end(it, |range| range.0)));
    let high = steps(points.iter().map(|it| end(it, |range| range.1)));
    svg.area(&between(low, high), style::LIVE.colour, 0.12);
    svg.line(&steps(points.iter().map(place)), style::LIVE);
    let marks = marks
        .iter()
        .map(|(mark, text)| (place(mark), text.as_str()));
    ring(&mut svg, marks);
    let notes = [
        "The scale is that of normal deviates (probit); its ends are 0 and 100 %.",
        "Band: both errors at the ends of their ranges of 95 % confidence (Wilson).",
    ];
    for (at, note) in notes.into_iter().enumerate() {
        svg.text((LEFT, KEY_TOP + 22.0 * at as f64), Anchor::Start, note);
    }
    svg
}

/// The corners around what is between two lines that fall, of which none of `high` is left of or below
/// that of `low`: it ends in corners, too, so that a line between both stays within.
fn between(mut low: Vec<Point>, mut high: Vec<Point>) -> Vec<Point> {
    // From the left to the right, whichever way the threshold moves.
    if low.first().map(|it| it.0) > low.last().map(|it| it.0) {
        low.reverse();
        high.reverse();
    }
    let corner = |across: Option<&Point>, down: Option<&Point>| {
        across.zip(down).map(|(across, down)| (across.0, down.1))
    };
    let first = corner(low.first(), high.first());
    let last = corner(high.last(), low.last());
    let mut around = low;
    around.extend(last);
    around.extend(high.into_iter().rev());
    around.extend(first);
    around
}

/// Rings at places, each with what is said of it.
fn ring<'a>(svg: &mut Svg, marks: impl Iterator<Item = (Point, &'a str)>) {
    let mut labels: Vec<Point> = Vec::new();
    for ((x, y), text) in marks {
        svg.ring((x, y), 4.5, "#000000");
        // Where labels would stand on each other, those that come later go up.
        let mut label = (x + 9.0, y - 7.0);
        while labels
            .iter()
            .any(|it| (it.0 - label.0).abs() < 90.0 && (it.1 - label.1).abs() < 15.0)
        {
            label.1 -= 15.0;
        }
        let is_right = x > LEFT + PANEL_WIDTH - 120.0;
        let anchor = if is_right { Anchor::End } else { Anchor::Start };
        let at = if is_right { (x - 9.0, label.1) } else { label };
        svg.text(at, anchor, text);
        labels.push(label);
    }
}

/// The corners of a line through points whose shares change at single thresholds.
fn steps(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut corners: Vec<Point> = Vec::new();
    for point in points {
        if let Some(last) = corners.last().copied() {
            corners.push((point.0, last.1));
        }
        corners.push(point);
    }
    corners.dedup();
    corners
}

/// How many enrolled people are among the first so many.
pub(crate) fn ranks(ranks: &[RankShare]) -> Svg {
    let heading = "Enrolled people among the first so many (CMC)";
    let mut svg = Svg::new(WIDTH, HEIGHT, heading);
    let lowest = ranks.first().map_or(0.0, |first| first.share);
    // From below the first, in steps that can be read.
    let from = [0.98, 0.95, 0.9, 0.8, 0.5]
        .into_iter()
        .find(|from| *from < lowest);
    let last = ranks.len().max(2) as f64;
    let panel = Panel {
        across: Scale::Even {
            from: 1.0,
            to: last,
        },
        up: Scale::Even {
            from: from.unwrap_or(0.0),
            to: 1.0,
        },
    };
    panel.frame(&mut svg, heading, "rank", "share found");
    if ranks.is_empty() {
        Panel::say_nothing(&mut svg, "nobody was looked for who is enrolled");
        return svg;
    }
    let corners = ranks
        .iter()
        .map(|it| (panel.x(it.rank as f64), panel.y(it.share)));
    let corners: Vec<Point> = corners.collect();
    svg.line(&corners, SAME);
    for corner in corners.iter().take(20) {
        svg.ring(*corner, 3.0, SAME.colour);
    }
    key(
        &mut svg,
        &[(
            SAME,
            "share of searches for enrolled people, at any similarity".to_owned(),
        )],
    );
    svg
}

/// How alike one person and different people are, with thresholds and what is said of them.
pub(crate) fn scores(scores: &Scores, names: [&str; 2], thresholds: &[(f64, String)]) -> Svg {
    let heading = "Similarities";
    let mut svg = Svg::new(WIDTH, HEIGHT, heading);
    let both = [&scores.mated, &scores.non_mated];
    let is_any = |at: usize| {
        both.iter()
            .any(|it| it.counts.get(at).is_some_and(|count| *count > 0))
    };
    let bars = scores.mated.counts.len();
    let first = (0..bars)
        .find(|at| is_any(*at))
        .unwrap_or(0)
        .saturating_sub(1);
    let last = (0..bars)
        .rev()
        .find(|at| is_any(*at))
        .map_or(bars, |at| (at + 2).min(bars));
    let edge = |at: usize| scores.mated.from + at as f64 * scores.mated.step;
    let share = |it: &Histogram, at: usize| it.counts[at] as f64 / it.total().max(1) as f64;
    let highest = both.iter().flat_map(|it| (0..bars).map(|at| share(it, at)));
    let highest = highest.fold(0.01, f64::max);
    let panel = Panel {
        across: Scale::Even {
            from: edge(first),
            to: edge(last),
        },
        up: Scale::Even {
            from: 0.0,
            to: highest,
        },
    };
    panel.frame(&mut svg, heading, "similarity (cosine)", "share of each");
    let mut key_lines = Vec::new();
    for ((histogram, stroke), name) in both.into_iter().zip([SAME, OTHERS]).zip(names) {
        let mut corners: Vec<Point> = vec![(panel.x(edge(first)), panel.y(0.0))];
        for at in first..last {
            let y = panel.y(share(histogram, at));
            corners.extend([(panel.x(edge(at)), y), (panel.x(edge(at + 1)), y)]);
        }
        corners.push((panel.x(edge(last)), panel.y(0.0)));
        svg.area(&corners, stroke.colour, 0.16);
        svg.line(&corners, stroke);
        key_lines.push((stroke, format!("{name}, {} of them", histogram.total())));
    }
    for (threshold, _) in thresholds {
        let x = panel.x(*threshold);
        svg.line(&[(x, TOP), (x, TOP + PANEL_HEIGHT)], THRESHOLD);
    }
    for (at, (threshold, text)) in thresholds.iter().enumerate() {
        let x = panel.x(*threshold);
        let is_right = x > LEFT + PANEL_WIDTH - 130.0;
        let (anchor, x) = if is_right {
            (Anchor::End, x - 5.0)
        } else {
            (Anchor::Start, x + 5.0)
        };
        label(&mut svg, (x, TOP + 16.0 + 16.0 * at as f64), anchor, text);
    }
    key(&mut svg, &key_lines);
    svg
}

/// A text on a ground of its own, so that no line goes through it.
fn label(svg: &mut Svg, at: Point, anchor: Anchor, text: &str) {
    let width = CHARACTER_WIDTH * text.chars().count() as f64;
    let left = match anchor {
        Anchor::Start => at.0,
        Anchor::Middle => at.0 - width / 2.0,
        Anchor::End => at.0 - width,
    };
    let (right, top, bottom) = (left + width, at.1 - 11.5, at.1 + 3.5);
    let ground = [(left, top), (right, top), (right, bottom), (left, bottom)];
    svg.area(&ground, "#ffffff", 0.85);
    svg.text(at, anchor, text);
}

/// What was said of being right, and how often it was.
pub(crate) fn reliability(reliability: &Reliability) -> Svg {
    let heading = "Does the confidence mean what it says?";
    let mut svg = Svg::new(WIDTH, HEIGHT, heading);
    let whole = Scale::Even { from: 0.0, to: 1.0 };
    let panel = Panel {
        across: whole,
        up: whole,
    };
    panel.frame(
        &mut svg,
        heading,
        "confidence, in the mean",
        "share that was right",
    );
    let corner = |share: f64| (panel.x(share), panel.y(share));
    svg.line(&[corner(0.0), corner(1.0)], THRESHOLD);
    let places = reliability
        .bins
        .iter()
        .map(|it| (panel.x(it.confidence), panel.y(it.right)));
    let places: Vec<Point> = places.collect();
    svg.line(&places, SAME);
    for (place, bin) in places.iter().zip(&reliability.bins) {
        svg.ring(*place, 4.5, SAME.colour);
        // Inside the frame, whichever edge is near.
        let is_right = place.0 > LEFT + PANEL_WIDTH - 70.0;
        let is_low = place.1 > TOP + PANEL_HEIGHT - 30.0;
        let (x, anchor) = if is_right {
            (place.0 - 8.0, Anchor::End)
        } else {
            (place.0 + 8.0, Anchor::Start)
        };
        let y = place.1 + if is_low { -8.0 } else { 16.0 };
        label(&mut svg, (x, y), anchor, &bin.answers.to_string());
    }
    let error = reliability.expected_calibration_error;
    key(
        &mut svg,
        &[
            (
                SAME,
                format!("answers, with their number; expected calibration error {error:.4}"),
            ),
            (THRESHOLD, "where both are equal".to_owned()),
        ],
    );
    svg
}

/// A share as the number of a tick.
fn percent(share: f64) -> String {
    let percent = (share * 1e6).round() / 1e4;
    percent.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::svg::Shape;
    use super::*;

    #[test]
    fn ticks_can_be_read() {
        for (from, to) in [
            (0.0, 1.0),
            (-0.1, 0.9),
            (0.98, 1.0),
            (1.0, 50.0),
            (0.0, 0.034),
            (1.0, 2.0),
        ] {
            let ticks = Scale::Even { from, to }.ticks();
            assert!((3..=11).contains(&ticks.len()), "{from} to {to}: {ticks:?}");
            assert!(
                ticks
                    .iter()
                    .all(|(tick, _)| *tick >= from - 1e-9 && *tick <= to + 1e-9)
            );
            let mut texts: Vec<&String> = ticks.iter().map(|(_, text)| text).collect();
            texts.dedup();
            assert_eq!(texts.len(), ticks.len(), "{ticks:?}");
        }
    }

    #[test]
    fn little_or_nothing_is_drawn_sensibly() {
        let names = ErrorNames {
            positive: "FPIR, %",
            negative: "FNIR, %",
            heading: "DET",
        };
        let nothing = det(&[], (0, 0), (0, 0), &[], names).finish();
        assert!(nothing.contains("nothing to set against"));
        let empty = Histogram {
            from: -1.0,
            step: 0.025,
            counts: vec![0; 80],
        };
        let scores_of_nobody = Scores {
            mated: empty.clone(),
            non_mated: empty,
        };
        for svg in [
            det(&[], (0, 0), (0, 0), &[], names),
            ranks(&[]),
            ranks(&[RankShare {
                rank: 1,
                share: 1.0,
            }]),
            scores(&scores_of_nobody, ["a", "b"], &[(2.0, "above".to_owned())]),
        ] {
            let text = svg.finish();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert!(svg.png().unwrap().len() > 1_000);
        }
    }

    #[test]
    fn the_band_holds_the_line_and_is_narrower_for_more_trials() {
        let names = ErrorNames {
            positive: "FPIR, %",
            negative: "FNIR, %",
            heading: "DET",
        };
        let points =
            [(0.0, 0.4), (0.01, 0.2), (0.2, 0.0)].map(|(false_positive, false_negative)| {
                DetPoint {
                    threshold: 0.4,
                    false_positive,
                    false_negative,
                }
            });
        let heights = [100, 10_000].map(|trials| {
            let svg = det(&points, (10_000, 10_000), (10_000, trials), &[], names);
            let area = svg.shapes.iter().find_map(|shape| match shape {
                Shape::Area(points, ..) => Some(points.clone()),
                _ => None,
            });
            let line = svg.shapes.iter().find_map(|shape| match shape {
                Shape::Line(points, stroke) if *stroke == style::LIVE => Some(points.clone()),
                _ => None,
            });
            let (area, line) = (area.unwrap(), line.unwrap());
            let ends = |points: &[Point]| {
                let of = |least: fn(f64, f64) -> f64, from| {
                    points.iter().map(|it| it.1).fold(from, least)
                };
                (of(f64::min, f64::INFINITY), of(f64::max, 0.0))
            };
            let ((top, bottom), (line_top, line_bottom)) = (ends(&area), ends(&line));
            assert!(top < line_top && bottom >= line_bottom, "{trials}");
            // The line begins and ends within.
            let (begin, end) = (line[0], line[line.len() - 1]);
            let corner = area[area.len() - 1];
            assert!(corner.0 <= begin.0 && corner.1 <= begin.1, "{trials}");
            let is_beyond = |it: &Point| it.0 >= end.0 && it.1 >= end.1;
            assert!(area.iter().any(is_beyond), "{trials}");
            line_top - top
        });
        assert!(heights[0] > 4.0 * heights[1], "{heights:?}");
    }

    #[test]
    fn a_band_is_the_same_whichever_way_its_lines_are_drawn() {
        let (low, high) = (
            vec![(10.0, 30.0), (20.0, 50.0), (40.0, 60.0)],
            vec![(15.0, 20.0), (25.0, 40.0), (45.0, 55.0)],
        );
        let to_the_right = between(low.clone(), high.clone());
        let turned = |points: Vec<Point>| points.into_iter().rev().collect();
        assert_eq!(between(turned(low), turned(high)), to_the_right);
        // Corners close it, above where the lower line begins and beyond where it ends.
        assert_eq!(to_the_right.last(), Some(&(10.0, 20.0)));
        assert_eq!(to_the_right[3], (45.0, 60.0));
    }

    #[test]
    fn one_person_and_others_are_told_apart_without_colours() {
        assert_ne!(SAME.dashes, OTHERS.dashes);
        assert_ne!(SAME.colour, OTHERS.colour);
        assert_ne!(THRESHOLD.dashes, OTHERS.dashes);
    }
}
