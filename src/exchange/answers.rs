//! The answers of a batch: as lines on any stream, or in a file that survives interruptions.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::draft::{self, beside};
use super::format::Format;
#[cfg(any(feature = "npz", feature = "parquet"))]
use super::rows;
use super::{ExchangeError, IdKind, ItemId, Job};
use crate::partition::private;
use crate::types::Match;

/// The only version of the record of progress.
const VERSION: u32 = 1;

/// Writes the answer for one probe as a line of JSON:
/// `{"probe":0,"matches":[{"class":17,"similarity":0.8123}]}`, best match first.
/// Written in small pieces: give it a stream with a buffer.
///
/// # Errors
///
/// If the stream takes no more.
pub fn write_json_answer(
    stream: &mut impl Write,
    probe: usize,
    matches: &[Match],
) -> io::Result<()> {
    write_json_answer_of(stream, probe, None, matches)
}

/// As [`write_json_answer`], with what the probe is called in its file:
/// `{"probe":0,"id":"a7","matches":[]}`.
///
/// # Errors
///
/// If the stream takes no more.
pub fn write_json_answer_of(
    stream: &mut impl Write,
    probe: usize,
    id: Option<&ItemId>,
    matches: &[Match],
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        probe: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a ItemId>,
        matches: Vec<JsonMatch>,
    }
    #[derive(Serialize)]
    struct JsonMatch {
        class: i64,
        similarity: f64,
    }
    let json = |found: &Match| JsonMatch {
        class: found.class.0,
        similarity: found.similarity,
    };
    let matches = matches.iter().map(json).collect();
    let line = Line { probe, id, matches };
    serde_json::to_writer(&mut *stream, &line)?;
    stream.write_all(b"\n")
}

/// What to do with an output that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone: it is an error.
    Refuse,
    /// Start again. A finished output keeps its name until the new one is whole.
    Overwrite,
    /// Go on where the run stopped, if it was asked the same; start if there was none.
    Resume,
}

/// The answers of a batch, in a file that appears when it is whole, and whose making can be
/// interrupted at any moment and resumed.
///
/// The end of the name decides on the format:
///
/// * `.jsonl`: one line for each probe, as [`write_json_answer`] writes it.
/// * `.csv`: a line for each match, below the names of the fields, which are those of the table.
/// * `.npz` (feature `npz`): the arrays `classes` (`<i8`) and `similarities` (`<f8`) with a row for
///   each probe and as many columns as the most matches that one has; what a row has too few of is
///   -1, and NaN.
/// * `.parquet` (feature `parquet`): a table with one row for each match and the columns `probe`
///   (INT64, from 0), `rank` (INT32, from 1), `class` (INT64) and `similarity` (DOUBLE), ordered by
///   probe and rank. A probe without matches has no row: a row of nulls would have to be taken out
///   again before anything is counted or averaged. How many probes there were stands in the
///   metadata as `vultus.probe_count`, beside the facts of the job.
///
/// Probes that are called by something in their file have that as `id`, in every format.
///
/// Until then two files stand beside it. `FILE.partial` holds the answers so far: lines, or the
/// rows to be of a table or of arrays. `FILE.progress` says in JSON what was asked and how many
/// probes and bytes of the partial file are certain. It stays with the finished file, so that
/// resuming once more is known to be nothing to do.
///
/// # What an interruption leaves
///
/// [`AnswerFile::checkpoint`] syncs the answers, then replaces the record, atomically. Bytes past
/// those that the record tells of, a torn line among them, are cut off when the run is resumed and
/// their probes are asked again. The finished file gets its name after the last checkpoint; if the
/// run stops between this and the last record, resuming finds that it is whole.
#[derive(Debug)]
pub struct AnswerFile {
    paths: Paths,
    format: Format,
    ids: IdKind,
    progress: Progress,
    /// `None` once finished.
    partial: Option<BufWriter<File>>,
    encoded: Vec<u8>,
}

#[derive(Debug)]
struct Paths {
    output: PathBuf,
    partial: PathBuf,
    progress: PathBuf,
}

/// What is certain. Kept as JSON beside the output.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    version: u32,
    job: Job,
    /// Probes to be answered.
    probes: u64,
    /// Probes answered.
    done: u64,
    /// Matches in these answers.
    matches: u64,
    /// Bytes that these answers take in the partial file.
    bytes: u64,
    /// Whether the output has its name.
    finished: bool,
}

impl AnswerFile {
    /// Begins, or goes on with, the answers to `probes` probes of a job.
    ///
    /// # Errors
    ///
    /// If the end of the name is not known, the output or an unfinished one is there and `existing`
    /// is [`Existing::Refuse`], what is to be resumed was another job (the fact that differs is
    /// named) or is not as it was left, or the disk fails.
    pub fn begin(
        path: &Path,
        existing: Existing,
        probes: usize,
        job: &Job,
    ) -> Result<AnswerFile, ExchangeError> {
        AnswerFile::begin_named(path, existing, probes, IdKind::None, job)
    }

    /// As [`AnswerFile::begin`], for probes that are called by something in their file.
    ///
    /// # Errors
    ///
    /// As [`AnswerFile::begin`].
    pub fn begin_named(
        path: &Path,
        existing: Existing,
        probes: usize,
        ids: IdKind,
        job: &Job,
    ) -> Result<AnswerFile, ExchangeError> {
        let (format, paths) = (Format::of(path)?, Paths::of(path));
        let start = Progress {
            version: VERSION,
            job: job.clone(),
            probes: probes as u64,
            done: 0,
            matches: 0,
            bytes: 0,
            finished: false,
        };
        let mut file = AnswerFile {
            paths,
            format,
            ids,
            progress: start,
            partial: None,
            encoded: Vec::new(),
        };
        match existing {
            Existing::Refuse => file.refuse_existing()?,
            Existing::Overwrite => draft::refuse_existing(path, true)?,
            Existing::Resume => {
                if let Some(begun) = file.begun()? {
                    file.progress = begun;
                    file.resume()?;
                    return Ok(file);
                }
            }
        }
        file.start()?;
        Ok(file)
    }

    /// How many probes are answered: the number of the next.
    pub fn done(&self) -> usize {
        self.progress.done as usize
    }

    /// How many matches these answers have.
    pub fn matches(&self) -> u64 {
        self.progress.matches
    }

    /// Whether the output has its name, and nothing is left to do.
    pub fn is_finished(&self) -> bool {
        self.progress.finished
    }

    /// Adds the answer for the next probe. It is certain after the next checkpoint.
    ///
    /// # Errors
    ///
    /// If the disk fails. What was certain stays so, and the run can be resumed.
    ///
    /// # Panics
    ///
    /// Panics if all probes are answered.
    pub fn push(&mut self, matches: &[Match]) -> Result<(), ExchangeError> {
        self.push_named(None, matches)
    }

    /// As [`AnswerFile::push`], with what the probe is called in its file.
    ///
    /// # Errors
    ///
    /// As [`AnswerFile::push`].
    ///
    /// # Panics
    ///
    /// As [`AnswerFile::push`].
    pub fn push_named(
        &mut self,
        id: Option<&ItemId>,
        matches: &[Match],
    ) -> Result<(), ExchangeError> {
        assert!(
            self.progress.done < self.progress.probes,
            "all probes are answered"
        );
        self.encoded.clear();
        let probe = self.done();
        #[cfg(any(feature = "npz", feature = "parquet"))]
        let name =
            (self.ids != IdKind::None).then(|| id.map(ItemId::to_string).unwrap_or_default());
        match self.format {
            Format::JsonLines => write_json_answer_of(&mut self.encoded, probe, id, matches)
                .map_err(ExchangeError::io("write", &self.paths.partial))?,
            Format::Csv => write_fields(&mut self.encoded, self.ids, probe, id, matches),
            #[cfg(feature = "npz")]
            Format::Npz => rows::encode(probe, name.as_deref(), matches, true, &mut self.encoded),
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                rows::encode(probe, name.as_deref(), matches, false, &mut self.encoded);
            }
        }
        if let Some(partial) = &mut self.partial {
            let written = partial.write_all(&self.encoded);
            written.map_err(ExchangeError::io("write", &self.paths.partial))?;
        }
        self.progress.bytes += self.encoded.len() as u64;
        self.progress.matches += matches.len() as u64;
        self.progress.done += 1;
        Ok(())
    }

    /// Makes all answers so far certain: whatever happens next, they are not asked for again.
    ///
    /// Costs two syncs of the disk, so that it should be called once for many probes.
    ///
    /// # Errors
    ///
    /// As [`AnswerFile::push`].
    pub fn checkpoint(&mut self) -> Result<(), ExchangeError> {
        if let Some(partial) = &mut self.partial {
            let synced = partial.flush().and_then(|()| partial.get_ref().sync_data());
            synced.map_err(ExchangeError::io("write", &self.paths.partial))?;
        }
        self.record()
    }

    /// Gives the output its name. Does nothing if it has it.
    ///
    /// # Errors
    ///
    /// As [`AnswerFile::push`].
    ///
    /// # Panics
    ///
    /// Panics if a probe is not answered.
    pub fn finish(mut self) -> Result<(), ExchangeError> {
        assert!(
            self.progress.done == self.progress.probes,
            "every probe is answered before the file is finished"
        );
        if self.is_finished() {
            return Ok(());
        }
        self.checkpoint()?;
        self.partial = None;
        match self.format {
            Format::JsonLines | Format::Csv => {
                draft::rename(&self.paths.partial, &self.paths.output)?;
            }
            #[cfg(feature = "npz")]
            Format::Npz => {
                let failed = ExchangeError::io_in("read", &self.paths.partial);
                let open = || self.rows();
                let (output, probes) = (&self.paths.output, self.progress.probes);
                rows::write_arrays(output, probes, self.ids, open, failed)?;
            }
            #[cfg(feature = "parquet")]
            Format::Parquet => self.write_table()?,
        }
        self.record_finished()
    }

    fn refuse_existing(&self) -> Result<(), ExchangeError> {
        draft::refuse_existing(&self.paths.output, false)?;
        let path = self.paths.partial.clone();
        if path.exists() {
            return Err(ExchangeError::Unfinished { path });
        }
        Ok(())
    }

    /// What the record says of an earlier run of this job, or `None` if there was none.
    fn begun(&self) -> Result<Option<Progress>, ExchangeError> {
        let (output, record) = (&self.paths.output, &self.paths.progress);
        let text = match fs::read(record) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let found = [output, &self.paths.partial];
                return match found.into_iter().find(|path| path.exists()) {
                    None => Ok(None),
                    Some(path) => Err(self.not_resumable(format!(
                        "`{}` exists, and no `{}` that says what it answers",
                        path.display(),
                        record.display()
                    ))),
                };
            }
            Err(error) => return Err(ExchangeError::io("read", record)(error)),
        };
        let begun: Progress = serde_json::from_slice(&text)
            .map_err(|error| self.not_resumable(format!("`{}`: {error}", record.display())))?;
        if begun.version != VERSION || begun.done > begun.probes {
            return Err(self.not_resumable(format!(
                "`{}` is not of this version or damaged",
                record.display()
            )));
        }
        self.same_job(&begun)?;
        // The record of an output that somebody has taken away says nothing of the next one.
        Ok((!begun.finished || output.exists()).then_some(begun))
    }

    fn same_job(&self, begun: &Progress) -> Result<(), ExchangeError> {
        let other_job = |name: &str, begun: String, now: String| ExchangeError::OtherJob {
            path: self.paths.output.clone(),
            name: name.to_owned(),
            begun,
            now,
        };
        let now = &self.progress;
        if let Some([name, begun, now]) = begun.job.difference(&now.job) {
            return Err(other_job(name, begun.to_owned(), now.to_owned()));
        }
        if begun.probes != now.probes {
            let (begun, now) = (begun.probes.to_string(), now.probes.to_string());
            return Err(other_job("number of probes", begun, now));
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), ExchangeError> {
        // The record first: it tells of no bytes, so that it is right whatever is in the other
        // file.
        self.record()?;
        let partial = &self.paths.partial;
        let file = private::create_draft(partial).map_err(ExchangeError::io("create", partial))?;
        self.partial = Some(BufWriter::new(file));
        self.write_head()
    }

    /// The names of fields, before the first of them.
    fn write_head(&mut self) -> Result<(), ExchangeError> {
        let head = match (self.format, self.ids) {
            (Format::Csv, IdKind::None) => "probe,rank,class,similarity\n",
            (Format::Csv, _) => "probe,id,rank,class,similarity\n",
            _ => return Ok(()),
        };
        if let Some(partial) = &mut self.partial {
            let written = partial.write_all(head.as_bytes());
            written.map_err(ExchangeError::io("write", &self.paths.partial))?;
        }
        self.progress.bytes += head.len() as u64;
        Ok(())
    }

    /// Goes on with what the record tells of.
    fn resume(&mut self) -> Result<(), ExchangeError> {
        if self.is_finished() {
            return self.record_finished();
        }
        let path = self.paths.partial.clone();
        let mut partial = match private::reopen(&path) {
            Ok(partial) => partial,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.resume_named(),
            Err(error) => return Err(ExchangeError::io("open", &path)(error)),
        };
        let length = partial.seek(SeekFrom::End(0));
        let length = length.map_err(ExchangeError::io("read", &path))?;
        let certain = self.progress.bytes;
        if length < certain {
            return Err(self.not_resumable(format!(
                "`{}` had {certain} bytes, now {length}",
                path.display()
            )));
        }
        let cut = partial
            .set_len(certain)
            .and_then(|()| partial.seek(SeekFrom::Start(certain)));
        cut.map_err(ExchangeError::io("cut", &path))?;
        self.partial = Some(BufWriter::new(partial));
        if certain == 0 {
            return self.write_head();
        }
        Ok(())
    }

    /// Goes on where there are no partial answers: the output has just got its name, or the run
    /// stopped before there was anything.
    fn resume_named(&mut self) -> Result<(), ExchangeError> {
        let progress = &self.progress;
        let length = fs::metadata(&self.paths.output).map(|metadata| metadata.len());
        if progress.done == progress.probes && length.is_ok_and(|length| length == progress.bytes) {
            return self.record_finished();
        }
        if progress.done == 0 {
            return self.start();
        }
        Err(self.not_resumable(format!("`{}` is missing", self.paths.partial.display())))
    }

    fn record(&self) -> Result<(), ExchangeError> {
        let path = &self.paths.progress;
        let json = serde_json::to_vec_pretty(&self.progress).map_err(io::Error::from);
        let mut json = json.map_err(ExchangeError::io("write", path))?;
        json.push(b'\n');
        draft::replace(path, &json)
    }

    /// Records that the output has its name; then nobody needs the partial file.
    fn record_finished(&mut self) -> Result<(), ExchangeError> {
        self.progress.finished = true;
        self.record()?;
        match fs::remove_file(&self.paths.partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ExchangeError::io("remove", &self.paths.partial)(error))
            }
            _ => Ok(()),
        }
    }

    fn not_resumable(&self, what: String) -> ExchangeError {
        let path = self.paths.output.clone();
        ExchangeError::NotResumable { path, what }
    }

    /// The rows of the partial file.
    #[cfg(any(feature = "npz", feature = "parquet"))]
    fn rows(&self) -> Result<rows::Rows<File>, ExchangeError> {
        let partial = &self.paths.partial;
        let file = File::open(partial).map_err(ExchangeError::io("open", partial))?;
        Ok(rows::Rows::new(file, self.progress.bytes, self.ids))
    }

    /// Turns the rows of the partial file into a table.
    #[cfg(feature = "parquet")]
    fn write_table(&self) -> Result<(), ExchangeError> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        // `probes` of the job says which they are; their number stands beside it.
        let count = ("probe_count".to_owned(), self.progress.probes.to_string());
        let facts = self.progress.job.facts().map(own).chain([count]);
        let failed = ExchangeError::io_in("read", &self.paths.partial);
        let (output, rows) = (&self.paths.output, &mut self.rows()?);
        rows::write_table(output, facts, rows, self.ids, failed)
    }
}

/// A line of fields for each match; a name is put into quotes where it must be.
fn write_fields(
    line: &mut Vec<u8>,
    ids: IdKind,
    probe: usize,
    id: Option<&ItemId>,
    matches: &[Match],
) {
    let name = id.map(ItemId::to_string).unwrap_or_default();
    let name = if name.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name
    };
    let name = match ids {
        IdKind::None => String::new(),
        _ => format!(",{name}"),
    };
    for (found, rank) in matches.iter().zip(1_u64..) {
        let (class, similarity) = (found.class, found.similarity);
        line.extend(format!("{probe}{name},{rank},{class},{similarity:?}\n").into_bytes());
    }
}

impl Paths {
    fn of(output: &Path) -> Paths {
        Paths {
            output: output.to_owned(),
            partial: beside(output, "partial"),
            progress: beside(output, "progress"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::fs::OpenOptions;

    use super::*;
    use crate::types::ClassId;

    const NAMES: &[&str] = &[
        "a.jsonl",
        "a.csv",
        #[cfg(feature = "npz")]
        "a.npz",
        #[cfg(feature = "parquet")]
        "a.parquet",
    ];

    /// Some answers, one of them of nobody.
    fn answers() -> Vec<Vec<Match>> {
        let found = |class, similarity| Match {
            class: ClassId(class),
            similarity,
        };
        vec![
            vec![found(17, 0.8123), found(-4, 1.0 / 3.0)],
            vec![],
            vec![found(i64::MIN, -1.0)],
            vec![found(1, 0.5), found(2, 0.5), found(3, 0.25)],
            vec![],
        ]
    }

    fn job() -> Job {
        Job::new().with("partition", "bws.1").with("top", 3)
    }

    fn begin(path: &Path, existing: Existing) -> Result<AnswerFile, ExchangeError> {
        AnswerFile::begin(path, existing, answers().len(), &job())
    }

    fn push_rest(mut file: AnswerFile) -> Result<(), ExchangeError> {
        for answer in &answers()[file.done()..] {
            file.push(answer)?;
        }
        file.finish()
    }

    /// What an uninterrupted run writes.
    fn whole(name: &str) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        push_rest(begin(&path, Existing::Refuse).unwrap()).unwrap();
        fs::read(path).unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// One run: answers that are made certain, answers that are not, and what a torn write leaves.
    fn run() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
        (
            0_usize..3,
            0_usize..3,
            prop::collection::vec(any::<u8>(), 0..40),
        )
    }

    proptest! {
        // Every case syncs dozens of files.
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn interruptions_change_nothing(
            name in prop::sample::select(NAMES),
            runs in prop::collection::vec(run(), 0..5),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            let mut expected_done = 0;
            for (certain, lost, torn) in runs {
                let mut file = begin(&path, Existing::Resume).unwrap();
                prop_assert_eq!(file.done(), expected_done);
                let mut left = answers().split_off(expected_done).into_iter();
                for answer in left.by_ref().take(certain) {
                    file.push(&answer).unwrap();
                    expected_done += 1;
                }
                file.checkpoint().unwrap();
                for answer in left.by_ref().take(lost) {
                    file.push(&answer).unwrap();
                }
                drop(file);
                let mut partial = OpenOptions::new().append(true).open(beside(&path, "partial")).unwrap();
                partial.write_all(&torn).unwrap();
                prop_assert!(!path.exists(), "an unfinished file has its name");
            }
            push_rest(begin(&path, Existing::Resume).unwrap()).unwrap();
            prop_assert_eq!(fs::read(&path).unwrap(), whole(name));
            let left = [name.to_owned(), format!("{name}.progress")];
            prop_assert_eq!(names(directory.path()), left);
        }
    }

    #[test]
    fn a_line_has_the_form_that_programs_rely_on() {
        let mut lines = Vec::new();
        for (probe, matches) in answers()[..2].iter().enumerate() {
            write_json_answer(&mut lines, probe, matches).unwrap();
        }
        let expected = "{\"probe\":0,\"matches\":[{\"class\":17,\"similarity\":0.8123},\
                        {\"class\":-4,\"similarity\":0.3333333333333333}]}\n\
                        {\"probe\":1,\"matches\":[]}\n";
        assert_eq!(String::from_utf8(lines).unwrap(), expected);
    }

    #[test]
    fn fields_stand_below_their_names_and_have_the_names_of_probes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.csv");
        push_rest(begin(&path, Existing::Refuse).unwrap()).unwrap();
        let expected = "probe,rank,class,similarity\n\
                        0,1,17,0.8123\n0,2,-4,0.3333333333333333\n\
                        2,1,-9223372036854775808,-1.0\n\
                        3,1,1,0.5\n3,2,2,0.5\n3,3,3,0.25\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        let named = directory.path().join("b.csv");
        let kind = IdKind::Texts;
        let mut file = AnswerFile::begin_named(&named, Existing::Refuse, 5, kind, &job()).unwrap();
        let ids = ["a", "b", "c,\"d\"", "e", "f"].map(|id| ItemId::Text(id.to_owned()));
        for (id, answer) in ids.iter().zip(answers()) {
            file.push_named(Some(id), &answer).unwrap();
        }
        file.finish().unwrap();
        let text = fs::read_to_string(&named).unwrap();
        assert!(
            text.starts_with("probe,id,rank,class,similarity\n0,a,1,17,0.8123\n"),
            "{text}"
        );
        assert!(text.contains("\n2,\"c,\"\"d\"\"\",1,"), "{text}");
    }

    #[cfg(all(feature = "npz", feature = "parquet"))]
    #[test]
    fn tables_and_arrays_have_the_names_of_probes() {
        use parquet::file::reader::{FileReader, SerializedFileReader};

        let directory = tempfile::tempdir().unwrap();
        let texts = ["a", "", "\u{e9}\u{1f600}", "d", "e"].map(|id| ItemId::Text(id.to_owned()));
        let numbers = [7, -1, i64::MAX, 0, 5].map(ItemId::Number);
        for (kind, ids) in [(IdKind::Texts, texts), (IdKind::Numbers, numbers)] {
            for name in ["a.parquet", "a.npz"] {
                let path = directory.path().join(name);
                let begun = AnswerFile::begin_named(&path, Existing::Overwrite, 5, kind, &job());
                let mut file = begun.unwrap();
                for (id, answer) in ids.iter().zip(answers()) {
                    file.push_named(Some(id), &answer).unwrap();
                }
                file.finish().unwrap();
            }
            let table = File::open(directory.path().join("a.parquet")).unwrap();
            let rows = SerializedFileReader::new(table).unwrap();
            let rows = rows.get_row_iter(None).unwrap();
            let found: Vec<String> = rows
                .map(|row| row.unwrap().into_columns()[1].1.to_string())
                .map(|text| text.trim_matches('"').to_owned())
                .collect();
            let expected = [0, 0, 2, 3, 3, 3].map(|at: usize| ids[at].to_string());
            assert_eq!(found, expected);
        }
    }

    #[cfg(feature = "npz")]
    #[test]
    fn arrays_have_a_row_for_each_probe() {
        use std::io::Read;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.npz");
        push_rest(begin(&path, Existing::Refuse).unwrap()).unwrap();
        let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut array = |name: &str| {
            let mut bytes = Vec::new();
            let mut member = archive.by_name(name).unwrap();
            member.read_to_end(&mut bytes).unwrap();
            let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
            assert!(header.contains("(5, 3)"), "{header}");
            let values = bytes[128..].chunks_exact(8);
            values
                .map(|value| u64::from_le_bytes(value.try_into().unwrap()))
                .collect::<Vec<_>>()
        };
        let classes: Vec<i64> = array("classes.npy")
            .into_iter()
            .map(|it| it as i64)
            .collect();
        let expected = [
            17,
            -4,
            -1,
            -1,
            -1,
            -1,
            i64::MIN,
            -1,
            -1,
            1,
            2,
            3,
            -1,
            -1,
            -1,
        ];
        assert_eq!(classes, expected);
        let similarities = array("similarities.npy").into_iter().map(f64::from_bits);
        let there: Vec<bool> = similarities.map(|it| !it.is_nan()).collect();
        let expected = [1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0].map(|it| it == 1);
        assert_eq!(there, expected);
    }

    #[test]
    fn what_is_there_is_left_alone_unless_something_else_is_said() {
        for &name in NAMES {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            fs::write(&path, b"somebody's").unwrap();
            let error = begin(&path, Existing::Refuse).unwrap_err();
            assert!(matches!(error, ExchangeError::Exists { .. }), "{error}");
            let error = begin(&path, Existing::Resume).unwrap_err();
            assert!(error.to_string().contains("no `"), "{error}");
            assert_eq!(names(directory.path()), [name], "nothing is touched");

            let file = begin(&path, Existing::Overwrite).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"somebody's");
            push_rest(file).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole(name));
        }
    }

    #[test]
    fn an_unfinished_run_is_neither_forgotten_nor_mixed_with_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        let mut file = begin(&path, Existing::Refuse).unwrap();
        file.push(&answers()[0]).unwrap();
        file.checkpoint().unwrap();
        drop(file);
        let error = begin(&path, Existing::Refuse).unwrap_err();
        assert!(matches!(error, ExchangeError::Unfinished { .. }), "{error}");
        let other = job().with("top", 4);
        let error = AnswerFile::begin(&path, Existing::Resume, 5, &other).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("begun with another `top`: then 3, now 4"),
            "{said}"
        );
        let error = AnswerFile::begin(&path, Existing::Resume, 6, &job()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("`number of probes`: then 5, now 6"), "{said}");
        assert_eq!(begin(&path, Existing::Resume).unwrap().done(), 1);

        fs::write(beside(&path, "partial"), b"").unwrap();
        let error = begin(&path, Existing::Resume).unwrap_err();
        assert!(error.to_string().contains("bytes, now 0"), "{error}");
        fs::remove_file(beside(&path, "partial")).unwrap();
        let error = begin(&path, Existing::Resume).unwrap_err();
        assert!(error.to_string().contains("is missing"), "{error}");
        fs::write(beside(&path, "progress"), b"{}").unwrap();
        let error = begin(&path, Existing::Resume).unwrap_err();
        assert!(
            matches!(error, ExchangeError::NotResumable { .. }),
            "{error}"
        );
        push_rest(begin(&path, Existing::Overwrite).unwrap()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole("a.jsonl"));
    }

    #[test]
    fn a_finished_run_is_known_until_its_output_is_taken_away() {
        for &name in NAMES {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            push_rest(begin(&path, Existing::Resume).unwrap()).unwrap();
            let again = begin(&path, Existing::Resume).unwrap();
            assert!(again.is_finished());
            assert_eq!((again.done(), again.matches()), (5, 6));
            again.finish().unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole(name));
            fs::remove_file(&path).unwrap();
            for existing in [Existing::Refuse, Existing::Resume] {
                let file = begin(&path, existing).unwrap();
                assert_eq!((file.done(), file.is_finished()), (0, false));
                drop(file);
                fs::remove_file(beside(&path, "partial")).unwrap();
            }
        }
    }

    /// The moment in which the output has its name and the record does not say so yet.
    #[test]
    fn a_run_that_stopped_at_the_very_end_is_resumed() {
        for &name in NAMES {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            let mut file = begin(&path, Existing::Refuse).unwrap();
            answers()
                .iter()
                .for_each(|answer| file.push(answer).unwrap());
            file.checkpoint().unwrap();
            drop(file);
            let [partial, progress] = ["partial", "progress"].map(|end| beside(&path, end));
            let (rows, record) = (fs::read(&partial).unwrap(), fs::read(&progress).unwrap());
            push_rest(begin(&path, Existing::Resume).unwrap()).unwrap();
            fs::write(&progress, record).unwrap();
            if matches!(name, "a.parquet" | "a.npz") {
                fs::write(&partial, rows).unwrap();
            }
            push_rest(begin(&path, Existing::Resume).unwrap()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole(name));
            assert!(begin(&path, Existing::Resume).unwrap().is_finished());
        }
    }

    /// Linux has a file that stands for a full disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_the_run_can_be_resumed() {
        for &name in NAMES {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            let partial = beside(&path, "partial");
            let mut file = begin(&path, Existing::Overwrite).unwrap();
            let full = OpenOptions::new().write(true).open("/dev/full");
            file.partial = Some(BufWriter::new(full.unwrap()));
            let error = push_rest(file).unwrap_err();
            let ExchangeError::Io { source, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
            assert!(error.to_string().contains("a."), "{error}");
            assert!(!path.exists(), "an unfinished file has its name");
            fs::remove_file(&partial).unwrap();
            push_rest(begin(&path, Existing::Resume).unwrap()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole(name));
        }
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn a_table_has_a_row_for_each_match_and_says_how_many_probes_there_were() {
        use parquet::file::reader::{FileReader, SerializedFileReader};
        use parquet::record::Field;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.parquet");
        push_rest(begin(&path, Existing::Refuse).unwrap()).unwrap();
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let mut expected = Vec::new();
        for (probe, matches) in (0_i64..).zip(answers()) {
            for (rank, found) in (1_i32..).zip(matches) {
                expected.push([
                    ("probe".to_owned(), Field::Long(probe)),
                    ("rank".to_owned(), Field::Int(rank)),
                    ("class".to_owned(), Field::Long(found.class.0)),
                    ("similarity".to_owned(), Field::Double(found.similarity)),
                ]);
            }
        }
        let rows = reader.get_row_iter(None).unwrap();
        let rows: Vec<_> = rows.map(|row| row.unwrap().into_columns()).collect();
        assert_eq!(rows, expected);
        let facts = reader.metadata().file_metadata().key_value_metadata();
        let mut facts = facts.unwrap().iter();
        let count = facts.find(|fact| fact.key == "vultus.probe_count");
        assert_eq!(count.unwrap().value.as_deref(), Some("5"));
    }
}
