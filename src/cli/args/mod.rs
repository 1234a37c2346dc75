//! What can be typed.

mod audit;
mod calibrate;
mod evaluate;
mod gallery;
mod help;
mod key;
mod load;
mod mistakes;
mod parse;
mod people;
mod pictures;
mod settings;

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, CommandFactory, Parser, Subcommand};

pub(in crate::cli) use self::audit::{
    Audit, AuditFormat, ExportAudit, ListAudit, VerifyAudit, VerifyReceipt,
};
pub(in crate::cli) use self::calibrate::Calibrate;
pub(in crate::cli) use self::evaluate::{
    Evaluate, EvaluateIdentification, EvaluateLiveness, EvaluateVerification, LabelledSamples, Told,
};
pub(in crate::cli) use self::gallery::{
    ChangeMasterKey, Compact, Duplicates, Encrypt, Erase, Export, Gallery, Import, Info, List,
    RemoveGallery, Repair, Restore, RotateKeys, Snapshot, Verify,
};
pub(in crate::cli) use self::help::is_quiet;
pub(in crate::cli) use self::key::{CreateKey, Key, ListKeys, RevokeKey, RotateKey};
pub(in crate::cli) use self::load::{CallKind, Load, Secret, Url};
pub(in crate::cli) use self::mistakes::explain;
use self::parse::{cosine, rate, start_seconds, whole};
pub(in crate::cli) use self::people::{
    ExpirePeople, ExportPeople, ImportPeople, ListPeople, MergePeople, People, RemovePeople,
    RemovePortraits, RenamePerson, ShowPerson, Suggest,
};
pub(in crate::cli) use self::pictures::{Compare, Detect, Embed};
pub(in crate::cli) use self::settings::typed;
use crate::access::AppId;
use crate::exchange::Existing;
use crate::face::Bounds;
use crate::types::{ClassId, Label, PartitionId, PersonName, StorageName};

/// Who is this? Enrol people, then show a new picture: Vultus lists the enrolled people it most
/// likely shows, best first.
#[derive(Debug, Parser)]
#[command(name = "vultus", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    pub(in crate::cli) verb: Verb,
}

const EXIT_CODES: &str = "\
A setting comes from a flag, else from an environment variable (VULTUS_DATA_DIR for --data-dir),
else from the file that --config names. The help of a verb lists those that it uses and has
examples; docs/configuration.md lists all.

Exit codes: 0 done (identify: somebody was found), 1 the answer is no (nobody was found, or an item
was refused while the others were done), 2 it could not be done.";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Verb {
    Demo(Demo),
    Init(Init),
    Serve(Serve),
    #[command(subcommand)]
    App(App),
    #[command(subcommand)]
    Key(Key),
    #[command(subcommand)]
    Audit(Audit),
    Enroll(Enroll),
    Identify(Identify),
    Detect(Detect),
    Compare(Compare),
    Embed(Embed),
    #[command(subcommand)]
    People(People),
    #[command(subcommand)]
    Gallery(Gallery),
    Calibrate(Calibrate),
    Inspect(Inspect),
    #[command(subcommand)]
    Evaluate(Evaluate),
    Bench(Bench),
    Plan(Plan),
    Load(Box<Load>),
    #[command(subcommand)]
    Config(Config),
    Doctor(Doctor),
    Completions(Completions),
    Man(Man),
}

/// Show the whole way once: start a server on a free port, enrol two people over HTTP, upload new
/// pictures and identify them
///
/// Uses portraits that are built in and a data directory that is deleted at the end.
#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    /// Go on serving until Ctrl-C, so that the printed curl lines can be tried
    #[arg(long)]
    pub(in crate::cli) stay: bool,
}

/// Make an empty data directory, encrypted if that is wanted
///
/// Nobody needs to: the first enrolment, app or key makes one, encrypted if the setting `encryption` is
/// on. One that is there is left as it is.
#[derive(Debug, Args)]
pub(in crate::cli) struct Init {
    /// Encrypt it with the key that `master-key` names, as `encryption = "on"` does
    #[arg(long)]
    pub(in crate::cli) encrypt: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Serve the page at /, the BWS Web API, and the native API under /v1
///
/// Prints one line of JSON with the address to stdout when it is ready. Stops on Ctrl-C or SIGTERM
/// after the requests at hand are answered. The log goes to stderr; lines that it cannot take at the
/// moment are dropped and counted, and no request waits for them.
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// Open the page in a browser that is signed in
    ///
    /// The browser gets a link that works once, within ten minutes, and a key for a day. A terminal
    /// is told the link, too, and at the first start a key that lasts.
    #[arg(long)]
    pub(in crate::cli) open: bool,
}

/// Manage the client apps that may call the service
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum App {
    /// Create an app; its secret is printed this once and cannot be shown again
    ///
    /// With --id and --secret-stdin the app takes over what it has at another service, so that its
    /// clients need not be changed. The secret is then not printed, and only its hash is kept.
    Create {
        /// A name for people
        #[arg(long)]
        name: String,
        /// The storage that the app may use
        #[arg(long)]
        storage: StorageName,
        /// The only partition of that storage that it may use [default: all]
        #[arg(long, allow_negative_numbers = true, value_parser = whole(i32::MIN..=i32::MAX))]
        partition: Option<i32>,
        /// The App-ID that the app has already: a GUID, or one such as
        /// 1234567890.12345.app.bioid.com
        #[arg(long, value_name = "APP-ID", requires = "secret_stdin")]
        id: Option<AppId>,
        /// Read the secret that the app has already from stdin, one line of 8 to 256 characters
        #[arg(long, requires = "id")]
        secret_stdin: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List all apps, without their secrets
    List {
        /// Print JSON, one app a line
        #[arg(long)]
        json: bool,
    },
    /// Remove an app; its tokens are refused from then on
    Remove {
        /// Its App-ID
        id: String,
    },
}

/// Enrol people from pictures
///
/// A folder is read as a folder of people's folders: every picture in each and below it becomes a
/// template. A folder is named after a person (`Ada Lovelace`): whoever has that name gets the
/// pictures, and somebody new is enrolled under it with a number that the gallery chooses. Or its
/// name has the number of the class (`17`, `anna17`, `id-17`); beside names only a number alone is
/// one. Two folders of one person are an error. With --class or --name, all pictures named are of
/// one person, and a folder may have no folders of pictures in it. A class keeps ten templates.
///
/// The exit code is 0 if every picture is enrolled, 1 if one was refused or something was passed
/// over that somebody would have expected to be taken (HEIC, a picture beside the class folders), 2
/// if nothing could be done.
#[derive(Debug, Args)]
pub(in crate::cli) struct Enroll {
    /// Pictures, or folders of class folders; `-` is stdin
    #[arg(required = true, value_name = "PATH")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// The person that all pictures show, by the number of the class
    #[arg(long, value_name = "N", allow_negative_numbers = true, group = "whose")]
    pub(in crate::cli) class: Option<ClassId>,
    /// The person that all pictures show, by name: somebody new if nobody has it
    #[arg(long, value_name = "NAME", group = "whose")]
    pub(in crate::cli) name: Option<PersonName>,
    /// Which face of the picture, where it shows several: left,top,width,height in pixels, as
    /// `vultus detect` tells them. The face that it overlaps most is enrolled
    #[arg(
        long = "box",
        value_name = "BOX",
        allow_hyphen_values = true,
        requires = "whose"
    )]
    pub(in crate::cli) face_box: Option<Bounds>,
    /// Replace the templates of a person instead of adding to them
    #[arg(long)]
    pub(in crate::cli) replace: bool,
    /// Go on, and enrol each picture that comes into the folders, until Ctrl-C. One that is still
    /// being written is waited for
    #[arg(long, conflicts_with_all = ["face_box", "replace"])]
    pub(in crate::cli) watch: bool,
    /// Refuse pictures that do not look like those that their class was enrolled with before,
    /// instead of only saying so
    #[arg(long)]
    pub(in crate::cli) refuse_unlike: bool,
    /// Print JSON, one picture a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// List the enrolled people that pictures most likely show
///
/// Every picture is a question of its own unless --fuse says that all show one person, and everybody
/// in it is asked about. Nobody is named who is less alike than the threshold of the service (0.41 for the built-in encoder, or the
/// setting verification-threshold): the answer is then `unknown`. --all lists such people, too.
///
/// The exit code is 0 if somebody was found and no picture was refused or missed, else 1, or 2 if
/// nothing could be done.
///
/// Batches: --embeddings asks for every row of a file of ready embeddings, with the same threshold
/// if they are of the encoder that the service runs. For others none is known, and the most alike
/// are listed unless --threshold is given. All rows are checked before the first is answered. With --output the answers go to a file instead of stdout. That
/// file appears when it is whole; until then its answers are in FILE.partial and what is certain in
/// FILE.progress, so that an interrupted run goes on where it stopped if the same command is given
/// with --resume.
///
/// FILE.jsonl has a line for each probe, as --json prints it. FILE.parquet and FILE.csv have a row
/// for each match: probe (from 0), rank (from 1), class, similarity; a probe without matches has no
/// row. FILE.npz has two arrays with a row for each probe: classes and similarities, with -1 and NaN
/// where there are fewer matches.
#[derive(Debug, Args)]
pub(in crate::cli) struct Identify {
    /// Pictures, or folders of pictures; `-` is stdin
    #[arg(
        value_name = "PATH",
        required_unless_present = "embeddings",
        conflicts_with = "embeddings"
    )]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// Ready embeddings instead of pictures: an .npy, .npz, .parquet or .jsonl file, as `vultus
    /// gallery import` reads them, without classes
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) embeddings: Option<PathBuf>,
    /// The column, array or member of the embeddings [default: embedding, in an .npz embeddings]
    #[arg(long, value_name = "NAME", requires = "embeddings")]
    pub(in crate::cli) embedding_column: Option<String>,
    /// The column, array or member of what probes are called, which answers repeat as `id` [default:
    /// id, in an .npz ids, or the class]
    #[arg(long, value_name = "NAME", requires = "embeddings")]
    pub(in crate::cli) id_column: Option<String>,
    /// The gallery, such as bws.1
    #[arg(long, value_name = "STORAGE.PARTITION")]
    pub(in crate::cli) partition: PartitionId,
    /// The most people in an answer, 1 or more
    #[arg(long = "top", value_name = "K", default_value_t = 20, allow_negative_numbers = true, value_parser = whole(1_usize..))]
    pub(in crate::cli) limit: usize,
    /// Leave out people with a lower similarity, from -1 to 1 [default: that of the service, if it
    /// is known for the encoder]
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true, value_parser = cosine)]
    pub(in crate::cli) threshold: Option<f64>,
    /// Look for those alone who have this label, such as site:berlin; may be given more than once
    #[arg(long, value_name = "KEY:VALUE")]
    pub(in crate::cli) label: Vec<Label>,
    /// List the most alike, however little alike they are
    #[arg(long, conflicts_with = "threshold")]
    pub(in crate::cli) all: bool,
    /// All pictures show one person: ask once for all
    #[arg(long, conflicts_with = "embeddings")]
    pub(in crate::cli) fuse: bool,
    /// Whom to ask about in a picture: all, or one and refuse pictures of several [default: all,
    /// where it shows several people, and else its only face, whoever passes by far behind]
    #[arg(
        long,
        value_name = "WHOM",
        value_enum,
        hide_possible_values = true,
        conflicts_with_all = ["embeddings", "fuse"]
    )]
    pub(in crate::cli) faces: Option<Faces>,
    /// Print JSON, one answer a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Say what was done for each answer: the plan, how many templates were scanned, looked at again
    /// and scored exactly, and what was read
    #[arg(long, conflicts_with = "output")]
    pub(in crate::cli) explain: bool,
    /// Go on, and answer for each picture that comes into the folders, until Ctrl-C. One that is
    /// still being written is waited for
    #[arg(long, conflicts_with_all = ["embeddings", "fuse", "annotate"])]
    pub(in crate::cli) watch: bool,
    /// Draw boxes and names on the picture, into this file, whose name ends in .jpg or .png; of
    /// several pictures, into this folder
    #[arg(
        long,
        value_name = "FILE",
        group = "written",
        conflicts_with_all = ["embeddings", "fuse"]
    )]
    pub(in crate::cli) annotate: Option<PathBuf>,
    /// Write the answers to this file, whose name ends in .jsonl, .csv, .npz or .parquet
    #[arg(
        long,
        value_name = "FILE",
        group = "written",
        requires = "embeddings",
        conflicts_with = "json"
    )]
    pub(in crate::cli) output: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) existing: ExistingOutput,
}

/// What to do with an output that is there already; without either flag it is an error.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(in crate::cli) struct ExistingOutput {
    /// Go on with an interrupted run, which must have been asked the same of the same gallery; begin
    /// if there was none
    #[arg(long, requires = "output")]
    resume: bool,
    /// Start again, and replace the file when the new one is whole
    #[arg(long, requires = "written")]
    overwrite: bool,
}

/// Whom to look at in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Faces {
    /// Everybody, however small.
    All,
    /// The only person; a picture of several is refused.
    One,
}

/// Say what is in a file of a data directory, or in a snapshot, and whether it is whole
///
/// Reads all of a segment (.vseg), a catalog (catalog.redb) or a snapshot, whatever its name, and
/// lists every damaged place. Changes nothing, and prints no template. The exit code is 0 if all is as
/// it was written, 1 if something is damaged.
#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// The file
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Measure how fast this machine searches, beside what it could do at most
///
/// Makes up a gallery of random directions among the temporary files (about 2.6 KB a row at 512
/// values), or imports one, searches it with different numbers of probes, compares some answers with
/// a full sort, and deletes it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Bench {
    /// Templates that are made up
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = whole(1_usize..))]
    pub(in crate::cli) rows: usize,
    /// Values of each
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = whole(0_usize..))]
    pub(in crate::cli) dim: usize,
    /// Makes the same templates and probes again
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0_u64..))]
    pub(in crate::cli) seed: u64,
    /// An .npy file of templates instead; its classes are the row numbers from 1
    #[arg(
        long,
        value_name = "FILE",
        requires = "probe_embeddings",
        conflicts_with_all = ["rows", "dim", "seed"]
    )]
    pub(in crate::cli) embeddings: Option<PathBuf>,
    /// An .npy file of probes for them
    #[arg(long, value_name = "FILE", requires = "embeddings")]
    pub(in crate::cli) probe_embeddings: Option<PathBuf>,
    /// How many probes are searched for at once, separated by commas
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "1,8,64,512",
        value_parser = whole(1_usize..)
    )]
    pub(in crate::cli) probes: Vec<usize>,
    /// The most people in an answer
    #[arg(long = "top", value_name = "K", default_value_t = 20, value_parser = whole(1_usize..))]
    pub(in crate::cli) limit: usize,
    /// How often everything is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = whole(1_usize..))]
    pub(in crate::cli) rounds: usize,
    /// Answers that are compared with a full sort in double precision
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole(0_usize..))]
    pub(in crate::cli) check: usize,
    /// Measure the plans that the engine would not choose, too
    #[arg(long)]
    pub(in crate::cli) all_plans: bool,
    /// Write the answers for all probes to a file of JSON lines
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) answers: Option<PathBuf>,
    /// Read numbers of probes from stdin, a line each, and print the time of each search
    #[arg(long, conflicts_with_all = ["answers", "check", "all_plans"])]
    pub(in crate::cli) interactive: bool,
    /// Where the gallery is made [default: the system's directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) directory: Option<PathBuf>,
    /// Measure what NIST's table of identification has, in galleries of 100,000 to 12,000,000
    /// templates, as many as there is room for: bytes of a template, times to enrol, and times of a
    /// search with lists of 1 and of 50 people on one thread and on all
    #[arg(
        long,
        conflicts_with_all = ["rows", "embeddings", "probes", "limit", "check", "all_plans", "answers", "interactive"]
    )]
    pub(in crate::cli) nist: bool,
    /// The largest of these galleries
    #[arg(long, value_name = "N", value_parser = whole(1_000_usize..), requires = "nist")]
    pub(in crate::cli) rows_max: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Say what memory, disk and cores a gallery needs, and how long an answer takes
///
/// Measures this machine for a few seconds with made-up templates among the temporary files, of as
/// many values as are asked for, and scales the times by the rows. Times are those of searches by
/// themselves: without the network, and without looking at a picture, which is told beside it.
///
/// With --job it says how long a job over the whole gallery takes on some machines like this one.
#[derive(Debug, Args)]
pub(in crate::cli) struct Plan {
    /// Templates that are searched together: people times pictures of each
    #[arg(long, value_name = "N", value_parser = whole(1..=PLAN_ROWS_MAX))]
    pub(in crate::cli) rows: usize,
    /// Values of each; the built-in encoder has 128
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = whole(16_usize..=4_096))]
    pub(in crate::cli) dim: usize,
    /// Identifications a second
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1.0,
        allow_negative_numbers = true,
        value_parser = rate,
        conflicts_with = "job"
    )]
    pub(in crate::cli) qps: f64,
    /// A job over the whole gallery, cut into blocks of which each two are a task
    #[arg(long, value_name = "KIND", value_enum)]
    pub(in crate::cli) job: Option<JobKind>,
    /// Machines that share the job
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1_usize..=1_000_000), requires = "job")]
    pub(in crate::cli) machines: usize,
    /// Templates that are looked for, of --job identify
    #[arg(long, value_name = "N", value_parser = whole(1..=PLAN_ROWS_MAX), requires = "job")]
    pub(in crate::cli) probes: Option<usize>,
    /// People in an answer, of --job identify [default: 20]
    #[arg(long, value_name = "N", value_parser = whole(1..=PLAN_ROWS_MAX), requires = "job")]
    pub(in crate::cli) k: Option<usize>,
    /// Only people from this similarity on, -1 to 1, of --job identify: far fewer are looked at
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = cosine, requires = "job")]
    pub(in crate::cli) threshold: Option<f64>,
    /// Tasks that each machine does at a time, which share its threads: with Spark as many as an
    /// executor has cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(1_usize..=1_024), requires = "job")]
    pub(in crate::cli) tasks: usize,
    /// Seconds until a task begins its work, which depends on who does the job: docs/jobs.md
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        value_parser = start_seconds,
        requires = "job"
    )]
    pub(in crate::cli) start_seconds: f64,
    /// Templates of a block of the job
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = whole(1..=PLAN_ROWS_MAX), requires = "job")]
    pub(in crate::cli) block_rows: usize,
    /// Templates that are made up to measure, at most those of `--rows` [default: 50 million values]
    #[arg(long, value_name = "N", value_parser = whole(100_usize..=10_000_000))]
    pub(in crate::cli) calibration_rows: Option<usize>,
    /// Where the templates are made [default: the system's directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) directory: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Jobs over whole galleries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum JobKind {
    /// All pairs of a gallery.
    Duplicates,
    /// Many probes against a gallery.
    Identify,
}

/// More templates than people live.
const PLAN_ROWS_MAX: usize = 100_000_000_000;

/// Show the settings
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Config {
    /// Show all settings in force, and where each comes from
    ///
    /// Each is a default, or was given in the settings file, in an environment variable or as a flag, of
    /// which the last one counts. It takes the flags of all verbs. No setting holds a secret, and the
    /// password of a URL is left out. Settings that the service would refuse are refused here in the
    /// same words.
    Show {
        /// Print JSON, one setting a line
        #[arg(long)]
        json: bool,
    },
}

/// Look for what is wrong with this machine and with the settings, and say what to do
///
/// One line for each thing: settings, clock, processor and instruction set, threads, memory,
/// descriptors, the data directory with its disk and its permissions, the key for tokens, galleries,
/// snapshots, the port, the certificate, networks, and an identification among made-up people whose
/// answers are compared with a full sort. It takes the flags of `serve`. It changes nothing, and a service
/// may run meanwhile.
///
/// The exit code is 0 if nothing is wrong, also if there are warnings, and 1 if something is.
#[derive(Debug, Args)]
pub(in crate::cli) struct Doctor {
    /// Warnings count as wrong: exit code 1
    #[arg(long)]
    pub(in crate::cli) strict: bool,
    /// Print JSON, one finding a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Print a script with which a shell completes commands
#[derive(Debug, Args)]
pub(in crate::cli) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(in crate::cli) shell: clap_complete::Shell,
}

/// Print a page of the manual
#[derive(Debug, Args)]
pub(in crate::cli) struct Man {
    /// The page of this verb, such as `gallery import` [default: that of the program]
    #[arg(value_name = "VERB")]
    pub(in crate::cli) verb: Vec<String>,
    /// Write all pages into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    pub(in crate::cli) all: Option<PathBuf>,
}

impl ExistingOutput {
    /// Whether what is there may be replaced.
    pub(in crate::cli) fn is_overwrite(&self) -> bool {
        self.overwrite
    }

    /// What was typed.
    pub(in crate::cli) fn existing(&self) -> Existing {
        match self {
            ExistingOutput { resume: true, .. } => Existing::Resume,
            ExistingOutput {
                overwrite: true, ..
            } => Existing::Overwrite,
            _ => Existing::Refuse,
        }
    }
}

/// The words of a command, for the log: neither a flag nor the value of one.
pub(in crate::cli) fn words(matches: &ArgMatches) -> String {
    let mut words = Vec::new();
    let mut matches = matches;
    while let Some((word, inner)) = matches.subcommand() {
        words.push(word);
        matches = inner;
    }
    words.join(" ")
}

/// The gallery that a command names by a flag, and the class, if it is one.
pub(in crate::cli) fn whom(matches: &ArgMatches) -> (Option<PartitionId>, Option<ClassId>) {
    let mut matches = matches;
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    let partition = matches.try_get_one::<PartitionId>("partition");
    let classes = matches.try_get_many::<ClassId>("class");
    let mut classes = classes.ok().flatten().into_iter().flatten();
    let class = match (classes.next(), classes.next()) {
        (Some(class), None) => Some(*class),
        _ => None,
    };
    (partition.ok().flatten().cloned(), class)
}

/// The command line: verbs with their flags and examples, and the flags of settings at the verbs
/// that use them.
pub(in crate::cli) fn command() -> Command {
    settings::with_flags(help::with_help(Arguments::command()))
}

/// The verbs that do something, as they are typed: `enroll`, `gallery import`.
fn verbs(root: &Command) -> Vec<String> {
    let mut verbs = Vec::new();
    for verb in root.get_subcommands() {
        let name = verb.get_name();
        if verb.has_subcommands() {
            let below = self::verbs(verb);
            verbs.extend(below.iter().map(|below| format!("{name} {below}")));
        } else {
            verbs.push(name.to_owned());
        }
    }
    verbs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }
}
