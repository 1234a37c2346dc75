//! How many files and connections the system lets this process have open.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the program itself has open at once at most: the catalog, segments that are read or
/// written, snapshots, the log, the runtime. Of a small limit a quarter is set aside.
const OWN_MAX: usize = 512;

/// The system's limit of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// How many there could be before; `None` stands for any number.
    pub before: Option<u64>,
    /// How many there can be now.
    pub now: Option<u64>,
}

/// Raises the limit of descriptors of this process as far as the system lets it.
///
/// # Errors
///
/// If the system does not let it; the limit is as before then.
pub fn raise_descriptor_limit() -> io::Result<DescriptorLimit> {
    let Rlimit {
        current: before,
        maximum,
    } = getrlimit(Resource::Nofile);
    if before != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    let now = getrlimit(Resource::Nofile).current;
    Ok(DescriptorLimit { before, now })
}

/// How many connections fit below the limit that holds now.
pub(super) fn connections_that_fit() -> usize {
    fitting(getrlimit(Resource::Nofile).current)
}

fn fitting(limit: Option<u64>) -> usize {
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let own = (limit / 4).min(OWN_MAX);
    (limit - own).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_keeps_some_for_itself() {
        for (limit, connections) in [
            (Some(0), 1),
            (Some(64), 48),
            (Some(1_024), 768),
            (Some(1 << 20), (1 << 20) - 512),
            (None, usize::MAX - 512),
        ] {
            assert_eq!(fitting(limit), connections, "{limit:?}");
        }
    }

    #[test]
    fn a_limit_is_raised_to_the_highest_and_stays_there() {
        let raised = raise_descriptor_limit().unwrap();
        assert_eq!(raised.now, getrlimit(Resource::Nofile).maximum);
        assert_eq!(raise_descriptor_limit().unwrap().before, raised.now);
    }
}
