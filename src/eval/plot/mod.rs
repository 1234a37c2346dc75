//! The plot of a report: both errors at every threshold, and against each other (DET).
//!
//! Shares stand on the scale of normal deviates (`probit`), so that few errors can be told from
//! none. What is no data is lighter than what is, and the key stands below both.

mod png;
mod probit;
pub(crate) mod recognition;
pub(crate) mod style;
pub(crate) mod svg;

use std::fs;
use std::ops::Range;
use std::path::Path;

use self::probit::Axis;
use self::svg::{Anchor, Point, Stroke, Svg};
use super::rate::Rate;
use super::report::{Curve, LivenessReport};

const WIDTH: f64 = 1020.0;
/// The upper edge of both panels, and how high they are.
const TOP: f64 = 64.0;
const HEIGHT: f64 = 400.0;
/// How far 0 and 100 % stand from the frame, so that lines there can be seen.
const INSET: f64 = 8.0;
/// The first line of the key, and how far its lines and columns are apart.
const KEY_TOP: f64 = TOP + HEIGHT + 100.0;
const KEY_LINE: f64 = 22.0;
const KEY_COLUMNS: usize = 3;
const NAME_CHARACTERS_MAX: usize = 22;

/// Writes the errors at every threshold as an SVG, with `threshold`, the one in use, marked.
///
/// # Errors
///
/// If the file cannot be written.
pub fn plot(report: &LivenessReport, threshold: f64, path: &Path) -> std::io::Result<()> {
    fs::write(path, drawn(report, threshold))
}

fn drawn(report: &LivenessReport, threshold: f64) -> String {
    let lines = Lines::of(report);
    let rows = lines.all.len().div_ceil(KEY_COLUMNS);
    let height = KEY_TOP + KEY_LINE * rows as f64 + 12.0;
    let mut svg = Svg::new(WIDTH, height, "Errors of the liveness decision");
    draw_errors(&mut svg, &lines, threshold);
    draw_det(&mut svg, &lines, report);
    draw_key(&mut svg, &lines);
    svg.finish()
}

/// The curves with their looks, those of live people first.
struct Lines<'a> {
    all: Vec<(&'a Curve, Stroke)>,
    axis: Axis,
}

impl<'a> Lines<'a> {
    fn of(report: &'a LivenessReport) -> Lines<'a> {
        let (live, attacks): (Vec<&Curve>, Vec<&Curve>) =
            report.curves.iter().partition(|curve| curve.is_live());
        let live = live.into_iter().map(|curve| (curve, style::LIVE));
        let attacks = attacks.into_iter().enumerate();
        let attacks = attacks.map(|(at, curve)| (curve, style::curve(at)));
        let most = report.curves.iter().map(Curve::total).max();
        Lines {
            all: live.chain(attacks).collect(),
            axis: Axis::of(most.unwrap_or(0)),
        }
    }

    fn live(&self) -> Option<&'a Curve> {
        let mut all = self.all.iter();
        all.find(|(curve, _)| curve.is_live())
            .map(|(curve, _)| *curve)
    }

    fn attacks(&self) -> impl Iterator<Item = &(&'a Curve, Stroke)> {
        self.all.iter().filter(|(curve, _)| !curve.is_live())
    }
}

/// A panel, with the place of both errors in it.
#[derive(Clone, Copy)]
struct Panel {
    left: f64,
    width: f64,
    axis: Axis,
}

impl Panel {
    /// From the left edge, where `share` of the width is behind it.
    fn across(&self, share: f64) -> f64 {
        self.left + INSET + share * (self.width - 2.0 * INSET)
    }

    /// From the top, where a share of errors stands.
    fn down(&self, errors: f64) -> f64 {
        TOP + HEIGHT - INSET - self.axis.place(errors) * (HEIGHT - 2.0 * INSET)
    }

    fn draw_frame(&self, svg: &mut Svg, heading: &str, horizontal: &str, vertical: &str) {
        let (right, bottom) = (self.left + self.width, TOP + HEIGHT);
        for tick in self.axis.ticks() {
            let y = self.down(tick);
            svg.line(&[(self.left, y), (right, y)], style::MESH);
            svg.text((self.left - 7.0, y + 4.5), Anchor::End, &percent(tick));
        }
        let corners = [
            (self.left, TOP),
            (right, TOP),
            (right, bottom),
            (self.left, bottom),
        ];
        svg.line(&[&corners[..], &corners[..1]].concat(), style::HELP);
        let middle = self.left + self.width / 2.0;
        svg.heading((middle, TOP - 38.0), Anchor::Middle, heading);
        svg.text((middle, bottom + 42.0), Anchor::Middle, horizontal);
        svg.upright_text((self.left - 52.0, TOP + HEIGHT / 2.0), vertical);
    }

    fn say_nothing(&self, svg: &mut Svg, why: &str) {
        let middle = (self.left + self.width / 2.0, TOP + HEIGHT / 2.0);
        svg.text(middle, Anchor::Middle, why);
    }
}

/// Both errors at every threshold.
fn draw_errors(svg: &mut Svg, lines: &Lines<'_>, threshold: f64) {
    let (left, width) = (84.0, 460.0);
    let axis = lines.axis;
    let panel = Panel { left, width, axis };
    let bottom = TOP + HEIGHT;
    panel.draw_frame(
        svg,
        "Errors at every threshold",
        "threshold on the score",
        "decided wrongly, %",
    );
    for tenths in (0..=10).step_by(2) {
        let threshold = f64::from(tenths) / 10.0;
        let x = panel.across(threshold);
        svg.line(&[(x, TOP), (x, bottom)], style::MESH);
        svg.text(
            (x, bottom + 19.0),
            Anchor::Middle,
            &format!("{threshold:.1}"),
        );
    }
    if lines.all.is_empty() {
        panel.say_nothing(svg, "nothing was decided");
        return;
    }
    let x = panel.across(threshold);
    let in_use = Stroke {
        dashes: "1 3",
        width: 1.5,
        ..style::HELP
    };
    svg.line(&[(x, TOP - 4.0), (x, bottom)], in_use);
    let label = format!("in use: {threshold}");
    svg.text((x, TOP - 10.0), Anchor::Middle, &label);
    draw_bands(svg, &panel, lines);
    // The live people last, so that nothing hides them.
    for (curve, stroke) in lines.all.iter().rev() {
        let whole = 0..curve.rates.len();
        svg.line(&steps(&panel, curve, whole, |rate| rate.rate), *stroke);
    }
}

/// The range in which the true share lies with 95 % confidence, of the live people and, at each
/// threshold, of the attacks that pass most. Those of all kinds would hide each other.
fn draw_bands(svg: &mut Svg, panel: &Panel, lines: &Lines<'_>) {
    let mut draw = |curve: &Curve, part: Range<usize>, colour: &str, opacity| {
        let mut around = steps(panel, curve, part.clone(), |rate| rate.high);
        around.extend(steps(panel, curve, part, |rate| rate.low).into_iter().rev());
        svg.area(&around, colour, opacity);
    };
    let attacks: Vec<_> = lines.attacks().collect();
    for (at, part) in most_dangerous(&attacks) {
        let (curve, stroke) = attacks[at];
        draw(curve, part, stroke.colour, 0.2);
    }
    if let Some(live) = lines.live() {
        draw(live, 0..live.rates.len(), style::LIVE.colour, 0.14);
    }
}

/// Which kind of attack passes most, from where to where. Of kinds that pass alike it is the one
/// that is known least well.
fn most_dangerous(attacks: &[&(&Curve, Stroke)]) -> Vec<(usize, Range<usize>)> {
    let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
    let steps = attacks.first().map_or(0, |(curve, _)| curve.rates.len());
    for step in 0..steps {
        let of = |at: &usize| attacks[*at].0.rates[step];
        let worst = (0..attacks.len()).max_by(|a, b| {
            let (a, b) = (of(a), of(b));
            a.rate.total_cmp(&b.rate).then(a.high.total_cmp(&b.high))
        });
        match (runs.last_mut(), worst) {
            (Some((at, run)), Some(worst)) if *at == worst => run.end = step + 1,
            (_, Some(worst)) => runs.push((worst, step..step + 1)),
            _ => {}
        }
    }
    runs
}

/// The corners of a part of a line that changes at single thresholds.
fn steps(
    panel: &Panel,
    curve: &Curve,
    part: Range<usize>,
    value: impl Fn(&Rate) -> f64,
) -> Vec<Point> {
    let across = |step: usize| panel.across((step as f64 * Curve::STEP).min(1.0));
    let mut points: Vec<Point> = Vec::new();
    for step in part.clone() {
        let y = panel.down(value(&curve.rates[step]));
        if let Some(last) = points.last().copied().filter(|last| last.1 != y) {
            points.push((across(step), last.1));
        }
        if points.last().is_none_or(|last| last.1 != y) {
            points.push((across(step), y));
        }
    }
    points.extend(points.last().map(|last| (across(part.end), last.1)));
    points
}

/// Both errors against each other, as the threshold moves.
fn draw_det(svg: &mut Svg, lines: &Lines<'_>, report: &LivenessReport) {
    let (left, width) = (632.0, 368.0);
    let axis = lines.axis;
    let panel = Panel { left, width, axis };
    let bottom = TOP + HEIGHT;
    panel.draw_frame(
        svg,
        "Against each other (DET)",
        "attacks that pass (APCER), %",
        "live people refused (BPCER), %",
    );
    let mut before = f64::NEG_INFINITY;
    for tick in axis.ticks() {
        let x = panel.across(axis.place(tick));
        svg.line(&[(x, TOP), (x, bottom)], style::MESH);
        if x - before > 30.0 || tick == 1.0 {
            svg.text((x, bottom + 19.0), Anchor::Middle, &percent(tick));
            before = x;
        }
    }
    let Some(live) = lines.live() else {
        panel.say_nothing(svg, "no live person was shown");
        return;
    };
    if lines.attacks().next().is_none() {
        panel.say_nothing(svg, "no attack was shown");
        return;
    }
    let corner = |share: f64| (panel.across(axis.place(share)), panel.down(share));
    svg.line(
        &[corner(0.0), corner(1.0)],
        Stroke {
            dashes: "1 3",
            ..style::HELP
        },
    );
    for (curve, stroke) in lines.attacks() {
        let pairs = curve.rates.iter().zip(&live.rates);
        let points = pairs
            .map(|(attack, live)| (panel.across(axis.place(attack.rate)), panel.down(live.rate)));
        let mut points: Vec<Point> = points.collect();
        points.dedup();
        svg.line(&points, *stroke);
    }
    let below = match report.equal {
        None => "the errors are equal at no threshold".to_owned(),
        Some(equal) => {
            svg.ring(corner(equal.rate), 4.5, "#000000");
            format!("D-EER {:.1} % (ring)", 100.0 * equal.rate)
        }
    };
    svg.text((left + width / 2.0, TOP - 10.0), Anchor::Middle, &below);
}

fn draw_key(svg: &mut Svg, lines: &Lines<'_>) {
    let rows = lines.all.len().div_ceil(KEY_COLUMNS);
    let column_width = (WIDTH - 84.0) / KEY_COLUMNS as f64;
    for (at, (curve, stroke)) in lines.all.iter().enumerate() {
        let x = 84.0 + column_width * (at / rows) as f64;
        let y = KEY_TOP + KEY_LINE * (at % rows) as f64;
        svg.line(&[(x, y - 4.5), (x + 52.0, y - 4.5)], *stroke);
        let mut name: String = curve.name.chars().take(NAME_CHARACTERS_MAX).collect();
        if name.len() < curve.name.len() {
            name.push('\u{2026}');
        }
        let text = format!("{name}, of {}", curve.total());
        svg.text((x + 62.0, y), Anchor::Start, &text);
    }
    if rows > 0 {
        let note = "Bands: 95 % confidence (Wilson), of the attacks where most pass. The scale is that of normal deviates; its ends are 0 and 100 %.";
        svg.text((84.0, KEY_TOP - KEY_LINE - 8.0), Anchor::Start, note);
    }
}

/// A share as the number of a tick.
fn percent(share: f64) -> String {
    let percent = (share * 1e6).round() / 1e4;
    percent.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::report::{Outcome, Presentation, Truth};
    use super::*;
    use crate::liveness::{Decision, Parts};

    /// So many presentations with rising scores around `middle`.
    fn shown(truth: &Truth, count: usize, middle: f64) -> Vec<Presentation> {
        let one = |at: usize| {
            let off = (at as f64 + 0.5) / count as f64 - 0.5;
            let score = (middle + 0.9 * off).clamp(0.0, 1.0);
            Presentation {
                name: String::new(),
                truth: truth.clone(),
                outcome: Outcome::Decided(Decision {
                    live: score >= 0.5,
                    failure: None,
                    parts: Parts {
                        score: Some(score),
                        ..Parts::default()
                    },
                }),
            }
        };
        (0..count).map(one).collect()
    }

    /// The plot of so many live people and of attacks of these kinds, which look alive by `middle`.
    fn plotted(live: usize, attacks: &[(&str, usize, f64)]) -> String {
        let mut all = shown(&Truth::Live, live, 0.8);
        for (kind, count, middle) in attacks {
            all.extend(shown(&Truth::Attack((*kind).to_owned()), *count, *middle));
        }
        let text = drawn(&LivenessReport::of(&all), 0.5);
        if let Some(folder) = std::env::var_os("PLOTS") {
            let name = format!("{live}-{}.svg", attacks.len());
            fs::write(Path::new(&folder).join(name), &text).unwrap();
        }
        text
    }

    /// Colour and dashes of each line that is data.
    fn looks(text: &str) -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("<polyline"));
        let looks = lines.map(|line| line.split_once(" fill=").unwrap().1.to_owned());
        let mut looks: Vec<String> = looks
            .filter(|look| !look.contains(style::MESH.colour) && !look.contains(style::HELP.colour))
            .collect();
        looks.sort();
        looks.dedup();
        looks
    }

    #[test]
    fn every_curve_has_a_look_and_a_place_in_the_key() {
        let kinds = [
            ("cropped", 128, 0.3),
            ("mirrored", 128, 0.1),
            ("print", 128, 0.2),
            ("same", 128, 0.0),
            ("screen", 96, 0.25),
            ("shaded", 128, 0.2),
            ("strangers", 64, 0.05),
            ("waved", 128, 0.35),
        ];
        let text = plotted(96, &kinds);
        assert_eq!(looks(&text).len(), 9);
        for (kind, count, _) in kinds {
            assert!(
                text.contains(&format!(">APCER {kind}, of {count}<")),
                "{kind}"
            );
        }
        assert!(text.contains(">BPCER, of 96<") && text.contains("D-EER"));
        assert!(text.contains("<rect width=\"1020\"") && text.contains("fill=\"#ffffff\""));
        // Everything is inside the picture.
        for number in text
            .split(&['"', ' ', ','][..])
            .filter_map(|part| part.parse::<f64>().ok())
        {
            assert!((-90.0..=1020.0).contains(&number), "{number}");
        }
    }

    #[test]
    fn little_or_nothing_is_drawn_sensibly() {
        let text = plotted(0, &[]);
        assert!(text.contains("nothing was decided") && looks(&text).is_empty());
        let text = plotted(2, &[]);
        assert!(text.contains("no attack was shown") && looks(&text).len() == 1);
        let text = plotted(0, &[("print", 1, 0.0)]);
        assert!(text.contains("no live person was shown") && looks(&text).len() == 1);
        let text = plotted(1, &[("print", 1, 0.0)]);
        assert_eq!(looks(&text).len(), 2);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert!(text.len() < 20_000, "{}", text.len());
    }

    #[test]
    fn a_name_is_a_text_whatever_stands_in_it() {
        let long = "n".repeat(500);
        let text = plotted(3, &[("<b>&\"\u{1}\u{e4}", 3, 0.2), (&long, 3, 0.4)]);
        assert!(
            text.contains("APCER &lt;b&gt;&amp;&quot;\u{e4}, of 3"),
            "{text}"
        );
        assert!(!text.contains(&long) && text.contains('\u{2026}'));
        let mut reader = quick_xml::Reader::from_str(&text);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
    }
}
