//! The pictures that paths name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::look::is_stdin;
use super::names::class_of;
use super::passed::{Passed, Why};
use super::stand_in::{Named, stand_in};
use super::walk::{Listing, Walk};
use crate::cli::output;
use crate::types::{ClassId, PersonName};

/// What an error names of many.
const NAMED_MAX: usize = 3;

/// Pictures, or pictures with something, and what was passed over to find them.
#[derive(Debug)]
pub(in crate::cli) struct Found<T> {
    pub(in crate::cli) pictures: Vec<T>,
    pub(in crate::cli) passed: Passed,
}

/// All pictures below the paths, in order of their names. A file that is named itself is taken
/// whatever it is, as often as it is named.
pub(in crate::cli) fn find(paths: &[PathBuf]) -> anyhow::Result<Found<PathBuf>> {
    let Found { pictures, passed } = find_any(paths)?;
    check_found(pictures, passed)
}

/// As [`find`], where it is no error if there are none yet.
pub(in crate::cli) fn find_any(paths: &[PathBuf]) -> anyhow::Result<Found<PathBuf>> {
    let mut walk = Walk::new();
    let mut pictures = Vec::new();
    check_stdin(paths)?;
    for path in paths {
        match is_folder(path, &mut walk)? {
            Some(true) if walk.take(path, None).is_ok() => pictures.extend(walk.below(path, None)),
            Some(false) => pictures.push(path.clone()),
            _ => {}
        }
    }
    let passed = walk.passed();
    Ok(Found { pictures, passed })
}

/// Fails if stdin is named twice: it can be read once.
pub(in crate::cli) fn check_stdin(paths: &[PathBuf]) -> anyhow::Result<()> {
    if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
        bail!("`-` is there twice, and stdin can be read once");
    }
    Ok(())
}

/// All pictures of one person: those named, and those in the folders named.
///
/// # Errors
///
/// If such a folder has folders with pictures in it: it is not known whose they are.
pub(in crate::cli) fn find_of_one(paths: &[PathBuf]) -> anyhow::Result<Found<PathBuf>> {
    let mut walk = Walk::new();
    let mut pictures = Vec::new();
    for path in paths {
        let Some(is_folder) = is_folder(path, &mut walk)? else {
            continue;
        };
        if walk.take(path, None).is_err() {
            continue;
        }
        if !is_folder {
            pictures.push(path.clone());
            continue;
        }
        let listing = walk.list(path);
        let with_pictures = listing.folders.into_iter().filter(|folder| {
            walk.take(folder, None).is_ok() && !walk.below(folder, None).is_empty()
        });
        let with_pictures: Vec<PathBuf> = with_pictures.collect();
        if !with_pictures.is_empty() {
            bail!(
                "`{}` has folders of pictures in it ({}), and --class says that all show one person: leave \
                 --class out if the folders name people, or name the folders of that person",
                path.display(),
                listed(&with_pictures)
            );
        }
        let of_folder = listing.pictures.into_iter();
        pictures.extend(of_folder.filter(|picture| walk.take(picture, None).is_ok()));
    }
    found(pictures, walk)
}

/// All pictures in the class folders of the paths and below those, with their class. Folders that are
/// named after people stand for a class each that nobody has ([`is_stand_in`]), with the name in what is
/// returned beside.
///
/// # Errors
///
/// If a path is no folder or has no class folders, the name of one gives no class and is no name, it is
/// not clear which of them it is, or two give the same: nobody knows whether these are one person.
pub(in crate::cli) fn find_people(
    paths: &[PathBuf],
) -> anyhow::Result<(Found<(PathBuf, ClassId)>, Named)> {
    let mut walk = Walk::new();
    let mut folders = Vec::new();
    for path in paths {
        match is_folder(path, &mut walk)? {
            Some(true) if walk.take(path, None).is_ok() => {
                folders.extend(class_folders(path, &mut walk)?);
            }
            Some(false) => bail!(
                "whom does `{}` show? name the person with --class, or with --name of `vultus enroll`",
                path.display()
            ),
            _ => {}
        }
    }
    let named = names_of(&folders)?;
    let classes = classes_of(&folders, &named, &mut walk)?;
    let mut pictures = Vec::new();
    for (folder, class) in classes {
        let below = walk.below(folder, Some(class));
        if below.is_empty() {
            walk.pass(Why::EmptyClass, folder);
        }
        pictures.extend(below.into_iter().map(|picture| (picture, class)));
    }
    Ok((found(pictures, walk)?, named))
}

/// The folders in a folder of class folders. Pictures beside them are of nobody.
fn class_folders(path: &Path, walk: &mut Walk) -> anyhow::Result<Vec<PathBuf>> {
    let Listing { folders, pictures } = walk.list(path);
    if folders.is_empty() {
        bail!(
            "`{}` has no class folders: whom do its pictures show? name the folder above it, or the person \
             with --class",
            path.display()
        );
    }
    for picture in pictures {
        walk.pass(Why::Loose, &picture);
    }
    Ok(folders)
}

/// The class of each folder. All are known before one is read, so that what lies in one of them is
/// never taken for that of another through a link.
fn classes_of<'a>(
    folders: &'a [PathBuf],
    named: &Named,
    walk: &mut Walk,
) -> anyhow::Result<Vec<(&'a PathBuf, ClassId)>> {
    let class = |folder: &PathBuf| {
        let number = class_of(folder.file_name().unwrap_or_default());
        number.or_else(|| {
            let place = folders.iter().position(|other| other == folder)?;
            named
                .contains_key(&stand_in(place))
                .then(|| stand_in(place))
        })
    };
    let nameless: Vec<&PathBuf> = folders.iter().filter(|it| class(it).is_none()).collect();
    if !nameless.is_empty() {
        bail!(
            "which class is {}? the name of a class folder is its number, alone (`17`) or behind letters \
             (`anna17`, `id-17`, `s_17`), or the name of a person (`Ada Lovelace`); \
             pictures of any class, a negative one, too, are enrolled with \
             --class",
            listed(&nameless)
        );
    }
    let mut classes: BTreeMap<ClassId, &PathBuf> = BTreeMap::new();
    let mut all = Vec::new();
    for folder in folders {
        let Some(class) = class(folder) else { continue };
        if let Some(other) = classes.insert(class, folder) {
            bail!(
                "`{}` and `{}` are both class {class}: are they one person? give each person a number of \
                 its own, or put the pictures of one into one folder",
                other.display(),
                folder.display()
            );
        }
        if let Err(before) = walk.claim(folder, Some(class)) {
            bail!(
                "`{}` and `{}` are the same folder: of which class are its pictures?",
                before.path.display(),
                folder.display()
            );
        }
        all.push((folder, class));
    }
    Ok(all)
}

/// The names of the folders that give no class.
fn names_of(folders: &[PathBuf]) -> anyhow::Result<Named> {
    let mut named = Named::new();
    let mut places: BTreeMap<String, &PathBuf> = BTreeMap::new();
    for (place, folder) in folders.iter().enumerate() {
        let text = folder.file_name().unwrap_or_default();
        // What has no letter is a number that went wrong, such as `-2`, and nobody's name.
        let has_letter = text.to_string_lossy().contains(char::is_alphabetic);
        if class_of(text).is_some() || !has_letter {
            continue;
        }
        let text = text.to_str().with_context(|| {
            format!(
                "the name of `{}` is no text, so it is nobody's",
                folder.display()
            )
        })?;
        let name: PersonName = text
            .parse()
            .with_context(|| format!("`{}` is not named after a person", folder.display()))?;
        if let Some(other) = places.insert(name.folded().to_owned(), folder) {
            bail!(
                "`{}` and `{}` are named after the same person: are they one? put the pictures of one into \
                 one folder, or name the folders by the numbers of their classes",
                other.display(),
                folder.display()
            );
        }
        named.insert(stand_in(place), name);
    }
    // Beside names `Louis14` may be one, too, and nobody must become class 14 unasked.
    let is_plain = |folder: &&PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.bytes().all(|byte| byte.is_ascii_digit())
    };
    let has_class = |folder: &&PathBuf| class_of(folder.file_name().unwrap_or_default()).is_some();
    let unclear = folders.iter().filter(has_class).filter(|it| !is_plain(it));
    let unclear: Vec<&PathBuf> = unclear.collect();
    if let (Some(place), false) = (named.keys().next(), unclear.is_empty()) {
        let index = usize::try_from(place.0.wrapping_sub(i64::MIN)).unwrap_or_default();
        bail!(
            "is {} a name, or the number of a class, beside a name such as {}? name a class by its number \
             alone (`14`), and a person with a blank (`Louis 14`), or enrol them by themselves",
            listed(&unclear),
            listed(&folders[index..=index])
        );
    }
    Ok(named)
}

/// Whether a path that was named is a folder. None if it is passed over: what is not there at all
/// is a slip of the pen, everything else must not stop the others.
fn is_folder(path: &Path, walk: &mut Walk) -> anyhow::Result<Option<bool>> {
    if is_stdin(path) {
        return Ok(Some(false));
    }
    match fs::metadata(path) {
        Ok(about) => Ok(Some(about.is_dir())),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() =>
        {
            Err(error).with_context(|| format!("cannot read `{}`", path.display()))
        }
        Err(error) => {
            walk.pass_unreadable(path, &error);
            Ok(None)
        }
    }
}

fn found<T>(pictures: Vec<T>, walk: Walk) -> anyhow::Result<Found<T>> {
    check_found(pictures, walk.passed())
}

fn check_found<T>(pictures: Vec<T>, passed: Passed) -> anyhow::Result<Found<T>> {
    if !pictures.is_empty() {
        return Ok(Found { pictures, passed });
    }
    let lines = [
        vec!["there is no picture that can be read".to_owned()],
        passed.lines(),
    ];
    Err(anyhow!(lines.concat().join("\n")))
}

/// The first of some paths, and how many more there are.
fn listed<P: AsRef<Path>>(paths: &[P]) -> String {
    let names = paths.iter().take(NAMED_MAX);
    let names: Vec<String> = names
        .map(|path| format!("`{}`", path.as_ref().display()))
        .collect();
    let more = paths.len() - names.len();
    let names = names.join(", ");
    match more {
        0 => names,
        more => format!("{names} and {}", output::count(more, "more", "more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files. Where a name says `->`, the first is a link to the second.
    fn tree(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let (name, target) = name.split_once(" -> ").unwrap_or((name, ""));
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if !target.is_empty() {
                #[cfg(unix)]
                std::os::unix::fs::symlink(target, path).unwrap();
            } else if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::write(path, "").unwrap();
            }
        }
        directory
    }

    fn find_classes(paths: &[PathBuf]) -> anyhow::Result<Found<(PathBuf, ClassId)>> {
        Ok(find_people(paths)?.0)
    }

    fn classes(root: &tempfile::TempDir) -> anyhow::Result<(Vec<(String, i64)>, String)> {
        let found = find_classes(&[root.path().to_owned()])?;
        let pictures = found.pictures.iter().map(|(path, class)| {
            let name = path.strip_prefix(root.path()).unwrap().to_str().unwrap();
            (name.to_owned(), class.0)
        });
        Ok((pictures.collect(), found.passed.lines().join("\n")))
    }

    #[test]
    fn pictures_are_found_in_the_order_of_their_numbers() {
        let directory = tree(&["s2/10.pgm", "s2/9.PGM", "s10/1.jpg", "s2/README"]);
        let root = [directory.path().to_owned()];
        let expected =
            ["s2/9.PGM", "s2/10.pgm", "s10/1.jpg"].map(|name| directory.path().join(name));
        assert_eq!(find(&root).unwrap().pictures, expected);
        let found = find_classes(&root).unwrap();
        let classes: Vec<i64> = found.pictures.iter().map(|(_, class)| class.0).collect();
        assert_eq!(classes, [2, 2, 10]);
        assert!(!found.passed.is_missed(), "a README is no picture");
        assert!(find_classes(&expected).is_err());
        assert!(find_classes(&[directory.path().join("s2")]).is_err());
        assert!(find(&[directory.path().join("missing")]).is_err());
    }

    #[test]
    fn deeper_folders_are_read_and_loose_pictures_are_named() {
        let people = tree(&[
            "17/2024/may/a.jpg",
            "17/b.jpg",
            "loose.jpg",
            "list.txt",
            "4/",
        ]);
        let (pictures, passed) = classes(&people).unwrap();
        let expected = [("17/b.jpg", 17), ("17/2024/may/a.jpg", 17)];
        assert_eq!(
            pictures,
            expected.map(|(name, class)| (name.to_owned(), class))
        );
        assert!(
            passed.contains("loose.jpg") && passed.contains("1 class folder without"),
            "{passed}"
        );
        assert!(
            find_classes(&[people.path().to_owned()])
                .unwrap()
                .passed
                .is_missed()
        );
    }

    #[test]
    fn folders_of_one_class_are_refused_by_name() {
        for pair in [
            ["anna17", "bob17"],
            ["7", "007"],
            ["anna1", "Anna1"],
            ["id-3", "x_3"],
            ["Zo\u{eb}8", "Zoe\u{308}8"],
        ] {
            let people = tree(&[&format!("{}/a.jpg", pair[0]), &format!("{}/b.jpg", pair[1])]);
            let error = classes(&people).unwrap_err().to_string();
            assert!(pair.iter().all(|name| error.contains(name)), "{error}");
            // The same of folders in different places.
            let [one, other] = pair.map(|name| tree(&[&format!("{name}/a.jpg")]));
            let roots = [one.path().to_owned(), other.path().to_owned()];
            let error = find_classes(&roots).unwrap_err().to_string();
            assert!(pair.iter().all(|name| error.contains(name)), "{error}");
        }
        let people = tree(&["1/a.jpg", "-17/b.jpg"]);
        let error = classes(&people).unwrap_err().to_string();
        assert!(
            error.contains("-17`") && error.contains("--class"),
            "{error}"
        );
    }

    #[test]
    fn the_same_folder_named_twice_is_once() {
        let people = tree(&["1/a.jpg", "2/b.jpg"]);
        let root = people.path().to_owned();
        for again in [root.clone(), root.join("."), root.join("1/..")] {
            let found = find_classes(&[root.clone(), again.clone()]).unwrap();
            assert_eq!(found.pictures.len(), 2);
            assert_eq!(find(&[root.clone(), again]).unwrap().pictures.len(), 2);
        }
        let one = root.join("1");
        assert_eq!(
            find_of_one(&[one.clone(), one.join("a.jpg")])
                .unwrap()
                .pictures
                .len(),
            1
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once_and_never_into_another_class() {
        let people = tree(&[
            "17/a.jpg",
            "17/again.jpg -> a.jpg",
            "17/round -> ..",
            "17/other -> ../18",
            "17/nowhere.jpg -> missing",
            "17/self -> self",
            "18/b.jpg",
            "18/theirs.jpg -> ../17/a.jpg",
        ]);
        let (pictures, passed) = classes(&people).unwrap();
        let expected = [("17/a.jpg", 17), ("18/b.jpg", 18)];
        assert_eq!(
            pictures,
            expected.map(|(name, class)| (name.to_owned(), class)),
            "{passed}"
        );
        for said in [
            "17/again.jpg",
            "17/round",
            "17/other",
            "17/nowhere.jpg",
            "17/self",
            "theirs",
        ] {
            assert!(passed.contains(said), "{said}: {passed}");
        }
        // Links to folders elsewhere are folders.
        let linked = tree(&["5/x -> y", "5/y/a.jpg"]);
        assert_eq!(classes(&linked).unwrap().0.len(), 1);
        for names in [["17/a.jpg", "bob17 -> 17"], ["17/a.jpg", "18 -> 17"]] {
            let error = classes(&tree(&names)).unwrap_err().to_string();
            assert!(error.contains("17`"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_sockets_neither_block_nor_stop_anything() {
        let people = tree(&["1/a.jpg"]);
        let socket = people.path().join("1/socket");
        let _socket = std::os::unix::net::UnixListener::bind(socket).unwrap();
        let pipe = people.path().join("1/pipe.jpg");
        let made = std::process::Command::new("mkfifo").arg(pipe).status();
        assert!(made.unwrap().success());
        let (pictures, passed) = classes(&people).unwrap();
        assert_eq!(pictures.len(), 1);
        assert!(
            passed.contains("socket") && passed.contains("pipe.jpg"),
            "{passed}"
        );
    }

    #[test]
    fn what_systems_make_is_counted_and_stops_nothing() {
        let people = tree(&[
            "@eaDir/1/SYNOPHOTO_THUMB.jpg",
            "__MACOSX/1/._a.jpg",
            ".thumbs/1.jpg",
            "#recycle/x",
            "lost+found/",
            "Thumbs.db",
            "desktop.ini",
            "1/._a.jpg",
            "1/@eaDir/a.jpg",
            "1/a.jpg",
            "1/b.HEIC",
        ]);
        let (pictures, passed) = classes(&people).unwrap();
        assert_eq!(pictures.len(), 1, "{passed}");
        assert!(
            passed.contains("9 hidden or system") && passed.contains("1 HEIC file"),
            "{passed}"
        );
        let found = find(&[people.path().to_owned()]).unwrap();
        assert_eq!(found.pictures.len(), 1);
    }

    #[test]
    fn one_person_has_no_folders_of_folders() {
        let people = tree(&["1/a.jpg", "anna/b.jpg", "c.jpg", ".x/d.jpg", "empty/"]);
        let error = find_of_one(&[people.path().to_owned()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("/1`") && error.contains("/anna`"), "{error}");
        let found = find_of_one(&[people.path().join("1"), people.path().join("anna")]).unwrap();
        assert_eq!(found.pictures.len(), 2);
        let plain = tree(&["c.jpg", ".x/d.jpg", "empty/", "x.txt"]);
        assert_eq!(
            find_of_one(&[plain.path().to_owned()])
                .unwrap()
                .pictures
                .len(),
            1
        );
    }

    #[test]
    fn nothing_found_says_what_was_passed_over() {
        let people = tree(&["1/a.heic", "2/b.txt"]);
        for error in [
            classes(&people).unwrap_err(),
            find(&[people.path().to_owned()]).unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(
                error.contains("no picture") && error.contains("a.heic"),
                "{error}"
            );
        }
    }
}
