//! Which pictures do these paths name, and what do they show?
//!
//! One walk for every verb that takes folders. It reads deeper folders, follows a link once, takes
//! a file for what its bytes say, and never stops for one that cannot be read: whatever it passes
//! over is counted and named in [`Passed`], which says, too, whether a picture was missed that
//! somebody would have expected to be taken.
//!
//! ```text
//! paths -> find          all pictures below
//!       -> find_of_one   all pictures of one person: a folder of folders is refused
//!       -> find_people   the pictures of class folders, with their classes, and of folders that are
//!                        named after people
//!       -> Walk          folder by folder, for a form of one's own
//! path  -> look          the only face
//!       -> crowd         everybody
//! faces -> refuse_unfit  those to know a person by
//! ```

mod content;
mod find;
mod fit;
mod look;
mod names;
mod passed;
mod stand_in;
mod walk;

pub(super) use self::find::{Found, check_stdin, find, find_any, find_of_one, find_people};
pub(super) use self::fit::{of_classes, refuse_unfit};
pub(super) use self::look::{JsonBox, PictureError, crowd, faces, look, look_within, only_faces};
pub(super) use self::names::composed;
pub(super) use self::passed::{Passed, Why};
pub(super) use self::stand_in::{Named, is_stand_in, stand_in};
pub(super) use self::walk::Walk;
