//! What redb reports and does, sorted into damage and refusals of the operating system.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::partition::StoreError;

/// An error that says what is wrong with the catalog at `path`.
pub(in crate::partition) fn damage(path: &Path, what: String) -> StoreError {
    StoreError::Catalog {
        path: path.to_owned(),
        what,
    }
}

/// Turns a panic of redb into an error: it trusts its pages once they are verified.
pub(in crate::partition) fn guarded<T>(
    path: &Path,
    look: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Nothing that `look` leaves half done is used again after a panic: it only reads.
    catch_unwind(AssertUnwindSafe(look))
        .unwrap_or_else(|_| Err(damage(path, "its pages contradict each other".to_owned())))
}

/// Sorts what redb reports into damage and refusals of the operating system.
pub(in crate::partition) fn failure(
    action: &'static str,
    path: &Path,
    error: impl Into<redb::Error>,
) -> StoreError {
    match error.into() {
        redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
            StoreError::Catalog {
                path: path.to_owned(),
                what: source.to_string(),
            }
        }
        redb::Error::Io(source) => StoreError::io(action, path, source),
        // Nothing is known to be wrong with what is on disk.
        redb::Error::PreviousIo => StoreError::Stopped {
            path: path.to_owned(),
            source: None,
        },
        other => StoreError::Catalog {
            path: path.to_owned(),
            what: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_library_is_damage() {
        let error = guarded::<()>(Path::new("c"), || panic!("a page is not there")).unwrap_err();
        assert!(matches!(error, StoreError::Catalog { .. }), "{error}");
    }
}
