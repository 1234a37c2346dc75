//! A picture as SVG: the few elements that a plot has. Written by us, since the crates for plots
//! that we know draw no dashes but as lines of their own.

use std::fmt::Write as _;

/// Where something is, in pixels from the left and from the top.
pub(crate) type Point = (f64, f64);

/// A picture that is being drawn.
pub(crate) struct Svg {
    text: String,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stroke {
    pub(crate) colour: &'static str,
    pub(crate) width: f64,
    /// Lengths of dashes and gaps; none is a solid line.
    pub(crate) dashes: &'static str,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// A picture of this size on a white ground of its own, so that it can be read on any other.
    pub(crate) fn new(width: f64, height: f64, title: &str) -> Svg {
        let mut svg = Svg {
            text: String::new(),
        };
        let title = escaped(title);
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"#222222\">\n\
             <title>{title}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        ));
        svg
    }

    /// A line through points.
    pub(crate) fn line(&mut self, points: &[Point], stroke: Stroke) {
        let Stroke {
            colour,
            width,
            dashes,
        } = stroke;
        let points = listed(points);
        let dashes = match dashes {
            "" => String::new(),
            dashes => format!(" stroke-dasharray=\"{dashes}\""),
        };
        self.put(format_args!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"\
             {dashes} stroke-linejoin=\"round\"/>\n"
        ));
    }

    /// An area within points, through which what is below it can be seen.
    pub(crate) fn area(&mut self, points: &[Point], colour: &str, opacity: f64) {
        let points = listed(points);
        self.put(format_args!(
            "<polygon points=\"{points}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>\n"
        ));
    }

    /// A ring.
    pub(crate) fn ring(&mut self, (x, y): Point, radius: f64, colour: &str) {
        self.put(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"#ffffff\" stroke=\"{colour}\" \
             stroke-width=\"2\"/>\n"
        ));
    }

    /// A text whose foot stands at a point.
    pub(crate) fn text(&mut self, (x, y): Point, anchor: Anchor, text: &str) {
        self.styled_text((x, y), anchor, "", text);
    }

    /// A heading.
    pub(crate) fn heading(&mut self, (x, y): Point, anchor: Anchor, text: &str) {
        self.styled_text(
            (x, y),
            anchor,
            " font-size=\"15\" font-weight=\"bold\"",
            text,
        );
    }

    /// A text that is read from the bottom to the top.
    pub(crate) fn upright_text(&mut self, (x, y): Point, text: &str) {
        let turned = format!(" transform=\"rotate(-90 {x:.1} {y:.1})\"");
        self.styled_text((x, y), Anchor::Middle, &turned, text);
    }

    fn styled_text(&mut self, (x, y): Point, anchor: Anchor, style: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{style}>{text}</text>\n"
        ));
    }

    /// The whole picture.
    pub(crate) fn finish(mut self) -> String {
        self.text += "</svg>\n";
        self.text
    }

    fn put(&mut self, part: std::fmt::Arguments<'_>) {
        // Into memory, which takes everything.
        let _ = self.text.write_fmt(part);
    }
}

fn listed(points: &[Point]) -> String {
    let points = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}"));
    points.collect::<Vec<_>>().join(" ")
}

/// `text` as XML has it. What no document may hold is left out.
fn escaped(text: &str) -> String {
    let text: String = text.chars().filter(|sign| !sign.is_control()).collect();
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
}
