//! What came of every pace, as a plot: what was passed on, and how long it took.

use std::fs;
use std::path::Path;

use super::report::{Report, Step, Times};
use super::tally::Outcome;
use crate::eval::plot::style::{self, curve};
use crate::eval::plot::svg::{Anchor, Point, Stroke, Svg};

const WIDTH: f64 = 1020.0;
/// The upper edge of both panels, and how high they are.
const TOP: f64 = 64.0;
const HEIGHT: f64 = 360.0;
const PANEL_WIDTH: f64 = 400.0;
const LEFTS: [f64; 2] = [84.0, 590.0];
/// The first line of the keys, and how far lines are apart.
const KEY_TOP: f64 = TOP + HEIGHT + 84.0;
const KEY_LINE: f64 = 22.0;

/// A time that is drawn of each kind of call: what it is called, and which.
type Quantile = (&'static str, fn(&Times) -> f64);

/// Of one kind of call.
const MANY: &[Quantile] = &[
    ("median", |times| times.p50),
    ("90 %", |times| times.p90),
    ("99 %", |times| times.p99),
    ("99.9 %", |times| times.p999),
];
/// Of each of several.
const FEW: &[Quantile] = &[("median", |times| times.p50), ("99 %", |times| times.p99)];

/// Writes the plot as an SVG.
///
/// # Errors
///
/// If the file cannot be written.
pub(super) fn plot(report: &Report, path: &Path) -> std::io::Result<()> {
    fs::write(path, drawn(report))
}

/// A line with its name: what it shows at each pace, as far as it shows anything.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

fn drawn(report: &Report) -> String {
    let (rates, times) = (rates(report), times(report));
    let rows = rates.len().max(times.len());
    let height = KEY_TOP + KEY_LINE * rows as f64;
    let mut svg = Svg::new(
        WIDTH,
        height,
        "What a service passes on, and how long it takes",
    );
    let paces = report.steps.iter().map(Step::number);
    let across = Scale::linear(paces.fold(0.0, f64::max));
    let (heading, is_rate) = match report.steps.first() {
        Some(step) if step.is_rate() => ("calls due a second", true),
        _ => ("clients", false),
    };
    let most = values(&rates).fold(0.0, f64::max);
    let down = Scale::linear(if is_rate { most.max(across.to) } else { most });
    let passed = Panel {
        left: LEFTS[0],
        across: &across,
        down: &down,
    };
    passed.draw_frame(&mut svg, "Passed on", heading, "calls that ended a second");
    if is_rate {
        let all = across.to.min(down.to);
        let dotted = Stroke {
            dashes: "1 3",
            ..style::HELP
        };
        svg.line(&[passed.place(0.0, 0.0), passed.place(all, all)], dotted);
    }
    passed.draw_lines(&mut svg, &rates);
    let down = Scale::logarithmic(values(&times));
    let taken = Panel {
        left: LEFTS[1],
        across: &across,
        down: &down,
    };
    taken.draw_frame(&mut svg, "Time to the answer", heading, "milliseconds");
    taken.draw_lines(&mut svg, &times);
    svg.finish()
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines
        .iter()
        .flat_map(|line| line.points.iter().map(|point| point.1))
}

/// How many calls ended in each way a second, of all kinds together.
fn rates(report: &Report) -> Vec<Line> {
    let line = |outcome: Outcome| {
        let of = |step: &Step| {
            let whole = step.whole_outcomes(report);
            let alike = whole.filter(|found| found.outcome == outcome.name());
            alike.map(|found| found.per_s).sum()
        };
        let points = report.steps.iter().map(|step| (step.number(), of(step)));
        Line {
            name: match outcome {
                Outcome::Success => "answered with success".to_owned(),
                Outcome::Broken => "not answered".to_owned(),
                other => format!("answered {}", other.name()),
            },
            points: points.collect(),
        }
    };
    let lines = Outcome::ALL.map(line).into_iter().enumerate();
    // That nothing was refused needs no line, but that nothing was answered does.
    let shown = lines
        .filter(|(at, line)| *at == 0 || values(std::slice::from_ref(line)).any(|it| it > 0.0));
    shown.map(|(_, line)| line).collect()
}

/// How long successes took, by kind of call.
fn times(report: &Report) -> Vec<Line> {
    let kinds: Vec<&str> = report.kinds().collect();
    let quantiles = if kinds.len() == 1 { MANY } else { FEW };
    let line = |kind: &str, (name, of): Quantile| {
        let points = report.steps.iter().filter_map(|step| {
            let mut whole = step.whole_outcomes(report);
            let found =
                whole.find(|it| it.call == kind && it.outcome == Outcome::Success.name())?;
            (found.count > 0).then(|| (step.number(), of(&found.latency_ms)))
        });
        Line {
            name: format!("{kind}, {name}"),
            points: points.collect(),
        }
    };
    let lines = kinds
        .iter()
        .flat_map(|kind| quantiles.iter().map(move |&it| (*kind, it)));
    lines.map(|(kind, quantile)| line(kind, quantile)).collect()
}

/// From where to where a scale goes, and where its ticks are.
struct Scale {
    from: f64,
    to: f64,
    ticks: Vec<f64>,
    is_logarithmic: bool,
}

impl Scale {
    /// From zero on, with about five ticks.
    fn linear(most: f64) -> Scale {
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(rough);
        let count = (most / step - 0.001).ceil().max(1.0);
        let ticks = (0..=count as u32).map(|tick| f64::from(tick) * step);
        Scale {
            from: 0.0,
            to: count * step,
            ticks: ticks.collect(),
            is_logarithmic: false,
        }
    }

    /// Over whole powers of ten, with ticks at 1, 2 and 5 of each.
    fn logarithmic(values: impl Iterator<Item = f64>) -> Scale {
        let (least, most) = values
            .filter(|value| *value > 0.0)
            .fold((f64::INFINITY, 0.0_f64), |(least, most), value| {
                (least.min(value), most.max(value))
            });
        let (least, most) = if most > 0.0 {
            (least, most)
        } else {
            (1.0, 10.0)
        };
        let from = least.log10().floor() as i32;
        let to = (most.log10().ceil() as i32).max(from + 1);
        let powers = (from..to).flat_map(|power| [1.0, 2.0, 5.0].map(|it| it * 10_f64.powi(power)));
        Scale {
            from: 10_f64.powi(from),
            to: 10_f64.powi(to),
            ticks: powers.chain([10_f64.powi(to)]).collect(),
            is_logarithmic: true,
        }
    }

    /// The share of the scale that is below a value.
    fn share(&self, value: f64) -> f64 {
        let share = match self.is_logarithmic {
            false => (value - self.from) / (self.to - self.from),
            true => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
        };
        share.clamp(0.0, 1.0)
    }
}

struct Panel<'a> {
    left: f64,
    across: &'a Scale,
    down: &'a Scale,
}

impl Panel<'_> {
    fn place(&self, across: f64, down: f64) -> Point {
        let x = self.left + self.across.share(across) * PANEL_WIDTH;
        (x, TOP + HEIGHT - self.down.share(down) * HEIGHT)
    }

    fn draw_frame(&self, svg: &mut Svg, heading: &str, horizontal: &str, vertical: &str) {
        let (right, bottom) = (self.left + PANEL_WIDTH, TOP + HEIGHT);
        for &tick in &self.down.ticks {
            let (_, y) = self.place(0.0, tick);
            svg.line(&[(self.left, y), (right, y)], style::MESH);
            svg.text((self.left - 7.0, y + 4.5), Anchor::End, &number(tick));
        }
        for &tick in &self.across.ticks {
            let (x, _) = self.place(tick, self.down.from);
            svg.line(&[(x, TOP), (x, bottom)], style::MESH);
            svg.text((x, bottom + 19.0), Anchor::Middle, &number(tick));
        }
        let corners = [
            (self.left, TOP),
            (right, TOP),
            (right, bottom),
            (self.left, bottom),
        ];
        svg.line(&[&corners[..], &corners[..1]].concat(), style::HELP);
        let middle = self.left + PANEL_WIDTH / 2.0;
        svg.heading((middle, TOP - 24.0), Anchor::Middle, heading);
        svg.text((middle, bottom + 42.0), Anchor::Middle, horizontal);
        svg.upright_text((self.left - 58.0, TOP + HEIGHT / 2.0), vertical);
    }

    fn draw_lines(&self, svg: &mut Svg, lines: &[Line]) {
        for (at, line) in lines.iter().enumerate() {
            let stroke = look(at);
            let points = line.points.iter().map(|&(x, y)| self.place(x, y));
            let points: Vec<Point> = points.collect();
            svg.line(&points, stroke);
            for &point in &points {
                svg.ring(point, 3.0, stroke.colour);
            }
            let y = KEY_TOP + KEY_LINE * at as f64;
            svg.line(&[(self.left, y - 4.5), (self.left + 52.0, y - 4.5)], stroke);
            svg.text((self.left + 62.0, y), Anchor::Start, &line.name);
        }
    }
}

/// The first is what matters most.
fn look(at: usize) -> Stroke {
    match at {
        0 => style::LIVE,
        at => curve(at - 1),
    }
}

/// As a tick says it.
fn number(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    fn plotted(report: &Report) -> String {
        let text = drawn(report);
        if let Some(folder) = std::env::var_os("PLOTS") {
            let name = format!("load-{}.svg", report.steps.len());
            fs::write(Path::new(&folder).join(name), &text).unwrap();
        }
        text
    }

    #[test]
    fn every_end_and_quantile_has_a_line_and_a_name() {
        let text = plotted(&report(&[100.0, 200.0, 400.0, 800.0, 1600.0], 700.0));
        for name in [
            "answered with success",
            "answered 503",
            "identify, median",
            "identify, 99.9 %",
            "calls due a second",
        ] {
            assert!(text.contains(&format!(">{name}<")), "{name}: {text}");
        }
        assert!(!text.contains("not answered"), "nothing was broken");
        for number in text
            .split(&['"', ' ', ','][..])
            .filter_map(|part| part.parse::<f64>().ok())
        {
            assert!(
                (-90.0..=1020.0).contains(&number) || number == 1600.0,
                "{number}"
            );
        }
        let mut reader = quick_xml::Reader::from_str(&text);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
    }

    #[test]
    fn little_is_drawn_sensibly() {
        for report in [report(&[], 1.0), report(&[5.0], 0.0), report(&[5.0], 100.0)] {
            let text = plotted(&report);
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }

    #[test]
    fn scales_have_round_ticks_and_hold_all_values() {
        for (most, to, ticks) in [
            (1000.0, 1000.0, 6),
            (820.0, 1000.0, 6),
            (4.3, 5.0, 6),
            (64.0, 80.0, 5),
            (0.0, 1.0, 6),
        ] {
            let scale = Scale::linear(most);
            assert!((scale.to - to).abs() < 1e-9, "{most}: {}", scale.to);
            assert_eq!(scale.ticks.len(), ticks, "{most}: {:?}", scale.ticks);
        }
        let scale = Scale::logarithmic([0.4, 37.0, 2_000.0].into_iter());
        assert!((scale.from - 0.1).abs() < 1e-9 && (scale.to - 10_000.0).abs() < 1e-6);
        assert_eq!(scale.ticks.len(), 16);
        let shares = [0.1, 1.0, 100.0, 10_000.0].map(|value| scale.share(value));
        for (share, expected) in shares.into_iter().zip([0.0, 0.2, 0.6, 1.0]) {
            assert!((share - expected).abs() < 1e-9, "{share}");
        }
    }
}
