//! A picture of the few elements that a plot has, as SVG. Written by us, since the crates for plots
//! that we know draw no dashes but as lines of their own.

use std::fmt::Write as _;

/// Where something is, in pixels from the left and from the top.
pub(crate) type Point = (f64, f64);

/// A picture that is being drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Svg {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) title: String,
    pub(super) shapes: Vec<Shape>,
}

/// What can be drawn, in the order in which it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Line(Vec<Point>, Stroke),
    /// An area of a colour, and how much it hides.
    Area(Vec<Point>, String, f64),
    /// A ring of a radius and a colour.
    Ring(Point, f64, String),
    Text {
        at: Point,
        anchor: Anchor,
        manner: Manner,
        text: String,
    },
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Plain,
    Heading,
    /// From the bottom to the top.
    Upright,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// A picture of this size on a white ground of its own, so that it can be read on any other.
    pub(crate) fn new(width: f64, height: f64, title: &str) -> Svg {
        Svg {
            width,
            height,
            title: title.to_owned(),
            shapes: Vec::new(),
        }
    }

    /// A line through points.
    pub(crate) fn line(&mut self, points: &[Point], stroke: Stroke) {
        self.shapes.push(Shape::Line(points.to_vec(), stroke));
    }

    /// An area within points, through which what is below it can be seen.
    pub(crate) fn area(&mut self, points: &[Point], colour: &str, opacity: f64) {
        let area = Shape::Area(points.to_vec(), colour.to_owned(), opacity);
        self.shapes.push(area);
    }

    /// A ring.
    pub(crate) fn ring(&mut self, at: Point, radius: f64, colour: &str) {
        self.shapes.push(Shape::Ring(at, radius, colour.to_owned()));
    }

    /// A text whose foot stands at a point.
    pub(crate) fn text(&mut self, at: Point, anchor: Anchor, text: &str) {
        self.write(at, anchor, Manner::Plain, text);
    }

    /// A heading.
    pub(crate) fn heading(&mut self, at: Point, anchor: Anchor, text: &str) {
        self.write(at, anchor, Manner::Heading, text);
    }

    /// A text that is read from the bottom to the top.
    pub(crate) fn upright_text(&mut self, at: Point, text: &str) {
        self.write(at, Anchor::Middle, Manner::Upright, text);
    }

    fn write(&mut self, at: Point, anchor: Anchor, manner: Manner, text: &str) {
        self.shapes.push(Shape::Text {
            at,
            anchor,
            manner,
            text: text.to_owned(),
        });
    }

    /// The whole picture as a document.
    pub(crate) fn finish(&self) -> String {
        let Svg {
            width,
            height,
            title,
            shapes,
        } = self;
        let title = escaped(title);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"#222222\">\n\
             <title>{title}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        );
        for shape in shapes {
            // Into memory, which takes everything.
            let _ = put(&mut text, shape);
        }
        text += "</svg>\n";
        text
    }
}

fn put(text: &mut String, shape: &Shape) -> std::fmt::Result {
    match shape {
        Shape::Line(points, stroke) => {
            let Stroke {
                colour,
                width,
                dashes,
            } = stroke;
            let points = listed(points);
            let dashes = match *dashes {
                "" => String::new(),
                dashes => format!(" stroke-dasharray=\"{dashes}\""),
            };
            writeln!(
                text,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" \
                 stroke-width=\"{width}\"{dashes} stroke-linejoin=\"round\"/>"
            )
        }
        Shape::Area(points, colour, opacity) => {
            let points = listed(points);
            writeln!(
                text,
                "<polygon points=\"{points}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>"
            )
        }
        Shape::Ring((x, y), radius, colour) => writeln!(
            text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"#ffffff\" \
             stroke=\"{colour}\" stroke-width=\"2\"/>"
        ),
        Shape::Text {
            at: (x, y),
            anchor,
            manner,
            text: words,
        } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let style = match manner {
                Manner::Plain => String::new(),
                Manner::Heading => " font-size=\"15\" font-weight=\"bold\"".to_owned(),
                Manner::Upright => format!(" transform=\"rotate(-90 {x:.1} {y:.1})\""),
            };
            let words = escaped(words);
            writeln!(
                text,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{style}>{words}</text>"
            )
        }
    }
}

fn listed(points: &[Point]) -> String {
    let points = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}"));
    points.collect::<Vec<_>>().join(" ")
}

/// `text` as XML has it. What no document may hold is left out.
pub(crate) fn escaped(text: &str) -> String {
    let text: String = text.chars().filter(|sign| !sign.is_control()).collect();
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
}
