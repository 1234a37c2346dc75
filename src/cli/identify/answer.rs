//! Answers for people and for programs.

use serde::Serialize;

use super::groups::JsonFace;
use crate::cli::args::Identify;
use crate::cli::output::{self, PathName, PathNames};
use crate::engine::Identification;
use crate::exchange::ItemId;
use crate::face::ScoreMap;
use crate::search::{Certificate, Plan};
use crate::types::Match;

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

#[derive(Serialize)]
pub(super) struct JsonMatch {
    class: i64,
    similarity: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
}

/// Whom a match names, for people.
pub(super) fn person(found: &Match) -> String {
    found.class.to_string()
}

/// Whom a match names, on a picture.
pub(super) fn label(found: &Match) -> String {
    format!("class {}", found.class)
}

/// How answers are printed.
#[derive(Clone, Copy)]
pub(super) struct Printing<'a> {
    pub(super) verb: &'a Identify,
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
        self.print_table(title, identification)
    }

    /// Prints one answer for people: the best first, or that there is nobody.
    pub(super) fn print_table(
        self,
        title: &str,
        identification: &Identification,
    ) -> anyhow::Result<()> {
        if identification.matches.is_empty() {
            let word = if self.has_threshold {
                "unknown"
            } else {
                "nobody"
            };
            return Ok(output::line(format!("{title}: {word}"))?);
        }
        let mut table = output::table(&[title, "class", "similarity", "score"]);
        for (rank, found) in identification.matches.iter().enumerate() {
            let score = self.score_text(found.similarity);
            let similarity = format!("{:.6}", found.similarity);
            table.add_row([(rank + 1).to_string(), person(found), similarity, score]);
        }
        Ok(output::line(table.to_string())?)
    }

    /// A similarity as a score, if it is known how.
    pub(super) fn score_text(self, similarity: f64) -> String {
        let text = |map: ScoreMap| format!("{:.4}", map.score(similarity));
        self.scores.map_or(String::new(), text)
    }

    pub(super) fn json_match(self, found: &Match) -> JsonMatch {
        JsonMatch {
            class: found.class.0,
            similarity: found.similarity,
            score: self.scores.map(|scores| scores.score(found.similarity)),
        }
    }

    fn print_json<'a>(
        self,
        identification: &Identification,
        name: impl FnOnce(&mut Answer<'a>),
    ) -> anyhow::Result<()> {
        let json = |found: &Match| self.json_match(found);
        let certificate = self.verb.explain.then_some(identification.certificate);
        let mut answer = Answer {
            matches: Some(identification.matches.iter().map(json).collect()),
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
