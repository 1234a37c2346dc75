//! Answers for pictures of several people: one table for all pictures, or a line of JSON for each.

use std::path::{Path, PathBuf};

use comfy_table::CellAlignment;

use super::answer::{
    Answer, Decided, JsonFace, JsonMatch, Person, Printing, explanation, json_certificate,
};
use crate::cli::output::{self, PathName};
use crate::cli::pictures::{JsonBox, PictureError};
use crate::engine::Identification;
use crate::face::{Bounds, Warning};
use crate::intake::{Recognition, Verdict};

/// Everybody in a picture, and who they are.
pub(super) struct Answered {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) faces: Vec<AnsweredFace>,
    pub(super) left_out: usize,
}

/// A face, and who it is.
pub(super) struct AnsweredFace {
    pub(super) bounds: Bounds,
    pub(super) quality: f32,
    pub(super) warnings: Vec<Warning>,
    /// None if it has too few pixels to be compared.
    pub(super) identification: Option<Identification>,
    /// Those who were found, the best first.
    pub(super) people: Vec<Person>,
    /// What is decided, also where all are listed; nothing of one that cannot be compared.
    pub(super) decided: Decided,
}

impl AnsweredFace {
    fn recognition(&self) -> Recognition {
        Recognition::of(self.decided.is_known, self.quality)
    }

    /// In answers.
    fn decision(&self) -> &'static str {
        match self.decided.verdict {
            Some(ambiguous @ Verdict::Ambiguous) => ambiguous.name(),
            _ => self.recognition().name(),
        }
    }

    /// In words, if nobody was found.
    fn nobody(&self, has_threshold: bool) -> String {
        match self.recognition() {
            Recognition::Unusable => {
                let why = self.warnings.first();
                let why = why.map_or("it is of no use", |warning| warning.message());
                format!("cannot tell: {why}")
            }
            _ if has_threshold => "unknown".to_owned(),
            _ => "nobody".to_owned(),
        }
    }
}

/// A line for a picture. One of a single person has `matches` of its own, too, as it always had.
pub(super) fn print_json(
    printing: Printing<'_>,
    path: &Path,
    answered: &Answered,
) -> anyhow::Result<()> {
    let matches = |face: &AnsweredFace| -> Vec<JsonMatch> {
        let people = face.people.iter();
        people.map(|person| printing.json_match(person)).collect()
    };
    let size = (answered.width, answered.height);
    let face = |face: &AnsweredFace| JsonFace {
        r#box: JsonBox::of(&face.bounds, size),
        quality: face.quality,
        warnings: face.warnings.iter().map(|warning| warning.name()).collect(),
        decision: face.decision(),
        confidence: face.decided.confidence,
        matches: matches(face),
    };
    let only = match &answered.faces[..] {
        [only] => Some(only),
        _ => None,
    };
    let decided = only.map_or_else(Decided::default, |only| only.decided);
    let certificate = answered.faces.iter().find_map(|face| {
        let found = face.identification.as_ref()?;
        let wanted = printing.verb.explain;
        wanted.then(|| json_certificate(&found.certificate))
    });
    Ok(output::json_line(&Answer {
        picture: Some(PathName::new("picture", path)),
        matches: only.map(&matches),
        faces: Some(answered.faces.iter().map(face).collect()),
        faces_left_out: (answered.left_out > 0).then_some(answered.left_out),
        width: Some(answered.width),
        height: Some(answered.height),
        certificate,
        ..printing.decided(decided)
    })?)
}

/// Why the answers are exact.
pub(super) fn explain(path: &Path, answered: &Answered) {
    for (at, face) in answered.faces.iter().enumerate() {
        if let Some(found) = &face.identification {
            let why = explanation(&found.certificate);
            output::tell!("{}, face {}: {why}", path.display(), at + 1);
        }
    }
}

/// A line for each face, as it comes, of folders that are watched.
pub(super) fn print_lines(
    printing: Printing<'_>,
    paths: &[PathBuf],
    answered: &[Result<Answered, PictureError>],
) -> anyhow::Result<()> {
    for (path, one) in paths.iter().zip(answered) {
        let Ok(one) = one else { continue };
        let picture = path.display().to_string();
        if one.faces.is_empty() {
            output::line(format!("{picture}: no face"))?;
        }
        for (at, face) in one.faces.iter().enumerate() {
            for [_, number, person, similarity, _] in face_rows(printing, &picture, at + 1, face) {
                let similarity = match &*similarity {
                    "" => String::new(),
                    similarity => format!(" ({similarity})"),
                };
                output::line(format!("{picture}, face {number}: {person}{similarity}"))?;
            }
        }
    }
    Ok(())
}

/// One table for all pictures.
pub(super) fn print_table(
    printing: Printing<'_>,
    paths: &[PathBuf],
    answered: &[Result<Answered, PictureError>],
) -> anyhow::Result<()> {
    let mut table = output::table(&["picture", "face", "person", "similarity", "score"]);
    if let Some(people) = table.column_mut(2) {
        people.set_cell_alignment(CellAlignment::Left);
    }
    let mut rows = 0;
    let mut row = |cells: [String; 5]| {
        rows += 1;
        table.add_row(cells);
    };
    for (path, one) in paths.iter().zip(answered) {
        let Ok(one) = one else { continue };
        let picture = path.display().to_string();
        let note = |text: String| {
            [
                picture.clone(),
                String::new(),
                text,
                String::new(),
                String::new(),
            ]
        };
        if one.faces.is_empty() {
            row(note("no face".to_owned()));
        }
        for (at, face) in one.faces.iter().enumerate() {
            face_rows(printing, &picture, at + 1, face).for_each(&mut row);
        }
        if one.left_out > 0 {
            row(note(format!("{} more faces", one.left_out)));
        }
    }
    if rows == 0 {
        return Ok(());
    }
    Ok(output::line(table.to_string())?)
}

/// A row for each match of a face, or one that says that there is none.
fn face_rows(
    printing: Printing<'_>,
    picture: &str,
    number: usize,
    face: &AnsweredFace,
) -> impl Iterator<Item = [String; 5]> {
    let row = move |person: String, similarity: String, score: String| {
        [
            picture.to_owned(),
            number.to_string(),
            person,
            similarity,
            score,
        ]
    };
    let matched = move |person: &Person| {
        let similarity = format!("{:.6}", person.similarity());
        let score = printing.score_text(person.similarity());
        row(person.for_people(), similarity, score)
    };
    let nobody = face.people.is_empty().then(|| {
        let word = face.nobody(printing.has_threshold);
        row(word, String::new(), String::new())
    });
    nobody.into_iter().chain(face.people.iter().map(matched))
}
