//! Pictures with boxes and names drawn on them.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::answer::Person;
use super::groups::{Answered, AnsweredFace};
use crate::cli::args::Identify;
use crate::face::{Mark, Picture, PictureKind, annotate};

/// Where each picture is drawn.
pub(super) struct Annotating {
    files: Vec<PathBuf>,
    overwrite: bool,
}

impl Annotating {
    /// Where pictures are drawn, if that is asked for: one in the file that is named, several in a
    /// folder, under their own names.
    ///
    /// # Errors
    ///
    /// If a file is there already and is not to be replaced, or is one of the pictures.
    pub(super) fn of(verb: &Identify, pictures: &[PathBuf]) -> anyhow::Result<Option<Annotating>> {
        let Some(target) = &verb.annotate else {
            return Ok(None);
        };
        let overwrite = verb.existing.is_overwrite();
        let files = match pictures {
            [_] if !target.is_dir() => vec![target.clone()],
            _ => in_folder(target, pictures)?,
        };
        for file in &files {
            kind(file)?;
            check(file, pictures, overwrite)?;
        }
        Ok(Some(Annotating { files, overwrite }))
    }

    /// Draws what was found in the picture of this number.
    pub(super) fn draw(
        &self,
        at: usize,
        picture: &Picture,
        answered: &Answered,
    ) -> anyhow::Result<()> {
        let marks: Vec<Mark> = answered.faces.iter().enumerate().map(mark).collect();
        let file = &self.files[at];
        let bytes = annotate(picture, &marks).encode(kind(file)?)?;
        write(file, &bytes, self.overwrite).with_context(|| format!("writing `{}`", file.display()))
    }
}

fn mark((at, face): (usize, &AnsweredFace)) -> Mark {
    Mark {
        bounds: face.bounds,
        number: at + 1,
        name: face.people.first().map(Person::label),
    }
}

/// A file for each picture in a folder, which is made if there is none.
fn in_folder(folder: &Path, pictures: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    if folder.is_file() || kind(folder).is_ok() {
        bail!(
            "there are {} pictures to draw on: name a folder for them with --annotate, not `{}`",
            pictures.len(),
            folder.display()
        );
    }
    let name = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("making the folder `{name}`"))?;
    let mut taken = HashSet::new();
    let file = |picture: &PathBuf| {
        let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
        let stem = if stem == "-" { "stdin" } else { &*stem };
        let names = (1..).map(|number: usize| match number {
            1 => format!("{stem}.jpg"),
            _ => format!("{stem}-{number}.jpg"),
        });
        // Pictures of different folders may be called the same, but for the case of letters.
        let mut free = names.filter(|name| taken.insert(name.to_lowercase()));
        folder.join(free.next().unwrap_or_default())
    };
    Ok(pictures.iter().map(file).collect())
}

fn kind(file: &Path) -> anyhow::Result<PictureKind> {
    let end = file.extension().unwrap_or_default().to_string_lossy();
    match &*end.to_ascii_lowercase() {
        "jpg" | "jpeg" => Ok(PictureKind::Jpeg),
        "png" => Ok(PictureKind::Png),
        _ => bail!(
            "`{}` must end in .jpg or .png, or be a folder",
            file.display()
        ),
    }
}

fn check(file: &Path, pictures: &[PathBuf], overwrite: bool) -> anyhow::Result<()> {
    let Ok(place) = file.canonicalize() else {
        return Ok(());
    };
    let is_picture = |picture: &PathBuf| picture.canonicalize().is_ok_and(|it| it == place);
    if pictures.iter().any(is_picture) {
        bail!(
            "`{}` is one of the pictures: draw elsewhere",
            file.display()
        );
    }
    if !overwrite {
        bail!(
            "`{}` is there already: --overwrite replaces it",
            file.display()
        );
    }
    Ok(())
}

/// The file appears when it is whole.
fn write(file: &Path, bytes: &[u8], overwrite: bool) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let mut temporary = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    temporary.write_all(bytes)?;
    if overwrite {
        temporary.persist(file)?;
    } else {
        temporary.persist_noclobber(file)?;
    }
    Ok(())
}
