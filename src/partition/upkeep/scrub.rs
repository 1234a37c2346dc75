//! Reading every segment again in the background, so that damage is known before somebody searches.

use crate::partition::StoreError;
use crate::partition::pace::Pace;
use crate::partition::partition::Partition;
use crate::types::PartitionId;

/// Reads every segment of a partition again, at a pace that nobody notices. A segment that is
/// damaged gives no more answers, and the log says so.
///
/// # Errors
///
/// If the work is to stop.
pub(in crate::partition) fn scrub(partition: &Partition, pace: &Pace) -> Result<(), StoreError> {
    let mut is_whole = true;
    // Not in the head of the loop, where the snapshot would live as long as the loop.
    let segments = partition.snapshot().segments();
    for segment in segments {
        is_whole &= scrub_segment(partition, segment, pace)?;
    }
    if is_whole {
        partition.common().findings.read_whole(partition.id());
    }
    Ok(())
}

/// Reads one segment again, and returns whether it is whole as far as it is still in use.
///
/// Holds on to nothing between two blocks. It takes minutes for a gigabyte, and whoever erases
/// somebody meanwhile waits for the last reader of the old file.
fn scrub_segment(partition: &Partition, number: u64, pace: &Pace) -> Result<bool, StoreError> {
    let (mut file, mut is_whole) = (None, true);
    for block in 0.. {
        let snapshot = partition.snapshot();
        let Some(segment) = snapshot.segment(number) else {
            // What replaced it was compared when it was written.
            break;
        };
        if block == segment.blocks() {
            break;
        }
        let verified = match &file {
            Some(file) => snapshot.verify_block(segment, file, block),
            None => segment
                .reopen(&**partition.files().disk())
                .and_then(|opened| snapshot.verify_block(segment, file.insert(opened), block)),
        };
        match verified {
            Ok((bytes, compared)) => {
                if let Err(error) = compared {
                    segment.doubt();
                    report(partition.id(), &error);
                    is_whole = false;
                }
                drop(snapshot);
                pace.spend(bytes)?;
            }
            Err(error) => {
                partition.common().findings.met(partition.id(), &error);
                report(partition.id(), &error);
                return Ok(false);
            }
        }
    }
    Ok(is_whole)
}

/// Tells the log of a partition that is damaged.
pub(in crate::partition) fn report(id: &PartitionId, error: &StoreError) {
    let error = error as &dyn std::error::Error;
    tracing::error!(partition = %id, error, "a partition is damaged");
}
