//! The page of metrics, read as Prometheus reads it.

use std::collections::BTreeMap;

/// The labels of a number, by name.
pub(super) type Labels = BTreeMap<String, String>;

/// All numbers of a page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    numbers: BTreeMap<(String, Labels), f64>,
    kinds: BTreeMap<String, String>,
}

impl Page {
    /// # Panics
    ///
    /// If the text is not what Prometheus reads.
    pub(super) fn read(text: &str) -> Page {
        let mut page = Page {
            numbers: BTreeMap::new(),
            kinds: BTreeMap::new(),
        };
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(page.kinds.insert(name.into(), kind.into()).is_none());
            } else if !line.starts_with("# HELP ") {
                let (series, number) = line.rsplit_once(' ').unwrap();
                let key = series_of(series);
                let known = ["", "_bucket", "_sum", "_count"].iter().any(|suffix| {
                    let name = key.0.strip_suffix(suffix);
                    name.is_some_and(|name| page.kinds.contains_key(name))
                });
                assert!(known, "{line}");
                let number = number.parse().unwrap();
                assert!(page.numbers.insert(key, number).is_none(), "{line}");
            }
        }
        page
    }

    /// The names of all metrics, with their kinds.
    pub(super) fn kinds(&self) -> &BTreeMap<String, String> {
        &self.kinds
    }

    /// A number without labels.
    #[track_caller]
    pub(super) fn number(&self, name: &str) -> f64 {
        self.labelled(name, &[])
    }

    /// A number with these labels; 0 if there is none.
    pub(super) fn labelled(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let key = (name.to_owned(), labels.collect());
        self.numbers.get(&key).copied().unwrap_or_default()
    }

    /// All numbers of a name that are not 0.
    pub(super) fn all(&self, name: &str) -> BTreeMap<Labels, f64> {
        let all = self.numbers.iter();
        let all = all.filter(|((found, _), number)| found == name && **number != 0.0);
        all.map(|((_, labels), number)| (labels.clone(), *number))
            .collect()
    }
}

fn series_of(series: &str) -> (String, Labels) {
    let Some((name, rest)) = series.split_once('{') else {
        return (series.to_owned(), Labels::new());
    };
    let mut rest = rest.strip_suffix('}').unwrap();
    let mut labels = Labels::new();
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").unwrap();
        let (value, behind) = value.split_once('"').unwrap();
        assert!(!value.contains('\\'), "the tests make no such label");
        assert!(labels.insert(label.into(), value.into()).is_none());
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    (name.to_owned(), labels)
}
