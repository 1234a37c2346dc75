//! As a page that needs nothing else, read in light and in dark.

use super::{Document, Section, Table};
use crate::eval::plot::svg::escaped;

/// Colours of drawings are given to their elements: in the dark these rules take their place.
const STYLE: &str = "\
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; \
--stripe: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171a; --ink: #e6e9ec; --soft: #a3adb8; --line: #3a424b; --stripe: #1c2126; }
  svg[fill='#222222'] { fill: #dfe3e7; }
  svg [fill='#ffffff'] { fill: #14171a; }
  svg [stroke='#ececec'] { stroke: #2b3138; }
  svg [stroke='#8a8a8a'] { stroke: #98a2ad; }
  svg [stroke='#000000'] { stroke: #f0f3f6; }
  svg [stroke='#0072b2'] { stroke: #4cb3f0; }
  svg [fill='#0072b2'] { fill: #4cb3f0; }
  svg [stroke='#d55e00'] { stroke: #ff8f3f; }
  svg [fill='#d55e00'] { fill: #ff8f3f; }
}
body { background: var(--ground); color: var(--ink); margin: 0 auto; max-width: 70rem; padding: 1.5rem; \
font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; }
p { margin: 0.5rem 0; max-width: 48rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.92rem; margin: 0.8rem 0; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 0.35rem 0.6rem; text-align: right; \
vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
td { white-space: nowrap; }
td:last-child { min-width: 8rem; overflow-wrap: anywhere; white-space: normal; }
tbody tr:nth-child(even) { background: var(--stripe); }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0.8rem 0; flex: 1 1 26rem; max-width: 40rem; }
figure svg { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
figcaption { color: var(--soft); font-size: 0.9rem; }
@media print { h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
";

impl Document {
    /// The whole page.
    pub(crate) fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        );
        for section in &self.sections {
            section.write_html(&mut page);
        }
        page += "</main>\n</body>\n</html>\n";
        page
    }
}

impl Section {
    fn write_html(&self, page: &mut String) {
        *page += &format!("<section>\n<h2>{}</h2>\n", escaped(&self.heading));
        for words in &self.words {
            *page += &format!("<p>{}</p>\n", escaped(words));
        }
        if let Some(table) = &self.table {
            table.write_html(page);
        }
        if !self.figures.is_empty() {
            *page += "<div class=\"figures\">\n";
            for figure in &self.figures {
                let drawing = figure.drawing.finish();
                // Two pictures on one page: a document of its own has a name for its elements.
                let drawing = drawing.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
                let caption = escaped(&figure.caption);
                *page +=
                    &format!("<figure>\n{drawing}<figcaption>{caption}</figcaption>\n</figure>\n");
            }
            *page += "</div>\n";
        }
        *page += "</section>\n";
    }
}

impl Table {
    fn write_html(&self, page: &mut String) {
        let row = |cells: &[String], tag: &str| {
            let cells = cells
                .iter()
                .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
            format!("<tr>{}</tr>\n", cells.collect::<Vec<_>>().concat())
        };
        *page += "<div class=\"table\">\n<table>\n<thead>\n";
        *page += &row(&self.columns, "th");
        *page += "</thead>\n<tbody>\n";
        self.rows
            .iter()
            .for_each(|cells| *page += &row(cells, "td"));
        *page += "</tbody>\n</table>\n</div>\n";
    }
}
