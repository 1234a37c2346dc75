//! What a run was asked, so that nobody goes on with the answers of another.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

/// Everything that decides the answers of a run, by name: its probes, the gallery, the options.
///
/// Values are text, which is compared: two runs of equal jobs give equal answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Job(BTreeMap<String, String>);

impl Job {
    /// A job of which nothing is known yet.
    pub fn new() -> Job {
        Job::default()
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Job {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    /// The facts and their names.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first fact that differs: its name, its value here, and its value there.
    pub(crate) fn difference<'a>(&'a self, other: &'a Job) -> Option<[&'a str; 3]> {
        let value = |job: &'a Job, name| job.0.get(name).map_or("nothing", String::as_str);
        let names = self.0.keys().chain(other.0.keys());
        names
            .map(|name| [name, value(self, name), value(other, name)])
            .find(|[_, here, there]| here != there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let job = Job::new().with("partition", "bws.1").with("top", 5);
        assert_eq!(job.difference(&job.clone()), None);
        let other = job.clone().with("top", 6);
        assert_eq!(job.difference(&other), Some(["top", "5", "6"]));
        let more = job.clone().with("threshold", 0.5);
        assert_eq!(job.difference(&more), Some(["threshold", "nothing", "0.5"]));
        assert_eq!(more.difference(&job), Some(["threshold", "0.5", "nothing"]));
    }
}
