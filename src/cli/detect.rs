//! `vultus detect`

use std::path::{Path, PathBuf};

use comfy_table::CellAlignment;
use serde::Serialize;

use super::args::{Detect, Faces};
use super::exit::Exit;
use super::output::{self, PathName};
use super::pictures::{self, Found, JsonBox, PictureError};
use super::{open, parallel};
use crate::config::Settings;
use crate::face::{FoundFace, Point};
use crate::intake::Crowd;

/// The faces of a picture, without its pixels.
struct Looked {
    size: (usize, usize),
    faces: Vec<FoundFace>,
    left_out: usize,
}

#[derive(Serialize)]
struct JsonPicture<'a> {
    #[serde(flatten)]
    picture: PathName<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    faces: Option<Vec<JsonFace>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    faces_left_out: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct JsonFace {
    r#box: JsonBox,
    points: JsonPoints,
    detection_score: f32,
    quality: f32,
    warnings: Vec<&'static str>,
}

/// Left and right are those of the picture.
#[derive(Serialize)]
struct JsonPoints {
    left_eye: [f32; 2],
    right_eye: [f32; 2],
    nose: [f32; 2],
    left_mouth: [f32; 2],
    right_mouth: [f32; 2],
}

pub(super) fn run(verb: &Detect, settings: &Settings) -> anyhow::Result<Exit> {
    let Found { pictures, passed } = pictures::find(&verb.paths)?;
    let intake = open::intake(settings)?;
    let bar = output::progress(pictures.len(), "reading pictures");
    let looked = parallel::map(&pictures, settings.threads, |path| {
        let crowd = pictures::crowd(&intake, path, Some(Faces::All));
        bar.inc(1);
        crowd.map(Looked::from)
    });
    bar.finish_and_clear();
    if verb.json {
        for (path, one) in pictures.iter().zip(&looked) {
            output::json_line(&JsonPicture::of(path, one))?;
        }
        if !passed.is_empty() {
            output::json_line(&serde_json::json!({ "passed_over": passed }))?;
        }
    } else {
        print(&pictures, &looked)?;
    }
    passed.print();
    let there = looked.iter().flatten();
    let faces: usize = there.map(|looked| looked.faces.len()).sum();
    let is_refused = looked.iter().any(Result::is_err);
    Ok(if faces > 0 && !is_refused && !passed.is_missed() {
        Exit::Success
    } else {
        Exit::No
    })
}

impl From<Crowd> for Looked {
    fn from(crowd: Crowd) -> Looked {
        Looked {
            size: (crowd.picture.width(), crowd.picture.height()),
            faces: crowd.everybody.faces,
            left_out: crowd.everybody.left_out,
        }
    }
}

impl<'a> JsonPicture<'a> {
    fn of(path: &'a Path, looked: &Result<Looked, PictureError>) -> JsonPicture<'a> {
        let there = looked.as_ref().ok();
        let faces = there.map(|looked| {
            let face = |face: &FoundFace| JsonFace::of(face, looked.size);
            looked.faces.iter().map(face).collect()
        });
        JsonPicture {
            picture: PathName::new("picture", path),
            faces,
            faces_left_out: there.map(|it| it.left_out).filter(|count| *count > 0),
            width: there.map(|it| it.size.0),
            height: there.map(|it| it.size.1),
            error: looked.as_ref().err().map(PictureError::to_string),
        }
    }
}

impl JsonFace {
    fn of(face: &FoundFace, size: (usize, usize)) -> JsonFace {
        let tenths = |at: f32| (at * 10.0).round() / 10.0 + 0.0;
        let place = |point: &Point| [tenths(point.x), tenths(point.y)];
        let [left_eye, right_eye, nose, left_mouth, right_mouth] =
            face.landmarks.each_ref().map(place);
        JsonFace {
            r#box: JsonBox::of(&face.bounds, size),
            points: JsonPoints {
                left_eye,
                right_eye,
                nose,
                left_mouth,
                right_mouth,
            },
            detection_score: face.detection_score,
            quality: face.quality,
            warnings: face.warnings.iter().map(|warning| warning.name()).collect(),
        }
    }
}

/// One table for all pictures.
fn print(paths: &[PathBuf], looked: &[Result<Looked, PictureError>]) -> anyhow::Result<()> {
    let mut table = output::table(&["picture", "face", "box", "quality", "warnings"]);
    if let Some(warnings) = table.column_mut(4) {
        warnings.set_cell_alignment(CellAlignment::Left);
    }
    let mut rows = 0;
    for (path, one) in paths.iter().zip(looked) {
        let name = path.display();
        let one = match one {
            Ok(one) => one,
            Err(refusal) => {
                output::tell!("refused `{name}`: {refusal}");
                continue;
            }
        };
        for (at, face) in one.faces.iter().enumerate() {
            let warnings: Vec<&str> = face.warnings.iter().map(|it| it.message()).collect();
            rows += 1;
            table.add_row([
                name.to_string(),
                (at + 1).to_string(),
                JsonBox::of(&face.bounds, one.size).to_string(),
                format!("{:.2}", face.quality),
                warnings.join(", "),
            ]);
        }
        let note = match (one.faces.len(), one.left_out) {
            (0, _) => "no face".to_owned(),
            (_, 0) => continue,
            (_, more) => format!("{more} more faces"),
        };
        rows += 1;
        table.add_row([name.to_string(), String::new(), note]);
    }
    if rows == 0 {
        return Ok(());
    }
    Ok(output::line(table.to_string())?)
}
