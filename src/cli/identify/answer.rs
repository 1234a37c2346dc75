//! Answers for people and for programs.

use serde::Serialize;

use crate::cli::args::Identify;
use crate::cli::output::{self, PathName, PathNames};
use crate::cli::pictures::JsonBox;
use crate::engine::{Gallery, Identification};
use crate::exchange::ItemId;
use crate::face::ScoreMap;
use crate::search::{Certificate, Plan};
use crate::types::{ClassId, Match, Record};

/// One answer as JSON.
#[derive(Default, Serialize)]
pub(super) struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probe: Option<usize>,
    /// What the probe is called in its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a ItemId>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) picture: Option<PathName<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) pictures: Option<PathNames<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) matches: Option<Vec<JsonMatch>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) faces: Option<Vec<JsonFace>>,
    /// How many faces more there are, which were not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) faces_left_out: Option<usize>,
    /// Pixels of the picture as it is shown upright.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) width: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) height: Option<usize>,
    /// The similarity below which nobody is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// A face as JSON.
#[derive(Serialize)]
pub(super) struct JsonFace {
    pub(super) r#box: JsonBox,
    pub(super) quality: f32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<&'static str>,
    pub(super) decision: &'static str,
    pub(super) matches: Vec<JsonMatch>,
}

#[derive(Serialize)]
pub(super) struct JsonMatch {
    class: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    similarity: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
}

/// Somebody who was found.
pub(super) struct Person {
    found: Match,
    record: Record,
}

impl Person {
    /// Those who were found in a gallery, and what is known of them.
    pub(super) fn all(gallery: &Gallery, found: &[Match]) -> anyhow::Result<Vec<Person>> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let classes: Vec<ClassId> = found.iter().map(|found| found.class).collect();
        let records = gallery.records(&classes)?;
        let people = found.iter().zip(records);
        Ok(people
            .map(|(&found, record)| Person { found, record })
            .collect())
    }

    pub(super) fn similarity(&self) -> f64 {
        self.found.similarity
    }

    fn name(&self) -> Option<&str> {
        self.record.name.as_ref().map(|name| name.as_str())
    }

    /// The name first, and the number, which no two have, in any case.
    pub(super) fn for_people(&self) -> String {
        let class = self.found.class;
        let name = self.name();
        name.map_or(class.to_string(), |name| format!("{name} ({class})"))
    }

    /// On a picture.
    pub(super) fn label(&self) -> String {
        let class = self.found.class;
        let name = self.name();
        name.map_or(format!("class {class}"), str::to_owned)
    }
}

/// How answers are printed.
#[derive(Clone, Copy)]
pub(super) struct Printing<'a> {
    pub(super) verb: &'a Identify,
    /// Among whom it was asked.
    pub(super) gallery: &'a Gallery,
    /// How similarities become scores, where that is known.
    pub(super) scores: Option<ScoreMap>,
    /// Whether nobody found means that somebody was asked for who is not enrolled.
    pub(super) has_threshold: bool,
}

impl Printing<'_> {
    /// Prints one answer; `name` puts what was asked into its JSON form.
    pub(super) fn print<'a>(
        self,
        title: &str,
        identification: &Identification,
        name: impl FnOnce(&mut Answer<'a>),
    ) -> anyhow::Result<()> {
        if self.verb.json {
            return self.print_json(identification, name);
        }
        if self.verb.explain {
            output::tell!("{title}: {}", explanation(&identification.certificate));
        }
        let people = Person::all(self.gallery, &identification.matches)?;
        self.print_table(title, &people)
    }

    /// Prints one answer for people: the best first, or that there is nobody.
    pub(super) fn print_table(self, title: &str, people: &[Person]) -> anyhow::Result<()> {
        if people.is_empty() {
            let word = if self.has_threshold {
                "unknown"
            } else {
                "nobody"
            };
            return Ok(output::line(format!("{title}: {word}"))?);
        }
        let mut table = output::table(&[title, "person", "similarity", "score"]);
        for (rank, person) in people.iter().enumerate() {
            let score = self.score_text(person.similarity());
            let similarity = format!("{:.6}", person.similarity());
            let rank = (rank + 1).to_string();
            table.add_row([rank, person.for_people(), similarity, score]);
        }
        Ok(output::line(table.to_string())?)
    }

    /// A similarity as a score, if it is known how.
    pub(super) fn score_text(self, similarity: f64) -> String {
        let text = |map: ScoreMap| format!("{:.4}", map.score(similarity));
        self.scores.map_or(String::new(), text)
    }

    pub(super) fn json_match(self, person: &Person) -> JsonMatch {
        let external_id = person.record.external_id.as_ref();
        let similarity = person.found.similarity;
        JsonMatch {
            class: person.found.class.0,
            name: person.name().map(str::to_owned),
            external_id: external_id.map(|id| id.as_str().to_owned()),
            similarity,
            score: self.scores.map(|scores| scores.score(similarity)),
        }
    }

    fn print_json<'a>(
        self,
        identification: &Identification,
        name: impl FnOnce(&mut Answer<'a>),
    ) -> anyhow::Result<()> {
        let people = Person::all(self.gallery, &identification.matches)?;
        let json = |person: &Person| self.json_match(person);
        let certificate = self.verb.explain.then_some(identification.certificate);
        let mut answer = Answer {
            matches: Some(people.iter().map(json).collect()),
            certificate: certificate.as_ref().map(json_certificate),
            ..Answer::default()
        };
        name(&mut answer);
        Ok(output::json_line(&answer)?)
    }
}

pub(super) fn json_certificate(certificate: &Certificate) -> serde_json::Value {
    serde_json::json!({
        "plan": certificate.plan.to_string(),
        "isa": certificate.isa.to_string(),
        "rows_scanned": certificate.rows_scanned,
        "rows_refined": certificate.rows_refined,
        "rows_scored": certificate.rows_scored,
        "bytes_read": certificate.bytes_read,
    })
}

/// Why an answer is exact, in a sentence.
pub(super) fn explanation(certificate: &Certificate) -> String {
    let Certificate {
        plan,
        isa,
        rows_scanned,
        rows_refined,
        rows_scored,
        bytes_read,
    } = certificate;
    let refined = match plan {
        Plan::Fine => String::new(),
        Plan::Coarse | Plan::Tile => format!("{rows_refined} looked at again in eight bits, "),
    };
    let megabytes = *bytes_read as f64 / 1e6;
    format!(
        "{rows_scanned} templates scanned ({plan} plan, {isa}), {refined}{rows_scored} scored in \
         double precision, all others out by proof; {megabytes:.1} MB read"
    )
}
