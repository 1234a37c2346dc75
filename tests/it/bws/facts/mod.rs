//! One case for each fact of the reference, under the number of its section.
//!
//! A fact is a function of a [`Scene`]: a partition of its own behind a [`Door`] to a service, and the
//! format that answers are asked for in. The same functions run through the router in memory, each as a
//! test of its own, and all of them against the real program on a socket.

mod answers;
mod claims;
mod common;
mod deleteclass;
mod door;
mod enroll;
mod formats;
mod identify;
mod isenrolled;
mod livedetection;
mod liveness;
mod memory;
mod photoverify;
mod pictures;
mod qualitycheck;
mod result;
mod scene;
mod socket;
mod status;
mod token;
mod upload;
mod verify;

use answers::Answer;
use door::{Call, Door, Reply};
use scene::{Format, Scene};

/// A fact, where it is tried, and its name.
pub(super) struct Fact {
    name: &'static str,
    kind: Kind,
    check: fn(&Scene),
}

/// Where a fact can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// With answers in JSON and in XML.
    Both,
    /// With answers in JSON: nothing about it depends on the format.
    Json,
    /// With answers in XML: it is about them.
    Xml,
    /// Where the clock can be set, which is in memory.
    Clock,
}

/// Makes a test in memory of each fact, and a list of them all.
macro_rules! facts {
    ($($kind:ident $name:ident,)*) => {
        /// The facts of this file.
        pub(super) const FACTS: &[super::Fact] = &[
            $(super::Fact { name: stringify!($name), kind: super::Kind::$kind, check: $name },)*
        ];
        $(facts!(@test $kind $name);)*
    };
    (@test Both $name:ident) => {
        mod $name {
            #[test]
            fn json() {
                super::super::memory::check(super::super::Format::Json, super::$name);
            }

            #[test]
            fn xml() {
                super::super::memory::check(super::super::Format::Xml, super::$name);
            }
        }
    };
    (@test Xml $name:ident) => {
        mod $name {
            #[test]
            fn xml() {
                super::super::memory::check(super::super::Format::Xml, super::$name);
            }
        }
    };
    (@test $_kind:ident $name:ident) => {
        mod $name {
            #[test]
            fn json() {
                super::super::memory::check(super::super::Format::Json, super::$name);
            }
        }
    };
}
use facts;

/// All facts, in the order of the reference.
fn all() -> impl Iterator<Item = &'static Fact> {
    [
        common::FACTS,
        token::FACTS,
        upload::FACTS,
        enroll::FACTS,
        verify::FACTS,
        identify::FACTS,
        liveness::FACTS,
        result::FACTS,
        isenrolled::FACTS,
        deleteclass::FACTS,
        qualitycheck::FACTS,
        status::FACTS,
        livedetection::FACTS,
        photoverify::FACTS,
        formats::FACTS,
        claims::FACTS,
    ]
    .into_iter()
    .flatten()
}
