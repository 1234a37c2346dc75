//! What is known to be wrong with a data directory, for whoever operates a service and does not
//! read every line of its log.

use serde::Serialize;

use super::StoreError;
use super::findings::Findings;
use crate::types::PartitionId;

/// The state of a data directory as far as this process has seen it: nothing is read for it but the
/// names of the partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Why nothing can be enrolled or removed until the data directory is opened again, or until
    /// there is room on a full disk: the failed write, in words. `None` while changes are taken.
    pub stopped: Option<String>,
    /// Every partition, by name.
    pub partitions: Vec<PartitionHealth>,
}

/// The state of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionHealth {
    /// Its name.
    pub partition: String,
    /// The last damage that an open, a search, another read or the scrub met: file, offset,
    /// expected and found. Such a partition gives no answers that could be wrong. `None` if nothing
    /// was met, which does not mean that everything was read.
    pub damage: Option<String>,
}

impl Health {
    /// What was met in these partitions, and why no changes are taken, if that is so.
    pub(super) fn of(
        partitions: &[PartitionId],
        findings: &Findings,
        stopped: Option<&StoreError>,
    ) -> Health {
        let partitions = partitions.iter().map(|id| PartitionHealth {
            partition: id.to_string(),
            damage: findings.of(id),
        });
        Health {
            stopped: stopped.map(StoreError::with_causes),
            partitions: partitions.collect(),
        }
    }

    /// Whether changes are taken and no partition is known to be damaged.
    pub fn is_good(&self) -> bool {
        let mut partitions = self.partitions.iter();
        self.stopped.is_none() && partitions.all(|partition| partition.damage.is_none())
    }
}
