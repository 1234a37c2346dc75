//! One case for each fact of the reference, under the number of its section.
//!
//! A fact is a function of a [`Scene`]: a partition of its own behind a door to a service, and the
//! format that answers are asked for in. The same functions run through the router in memory, each
//! as a test of its own, and all of them against the real program on a socket. What needs more of a
//! service than a door (settings, a restart, a look at what is kept) is an ordinary test beside
//! them, under the same numbers.

mod claims;
mod common;
mod deleteclass;
mod enroll;
mod formats;
mod identify;
mod isenrolled;
mod livedetection;
mod liveness;
mod photoverify;
mod qualitycheck;
mod result;
mod socket;
mod status;
mod token;
mod upload;
mod verify;

use crate::harness::{Format, Scene, Service};

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
                super::super::in_memory(super::super::Format::Json, super::$name);
            }

            #[test]
            fn xml() {
                super::super::in_memory(super::super::Format::Xml, super::$name);
            }
        }
    };
    (@test Xml $name:ident) => {
        mod $name {
            #[test]
            fn xml() {
                super::super::in_memory(super::super::Format::Xml, super::$name);
            }
        }
    };
    (@test $_kind:ident $name:ident) => {
        mod $name {
            #[test]
            fn json() {
                super::super::in_memory(super::super::Format::Json, super::$name);
            }
        }
    };
}
use facts;

/// Checks a fact with a service of its own.
fn in_memory(format: Format, fact: fn(&Scene)) {
    let service = Service::new();
    fact(&Scene {
        door: &service,
        format,
        partition: 112,
    });
}

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
