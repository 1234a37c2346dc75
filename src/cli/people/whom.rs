//! The person that somebody names.

use anyhow::bail;

use crate::engine::Gallery;
use crate::types::ClassId;

/// So many classes of one name are told.
const SHOWN_MAX: usize = 10;

/// The class of a number, or of a name that one person has. A number is always the class, whatever
/// people are called. Nothing says a name again: a service writes what is wrong into its log.
///
/// # Errors
///
/// If nobody has the name, or several have it.
pub(in crate::cli) fn class_of(gallery: &Gallery, person: &str) -> anyhow::Result<ClassId> {
    if let Ok(class) = person.parse() {
        return Ok(class);
    }
    let found = gallery.named(person, SHOWN_MAX + 1)?;
    match found[..] {
        [class] => Ok(class),
        [] => bail!(
            "nobody in {} has that name: `vultus people list` shows who there is",
            gallery.id()
        ),
        _ => {
            let shown = found.iter().take(SHOWN_MAX).map(ClassId::to_string);
            let shown: Vec<String> = shown.collect();
            let more = if found.len() > SHOWN_MAX {
                " and others"
            } else {
                ""
            };
            bail!(
                "several people in {} have that name: classes {}{more}; name one by its number",
                gallery.id(),
                shown.join(", ")
            )
        }
    }
}
