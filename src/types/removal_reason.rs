/// Why somebody was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalReason {
    /// Somebody asked for it.
    Deleted,
    /// Their time was over.
    Expired,
    /// Their templates are those of another class now.
    Merged,
    /// The partition was removed, with everybody in it.
    PartitionRemoved,
}

impl RemovalReason {
    const ALL: [RemovalReason; 4] = [
        RemovalReason::Deleted,
        RemovalReason::Expired,
        RemovalReason::Merged,
        RemovalReason::PartitionRemoved,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            RemovalReason::Deleted => "deleted",
            RemovalReason::Expired => "expired",
            RemovalReason::Merged => "merged",
            RemovalReason::PartitionRemoved => "partition_removed",
        }
    }

    /// What a word stands for, if it is one of these.
    pub fn of_name(name: &str) -> Option<RemovalReason> {
        RemovalReason::ALL.into_iter().find(|it| it.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_word_of_its_own() {
        for reason in RemovalReason::ALL {
            assert_eq!(RemovalReason::of_name(reason.name()), Some(reason));
        }
        assert_eq!(RemovalReason::of_name("Deleted"), None);
    }
}
