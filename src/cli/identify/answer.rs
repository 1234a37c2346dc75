//! Answers for people and for programs.

use serde::Serialize;

use crate::cli::args::Identify;
use crate::cli::output::{self, PathName, PathNames};
use crate::cli::pictures::JsonBox;
use crate::engine::{Gallery, Identification};
use crate::exchange::ItemId;
use crate::face::ScoreMap;
use crate::intake::{Judge, Verdict};
use crate::rates::RateEstimate;
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
    /// `match`, `unknown` or `ambiguous`, of one who was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decision: Option<&'static str>,
    /// How sure it is that the first of the matches is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confidence: Option<f64>,
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
    /// How often a stranger reaches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fpir: Option<RateEstimate>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confidence: Option<f64>,
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

/// What is decided of one who was looked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Decided {
    /// Whether anybody reaches the threshold.
    pub(super) is_known: bool,
    pub(super) verdict: Option<Verdict>,
    /// How sure it is that the first is right.
    pub(super) confidence: Option<f64>,
}

impl Decided {
    pub(super) fn name(self) -> Option<&'static str> {
        self.verdict.map(Verdict::name)
    }
}

impl JsonMatch {
    /// Of somebody of whom no more is looked up.
    pub(super) fn bare(found: &Match) -> JsonMatch {
        JsonMatch {
            class: found.class.0,
            name: None,
            external_id: None,
            similarity: found.similarity,
            score: None,
        }
    }
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
    /// Who decides of those who are found.
    pub(super) judge: &'a Judge,
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
        let found = &identification.matches;
        let people = Person::all(self.gallery, self.listed(found))?;
        self.print_table(title, &people, self.decide(found))
    }

    /// Decides of those who were found, also where everybody is listed.
    pub(super) fn decide(self, found: &[Match]) -> Decided {
        let reaching = self.reaching(found);
        Decided {
            is_known: !reaching.is_empty(),
            verdict: self.judge.verdict(&reaching),
            confidence: self.judge.confidence(&reaching),
        }
    }

    /// Those who would have been found with the threshold that is not kept where all are listed.
    fn reaching(self, found: &[Match]) -> Vec<Match> {
        let threshold = self.judge.threshold().filter(|_| !self.has_threshold);
        let is_reaching = |found: &&Match| threshold.is_none_or(|least| found.similarity >= least);
        found.iter().filter(is_reaching).copied().collect()
    }

    /// Those who are listed of all who were found: to decide takes two.
    pub(super) fn listed(self, found: &[Match]) -> &[Match] {
        &found[..found.len().min(self.verb.limit)]
    }

    /// Prints one answer for people: the best first, or that there is nobody.
    pub(super) fn print_table(
        self,
        title: &str,
        people: &[Person],
        decided: Decided,
    ) -> anyhow::Result<()> {
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
        output::line(table.to_string())?;
        if decided.verdict == Some(Verdict::Ambiguous) {
            output::tell!("{title}: ambiguous: it cannot be told which of the first two it is");
        }
        Ok(())
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
        let found = &identification.matches;
        let people = Person::all(self.gallery, self.listed(found))?;
        let json = |person: &Person| self.json_match(person);
        let certificate = self.verb.explain.then_some(identification.certificate);
        let mut answer = Answer {
            matches: Some(people.iter().map(json).collect()),
            certificate: certificate.as_ref().map(json_certificate),
            ..self.decided(self.decide(found))
        };
        name(&mut answer);
        Ok(output::json_line(&answer)?)
    }

    /// An answer that has no more than what was decided, and by what.
    pub(super) fn decided<'a>(self, decided: Decided) -> Answer<'a> {
        Answer {
            decision: decided.name(),
            confidence: decided.confidence,
            threshold: self.judge.threshold(),
            fpir: self.judge.fpir(),
            ..Answer::default()
        }
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
