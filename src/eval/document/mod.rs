//! A report for people: said once, and told as Markdown, as a page, and in tables on a terminal.

mod html;
mod markdown;

use super::plot::svg::Svg;

/// What is told.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) title: String,
    pub(crate) sections: Vec<Section>,
}

/// A part of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub(crate) heading: String,
    /// Paragraphs before the tables.
    pub(crate) words: Vec<String>,
    pub(crate) table: Option<Table>,
    pub(crate) figures: Vec<Figure>,
}

/// Text in rows; what is in the first column names a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A drawing, under a name that can be that of a file.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) caption: String,
    pub(crate) drawing: Svg,
}

impl Table {
    /// A table with these columns, without rows.
    pub(crate) fn new(columns: &[&str]) -> Table {
        Table {
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }
}

impl Section {
    /// A part with this heading.
    pub(crate) fn new(heading: &str) -> Section {
        Section {
            heading: heading.to_owned(),
            ..Section::default()
        }
    }
}

impl Document {
    /// All drawings.
    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.sections.iter().flat_map(|section| &section.figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let mut table = Table::new(&["who", "how often"]);
        table
            .rows
            .push(vec!["a|b <i>".to_owned(), "3 \\ 4".to_owned()]);
        let mut svg = Svg::new(10.0, 10.0, "d");
        svg.text((1.0, 1.0), super::super::plot::svg::Anchor::Start, "x < y");
        Document {
            title: "Report & more".to_owned(),
            sections: vec![Section {
                heading: "Errors".to_owned(),
                words: vec!["Of `p_q` <b>all</b>.".to_owned()],
                table: Some(table),
                figures: vec![Figure {
                    name: "det",
                    caption: "Both \"errors\"".to_owned(),
                    drawing: svg,
                }],
            }],
        }
    }

    #[test]
    fn a_page_needs_nothing_else_and_names_stay_text() {
        let page = document().html();
        assert!(page.starts_with("<!doctype html>\n"));
        for text in [
            "Report &amp; more",
            "a|b &lt;i&gt;",
            "&lt;b&gt;all&lt;/b&gt;",
            "<svg",
            "x &lt; y",
            "prefers-color-scheme: dark",
            "<figcaption>Both &quot;errors&quot;</figcaption>",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("<b>") && !page.contains("<i>") && !page.contains("<script"));
        for outside in ["src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn cells_stay_cells_in_markdown() {
        let text = document().markdown(None);
        assert!(
            text.starts_with("# Report & more\n\n## Errors\n\n"),
            "{text}"
        );
        assert!(
            text.contains("| who | how often |\n| --- | ---: |\n| a\\|b \\<i> | 3 \\\\ 4 |\n"),
            "{text}"
        );
        assert!(!text.contains("!["), "no plots were drawn");
        let text = document().markdown(Some("figures"));
        assert!(
            text.contains("![Both \"errors\"](figures/det.svg)"),
            "{text}"
        );
    }
}
