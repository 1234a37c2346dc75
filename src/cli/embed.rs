//! `vultus embed`

use std::path::Path;

use super::args::Embed;
use super::exit::Exit;
use super::pictures::{self, Found, PictureError};
use super::{open, output, parallel};
use crate::config::Settings;
use crate::exchange::{FaceFile, FaceRow};
use crate::intake::Crowd;

pub(super) fn run(verb: &Embed, settings: &Settings) -> anyhow::Result<Exit> {
    let Found { pictures, passed } = pictures::find(&verb.paths)?;
    // Before minutes of work: whether there will be a place for what comes of it.
    let file = FaceFile::new(&verb.output, verb.overwrite)?;
    let intake = open::intake(settings)?;
    let bar = output::progress(pictures.len(), "reading pictures");
    let looked = parallel::map(&pictures, settings.threads, |path| {
        let crowd = pictures::crowd(&intake, path, verb.faces);
        bar.inc(1);
        crowd.map(|crowd| rows(path, &crowd))
    });
    bar.finish_and_clear();
    let mut rows = Vec::new();
    let (mut refused, mut too_small) = (false, 0);
    for (path, one) in pictures.iter().zip(looked) {
        match one {
            Ok(embedded) => {
                too_small += embedded.too_small;
                rows.extend(embedded.rows);
            }
            Err(refusal) => {
                refused = true;
                tell_refused(path, &refusal);
            }
        }
    }
    file.write(&rows, intake.encoder().dimension())?;
    passed.print();
    let names: Vec<String> = file
        .files()
        .map(|file| format!("`{}`", file.display()))
        .collect();
    let faces = output::count(rows.len(), "face", "faces");
    let small = match too_small {
        0 => String::new(),
        count => format!("; {count} more are too small"),
    };
    output::say!(
        "wrote {faces} of {} by {} into {}{small}",
        output::count(pictures.len(), "picture", "pictures"),
        intake.encoder(),
        names.join(" and "),
    );
    Ok(if !refused && !passed.is_missed() {
        Exit::Success
    } else {
        Exit::No
    })
}

fn tell_refused(path: &Path, refusal: &PictureError) {
    output::tell!("refused `{}`: {refusal}", path.display());
}

/// The faces of a picture that have embeddings, and how many have not.
struct Embedded {
    rows: Vec<FaceRow>,
    too_small: usize,
}

fn rows(path: &Path, crowd: &Crowd) -> Embedded {
    let picture = path.to_string_lossy().into_owned();
    let size = (crowd.picture.width(), crowd.picture.height());
    let faces = &crowd.everybody.faces;
    let row = |(at, face): (usize, &crate::face::FoundFace)| {
        let embedding = face.embedding.as_ref()?;
        let number = at + 1;
        let id = match faces.len() {
            1 => picture.clone(),
            _ => format!("{picture}#{number}"),
        };
        Some(FaceRow {
            id,
            picture: picture.clone(),
            face: number as i64,
            face_box: face.bounds.whole_within(size).map(|side| side as i64),
            quality: face.quality,
            embedding: embedding.values().to_vec(),
        })
    };
    let rows: Vec<FaceRow> = faces.iter().enumerate().filter_map(row).collect();
    Embedded {
        too_small: faces.len() - rows.len(),
        rows,
    }
}
