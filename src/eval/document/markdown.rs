//! As Markdown.

use super::{Document, Section};

impl Document {
    /// The whole text. Drawings are named where they are, in the folder `plots`, if they were
    /// drawn.
    pub(crate) fn markdown(&self, plots: Option<&str>) -> String {
        let mut text = format!("# {}\n", plain(&self.title));
        for section in &self.sections {
            text += "\n";
            text += &section.markdown(plots);
        }
        text
    }
}

impl Section {
    fn markdown(&self, plots: Option<&str>) -> String {
        let mut parts = vec![format!("## {}\n", plain(&self.heading))];
        parts.extend(self.words.iter().map(|words| format!("{}\n", plain(words))));
        if let Some(table) = &self.table {
            let row = |cells: &[String]| {
                let cells: Vec<String> = cells.iter().map(|cell| in_cell(cell)).collect();
                format!("| {} |\n", cells.join(" | "))
            };
            let mut text = row(&table.columns);
            let marks = (0..table.columns.len()).map(|at| if at == 0 { "---" } else { "---:" });
            text += &format!("| {} |\n", marks.collect::<Vec<_>>().join(" | "));
            table.rows.iter().for_each(|cells| text += &row(cells));
            parts.push(text);
        }
        if let Some(folder) = plots {
            let figures = self.figures.iter();
            parts.extend(figures.map(|figure| {
                let folder = folder.replace(' ', "%20");
                format!(
                    "![{}]({folder}/{}.svg)\n",
                    plain(&figure.caption),
                    figure.name
                )
            }));
        }
        parts.join("\n")
    }
}

/// Text in which nothing is a mark.
fn plain(text: &str) -> String {
    let text: String = text.chars().filter(|sign| !sign.is_control()).collect();
    text.replace('\\', "\\\\").replace('<', "\\<")
}

fn in_cell(text: &str) -> String {
    plain(text).replace('|', "\\|")
}
