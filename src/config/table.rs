//! The table: everything that can be set.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::Standard::{Field, Machine, Words};
use super::Value::{
    Bytes, File, Folder, Isa, List, Number, SettingsFile, Switch, Table, Text, Whole,
};
use super::{KeySource, ListenAddress, LogFormat, Setting, Settings, log};
use crate::audit::AuditMode;
use crate::budgets::Reaction;
use crate::intake::{OnDuplicate, Partitions, SCORE_DIGITS_MAX};
use crate::kernel::Kernel;
use crate::liveness::Thresholds;
use crate::rates::TargetRate;
use crate::types::PartitionId;
use crate::web::{
    ConnectionOptions, Origins, OtlpEndpoint, PublicUrl, ServiceOptions, TrustedProxies,
};

const ALL: &[&str] = &[
    "demo",
    "serve",
    "app",
    "key",
    "audit",
    "enroll",
    "identify",
    "detect",
    "compare",
    "embed",
    "people",
    "gallery",
    "calibrate",
    "inspect",
    "evaluate",
    "bench",
    "plan",
];
/// Those that open a data directory.
const KEEPING: &[&str] = &[
    "init",
    "serve",
    "app",
    "key",
    "audit",
    "enroll",
    "identify",
    "people",
    "gallery",
    "calibrate",
    "evaluate identification",
    "evaluate verification",
];
/// Those that do much at once.
const WORKING: &[&str] = &[
    "demo",
    "serve",
    "enroll",
    "identify",
    "detect",
    "embed",
    "people suggest",
    "gallery import",
    "gallery duplicates",
    "calibrate",
    "evaluate",
    "bench",
    "plan",
];
/// Those that search.
const SEARCHING: &[&str] = &[
    "demo",
    "serve",
    "identify",
    "gallery duplicates",
    "calibrate",
    "evaluate identification",
    "evaluate verification",
    "bench",
    "plan",
];
/// Those that look at pictures.
const SEEING: &[&str] = &[
    "demo",
    "serve",
    "enroll",
    "identify",
    "detect",
    "compare",
    "embed",
    "people suggest",
    "gallery import",
    "evaluate",
    "plan",
];
const SERVING: &[&str] = &["serve"];
/// Those that make snapshots.
const SNAPSHOTS: &[&str] = &["serve", "gallery snapshot"];
/// Those that decide whether somebody is there in person.
const DECIDING: &[&str] = &["serve", "evaluate liveness"];

/// More threads than any machine of today has processors: beyond it stands a slip.
const THREADS_MAX: usize = 1_024;

/// Those that enrol people with pictures.
const ENROLLING: &[&str] = &[
    "serve",
    "enroll",
    "gallery import",
    "evaluate identification",
];

/// Those that enrol people one by one.
const ADDING: &[&str] = &["serve", "enroll"];

/// Those that look for people who are enrolled already.
const RECOGNISING: &[&str] = &["serve", "enroll", "gallery import"];

/// Those that look for people.
const IDENTIFYING: &[&str] = &["serve", "identify"];

/// From the lowest rate that can be asked for to one at which a decision says nothing.
const TARGET_FPIR: RangeInclusive<f64> = TargetRate::LOWEST..=0.5;

/// From what only tests want to an hour.
const WAIT_SECONDS: RangeInclusive<f64> = 0.001..=3_600.0;

/// From a small portrait to what no decoder should be asked for.
const PICTURE_PIXELS: RangeInclusive<usize> = 10_000..=1_000_000_000;
/// More than anybody is told in a day.
const BUDGET_MAX: usize = 1_000_000_000;

/// What a running service takes up when it is told to read its settings again, by SIGHUP.
pub const TAKEN_UP: &[&str] = &[
    "log",
    "tls-cert",
    "tls-key",
    "enroll-quality-min",
    "verification-threshold",
    "verification-thresholds",
    "target-fpir",
    "target-fpirs",
    "verification-target-fmr",
    "bws-lists-cut",
    "confirm-partitions",
    "budget-identifications",
    "budget-scores",
    "budget-class-answers",
    "climb",
    "enroll-duplicates",
    "enroll-duplicates-fpir",
    "enroll-duplicates-threshold",
    "score-digits",
    "liveness.passive-score-min",
    "liveness.active-score-min",
    "liveness.similarity-min",
    "liveness.same-picture-correlation",
    "liveness.turn-degrees-min",
    "liveness.movement-degrees-min",
    "liveness.mirrored",
    "picture-seconds-max",
];

/// Everything that can be set, in the order of help and of `docs/configuration.md`.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "config",
        value_name: "FILE",
        text: "A file with settings, whose keys are named like the flags",
        value: SettingsFile(|settings, path| settings.config = Some(path)),
        standard: Words("none"),
        verbs: ALL,
    },
    Setting {
        name: "log",
        value_name: "FILTER",
        text: "What is logged to stderr",
        value: Text(log::EXPECTED, |settings, text| {
            settings.log = Some(log::filter(text)?);
            Some(())
        }),
        standard: Words("`warn,vultus=info` of `serve`, else `warn`"),
        verbs: ALL,
    },
    Setting {
        name: "log-format",
        value_name: "FORMAT",
        text: "How lines of the log are written: as text for people, or as one JSON object each",
        value: Text(LogFormat::EXPECTED, |settings, text| {
            settings.log_format = text.parse().ok()?;
            Some(())
        }),
        standard: Field(|settings| settings.log_format.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "data-dir",
        value_name: "DIR",
        text: "The directory in which everything is kept",
        value: Folder(|settings, path| settings.data_dir = path),
        standard: Field(|settings| settings.data_dir.display().to_string()),
        verbs: KEEPING,
    },
    Setting {
        name: "master-key",
        value_name: "SOURCE",
        text: "Where the key comes from that opens an encrypted data directory, 64 hexadecimal digits \
               or 32 bytes",
        value: Text(KeySource::EXPECTED, |settings, text| {
            settings.master_key = Some(text.parse().ok()?);
            Some(())
        }),
        standard: Words("none"),
        verbs: KEEPING,
    },
    Setting {
        name: "encryption",
        value_name: "ON",
        text: "Whether a new data directory is encrypted, with `master-key`; one that is there stays as \
               it is",
        value: Text("`on` or `off`", |settings, text| {
            settings.encrypts_new = match text {
                "on" => true,
                "off" => false,
                _ => return None,
            };
            Some(())
        }),
        standard: Words("off"),
        verbs: KEEPING,
    },
    Setting {
        name: "audit",
        value_name: "MODE",
        text: "Whether a service writes down who did what with whom, in the folder `audit` of the data directory: \
               `on` within a second, `strict` before it answers",
        value: Text(AuditMode::EXPECTED, |settings, text| {
            settings.audit = text.parse().ok()?;
            Some(())
        }),
        standard: Field(|settings| settings.audit.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "audit-keep",
        value_name: "TIME",
        text: "How long that log is kept: a file of it is removed when all that is in it is older",
        value: Text(
            "a number of minutes, hours or days, one or more, such as `36h` or `400d`",
            |settings, text| {
                settings.audit_keep = Some(interval(text)?);
                Some(())
            },
        ),
        standard: Words("for good"),
        verbs: SERVING,
    },
    Setting {
        name: "threads",
        value_name: "N",
        text: "Threads that scan the gallery and read pictures",
        value: Whole(1..=THREADS_MAX, |settings, count| settings.threads = count),
        standard: Machine("one for each processor", |settings| {
            settings.threads.to_string()
        }),
        verbs: WORKING,
    },
    Setting {
        name: "isa",
        value_name: "NAME",
        text: "The instruction set that scans; answers do not depend on it",
        value: Isa(|settings, isa| settings.isa = Some(isa)),
        standard: Machine("the fastest that the processor has", |settings| {
            let fastest = || Kernel::detect().isa();
            settings.isa.unwrap_or_else(fastest).to_string()
        }),
        verbs: SEARCHING,
    },
    Setting {
        name: "embedder",
        value_name: "FILE",
        text: "Another network to make embeddings with, an ONNX file; needs `embedder-profile`",
        value: File(|settings, path| settings.embedder = Some(path)),
        standard: Words("the built-in SFace"),
        verbs: SEEING,
    },
    Setting {
        name: "embedder-profile",
        value_name: "FILE",
        text: "What that network expects and gives, a TOML file",
        value: File(|settings, path| settings.embedder_profile = Some(path)),
        standard: Words("none"),
        verbs: SEEING,
    },
    Setting {
        name: "encoder-profiles",
        value_name: "FILE,...",
        text: "What was measured of encoders whose embeddings come ready: files that \
               `vultus calibrate --encoder-profile` makes",
        value: List("paths of files", |settings, list| {
            settings.encoder_profiles = files(list)?;
            Some(())
        }),
        standard: Words("none"),
        verbs: IDENTIFYING,
    },
    Setting {
        name: "onnxruntime",
        value_name: "FILE",
        text: "Find faces with ONNX Runtime, which is several times as fast at it: its shared library. \
               Needs a program built with the feature `onnxruntime`",
        value: File(|settings, path| settings.onnxruntime = Some(path)),
        standard: Words("the built-in runtime"),
        verbs: SEEING,
    },
    Setting {
        name: "picture-pixels-max",
        value_name: "PIXELS",
        text: "The most pixels of a picture; each takes 4 bytes of memory while it is read",
        value: Whole(PICTURE_PIXELS, |settings, pixels| {
            settings.picture_pixels_max = pixels;
        }),
        standard: Field(|settings| settings.picture_pixels_max.to_string()),
        verbs: SEEING,
    },
    Setting {
        name: "picture-seconds-max",
        value_name: "N",
        text: "How long it may take to look at a picture or a video; where everybody in it is asked for, a \
               twentieth of it more for each face",
        value: Whole(1..=3_600, |settings, seconds| {
            settings.service.picture_time_max = Duration::from_secs(seconds as u64);
        }),
        standard: Field(|settings| settings.service.picture_time_max.as_secs().to_string()),
        verbs: SEEING,
    },
    Setting {
        name: "picture-bytes-max",
        value_name: "BYTES",
        text: "The most memory that all pictures take together while they are looked at; the others \
               wait, and one that takes more by itself waits until it is the only one",
        value: Bytes(64 << 20..=1 << 40, |settings, bytes| {
            settings.service.picture_bytes_max = bytes as u64;
        }),
        standard: Field(|settings| settings.service.picture_bytes_max.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "listen",
        value_name: "HOST:PORT",
        text: "Where the service listens",
        value: Text(ListenAddress::EXPECTED, |settings, text| {
            settings.listen = text.parse().ok()?;
            Some(())
        }),
        standard: Field(|settings| settings.listen.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "metrics-listen",
        value_name: "HOST:PORT",
        text: "Where the service tells its metrics (`GET /metrics`), in the format of Prometheus, to \
               everybody who reaches the address",
        value: Text(ListenAddress::EXPECTED, |settings, text| {
            settings.metrics_listen = Some(text.parse().ok()?);
            Some(())
        }),
        standard: Words("nowhere"),
        verbs: SERVING,
    },
    Setting {
        name: "otlp-endpoint",
        value_name: "URL",
        text: "The OpenTelemetry collector that is told what the steps of each request took, by OTLP over plain \
               HTTP; `OTEL_EXPORTER_OTLP_ENDPOINT` names it, too. Needs a program built with the feature \
               `opentelemetry`",
        value: Text(OtlpEndpoint::EXPECTED, |settings, text| {
            settings.otlp_endpoint = Some(text.parse().ok()?);
            Some(())
        }),
        standard: Words("none"),
        verbs: SERVING,
    },
    Setting {
        name: "public-url",
        value_name: "URL",
        text: "The URL under which clients reach the service; it stands in every token",
        value: Text(PublicUrl::EXPECTED, |settings, text| {
            settings.public_url = Some(text.parse().ok()?);
            Some(())
        }),
        standard: Words(
            "`http://`, or `https://` with TLS, and the address that the service listens on",
        ),
        verbs: SERVING,
    },
    Setting {
        name: "tls-cert",
        value_name: "FILE",
        text: "Speak TLS with this certificate, a PEM file that may go on with those that signed it; read \
               again on SIGHUP. Needs `tls-key`",
        value: File(|settings, path| settings.tls_certificate = Some(path)),
        standard: Words("plain HTTP"),
        verbs: SERVING,
    },
    Setting {
        name: "tls-key",
        value_name: "FILE",
        text: "The key of that certificate, a PEM file without a password",
        value: File(|settings, path| settings.tls_key = Some(path)),
        standard: Words("none"),
        verbs: SERVING,
    },
    Setting {
        name: "cors-origins",
        value_name: "ORIGIN,...",
        text: "The web origins whose pages may call the service",
        value: List(
            "origins such as `https://www.example.org`, without a path; all may call if it is not set",
            |settings, list| {
                settings.service.origins = Origins::only(list.iter().copied()).ok()?;
                Some(())
            },
        ),
        standard: Words("all"),
        verbs: SERVING,
    },
    Setting {
        name: "workers",
        value_name: "N",
        text: "Pictures that the service looks at at once",
        value: Whole(1..=THREADS_MAX, |settings, count| {
            settings.service.workers = count;
        }),
        standard: Machine("one for each processor", |settings| {
            settings.service.workers.to_string()
        }),
        verbs: SERVING,
    },
    Setting {
        name: "queue-max",
        value_name: "N",
        text: "How many pictures, and how many searches, may wait for their turn",
        value: Whole(0..=100_000, |settings, count| {
            settings.service.queue_max = count;
        }),
        standard: Field(|settings| settings.service.queue_max.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "queue-wait-seconds",
        value_name: "N",
        text: "How long a picture may wait for its turn; one that would wait longer is told at once to \
               come again",
        value: Number(WAIT_SECONDS, |settings, seconds| {
            settings.service.queue_wait = Duration::from_secs_f64(seconds);
        }),
        standard: Field(|settings| settings.service.queue_wait.as_secs_f64().to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "search-wait-seconds",
        value_name: "N",
        text: "How long a search may take with the wait for its turn; one that would take longer \
               because of others is told at once to come again",
        value: Number(WAIT_SECONDS, |settings, seconds| {
            settings.service.search_wait = Duration::from_secs_f64(seconds);
        }),
        standard: Field(|settings| settings.service.search_wait.as_secs_f64().to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "body-bytes-max",
        value_name: "BYTES",
        text: "The largest body of a request",
        value: Bytes(
            1_024..=ServiceOptions::BODY_BYTES_TOTAL_MAX,
            |settings, bytes| {
                settings.service.body_bytes_max = bytes;
                // A sender has half of the room for all, and one of the tokens of an app three sevenths.
                let room = ServiceOptions::BODY_BYTES_TOTAL_MAX.max(3 * bytes);
                settings.service.body_bytes_total_max = room;
            },
        ),
        standard: Field(|settings| settings.service.body_bytes_max.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "body-wait-seconds",
        value_name: "N",
        text: "How long a body may take to arrive",
        value: Whole(1..=3_600, |settings, seconds| {
            settings.service.body_wait = Duration::from_secs(seconds as u64);
        }),
        standard: Field(|settings| settings.service.body_wait.as_secs().to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "body-bytes-per-second-min",
        value_name: "BYTES",
        text: "The least speed of a body, which may pause for ten seconds; 0 sets none",
        value: Bytes(0..=1_000_000_000, |settings, bytes| {
            settings.service.body_bytes_per_second_min = bytes;
        }),
        standard: Field(|settings| settings.service.body_bytes_per_second_min.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "connections-max",
        value_name: "N",
        text: "The most connections at once; when all are taken, the longest idle one is closed for a new \
               one",
        value: Whole(16..=1_000_000, |settings, count| {
            connections(settings).count_max = Some(count);
        }),
        standard: Words(
            "what the limit of descriptors (`ulimit -Hn`) leaves room for, at most 32,768",
        ),
        verbs: SERVING,
    },
    Setting {
        name: "connections-per-address-max",
        value_name: "N",
        text: "The most connections of one client address, or of one IPv6 network of 64 bits. All that \
               come through a proxy have one address, that of the proxy, unless it is one of \
               `trusted-proxies`",
        value: Whole(1..=1_000_000, |settings, count| {
            connections(settings).per_address_max = Some(count);
        }),
        standard: Words("half of `connections-max`"),
        verbs: SERVING,
    },
    Setting {
        name: "trusted-proxies",
        value_name: "ADDRESS,...",
        text: "The proxies that may say from where a request comes, by `X-Forwarded-For` or \
               `Forwarded`; their connections are not limited by address",
        value: List(TrustedProxies::EXPECTED, |settings, list| {
            let proxies = TrustedProxies::only(list.iter().copied());
            connections(settings).trusted_proxies = proxies.ok()?;
            Some(())
        }),
        standard: Words("none"),
        verbs: SERVING,
    },
    Setting {
        name: "header-wait-seconds",
        value_name: "N",
        text: "How long a client may take from the connection to the end of the head of its first \
               request, and from the first byte to the last of every other head",
        value: Whole(1..=3_600, |settings, seconds| {
            connections(settings).header_wait = Duration::from_secs(seconds as u64);
        }),
        standard: Field(|settings| {
            settings
                .service
                .connections
                .header_wait
                .as_secs()
                .to_string()
        }),
        verbs: SERVING,
    },
    Setting {
        name: "idle-wait-seconds",
        value_name: "N",
        text: "How long a connection may be idle between two requests; longer than a proxy before the \
               service keeps it",
        value: Whole(1..=3_600, |settings, seconds| {
            connections(settings).idle_wait = Duration::from_secs(seconds as u64);
        }),
        standard: Field(|settings| settings.service.connections.idle_wait.as_secs().to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "write-wait-seconds",
        value_name: "N",
        text: "How long a client may take nothing of an answer that waits for it",
        value: Whole(1..=3_600, |settings, seconds| {
            connections(settings).write_wait = Duration::from_secs(seconds as u64);
        }),
        standard: Field(|settings| {
            settings
                .service
                .connections
                .write_wait
                .as_secs()
                .to_string()
        }),
        verbs: SERVING,
    },
    Setting {
        name: "stop-delay-seconds",
        value_name: "N",
        text: "How long everything is answered as before when the service is told to stop, but for \
               `/readyz`, which says so at once: as long as the platform or proxy takes to send \
               requests elsewhere",
        value: Whole(0..=3_600, |settings, seconds| {
            connections(settings).stop_delay = Duration::from_secs(seconds as u64);
        }),
        standard: Field(|settings| {
            settings
                .service
                .connections
                .stop_delay
                .as_secs()
                .to_string()
        }),
        verbs: SERVING,
    },
    Setting {
        name: "stop-wait-seconds",
        value_name: "N",
        text: "How long requests at hand may take when the service is told to stop and the delay is \
               over; both together less than what the platform waits before it kills",
        value: Whole(0..=3_600, |settings, seconds| {
            connections(settings).stop_wait = Duration::from_secs(seconds as u64);
        }),
        standard: Field(|settings| settings.service.connections.stop_wait.as_secs().to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "snapshot-dir",
        value_name: "DIR",
        text: "Where the service makes snapshots, when the native API asks and by `snapshot-every`",
        value: Folder(|settings, path| settings.service.snapshot_dir = Some(path)),
        standard: Words("nowhere, they are refused"),
        verbs: SERVING,
    },
    Setting {
        name: "snapshot-every",
        value_name: "TIME",
        text: "How often the service makes one there by itself, counted from the newest that there is",
        value: Text(
            "a number of minutes, hours or days, one or more, such as `90m`, `24h` or `7d`",
            |settings, text| {
                settings.service.snapshot_every = Some(interval(text)?);
                Some(())
            },
        ),
        standard: Words("never"),
        verbs: SERVING,
    },
    Setting {
        name: "snapshot-keep",
        value_name: "N",
        text: "How many whole ones stay there when it has made one; those that others named stay in \
               any case. For `gallery snapshot` it counts where `--to` is a folder",
        value: Whole(1..=1_000_000, |settings, count| {
            settings.service.snapshot_keep = Some(count);
        }),
        standard: Words("all"),
        verbs: SNAPSHOTS,
    },
    Setting {
        name: "enroll-quality-min",
        value_name: "QUALITY",
        text: "The least quality of a picture that somebody is enrolled with; 0 takes every one",
        value: Number(0.0..=1.0, |settings, quality| {
            settings.service.enroll_quality_min = quality as f32;
        }),
        standard: Field(|settings| settings.service.enroll_quality_min.to_string()),
        verbs: ENROLLING,
    },
    Setting {
        name: "store-portraits",
        value_name: "YES",
        text: "Whether a small picture of the face of everybody who is enrolled with a picture is stored, for \
               people with a key for it to see; needs an encrypted data directory",
        value: Switch(|settings, stores| settings.service.store_portraits = stores),
        standard: Field(|settings| settings.service.store_portraits.to_string()),
        verbs: ADDING,
    },
    Setting {
        name: "verification-threshold",
        value_name: "COSINE",
        text: "The similarity from which on a verification succeeds",
        value: Number(-1.0..=1.0, |settings, cosine| {
            settings.service.verification.threshold = Some(cosine);
        }),
        standard: Words("that of the encoder"),
        verbs: SERVING,
    },
    Setting {
        name: "verification-thresholds",
        value_name: "PARTITION=COSINE,...",
        text: "The same for single partitions",
        value: Table(
            "a similarity from -1 to 1 for each of some partitions: in a file a table with lines such \
             as `\"bws.112\" = 0.5`, else a list such as `bws.112=0.5,bws.113=0.6`",
            |settings, entries| {
                settings.service.verification.partitions = cosines(entries)?;
                Some(())
            },
        ),
        standard: Words("none"),
        verbs: SERVING,
    },
    Setting {
        name: "target-fpir",
        value_name: "RATE",
        text: "How often a stranger may be taken for somebody when they are looked for: the threshold rises \
               with the number of people so that it is kept. Where a verification threshold is set, that \
               decides",
        value: Number(TARGET_FPIR, |settings, rate| {
            settings.service.target_fpir.all = TargetRate::new(rate).unwrap_or_default();
        }),
        standard: Field(|settings| settings.service.target_fpir.all.to_string()),
        verbs: IDENTIFYING,
    },
    Setting {
        name: "target-fpirs",
        value_name: "PARTITION=RATE,...",
        text: "The same for single partitions. There it decides also where a verification threshold is set \
               for all",
        value: Table(
            "a rate from 0.0000000001 to 0.5 for each of some partitions: in a file a table with lines such \
             as `\"bws.112\" = 0.0001`, else a list such as `bws.112=0.0001,bws.113=0.01`",
            |settings, entries| {
                settings.service.target_fpir.partitions = target_rates(entries)?;
                Some(())
            },
        ),
        standard: Words("none"),
        verbs: IDENTIFYING,
    },
    Setting {
        name: "verification-target-fmr",
        value_name: "RATE",
        text: "How often a stranger may be taken for the one person whom they say they are: the threshold of \
               verifications is as high as that demands by what was measured, and at least that of the \
               encoder. Where a verification threshold is set, that decides",
        value: Number(TARGET_FPIR, |settings, rate| {
            settings.service.verification_target_fmr = TargetRate::new(rate).ok();
        }),
        standard: Words("none, the encoder decides"),
        verbs: SERVING,
    },
    Setting {
        name: "bws-lists-cut",
        value_name: "PARTITION,...",
        text: "The partitions in which `identify` of the BWS Web API lists nobody below the threshold, or \
               `all`; elsewhere weak candidates are listed, too, as the old service did",
        value: List(
            "partitions such as `bws.112`, or `all` alone",
            |settings, list| {
                settings.service.bws_lists_cut = partitions(list)?;
                Some(())
            },
        ),
        standard: Words("none"),
        verbs: SERVING,
    },
    Setting {
        name: "confirm-partitions",
        value_name: "PARTITION,...",
        text: "The partitions in which two people must confirm an identification, by `/v1/decisions`, \
               before anybody is told of it, or `all`. The BWS Web API does not identify there, nor does \
               `identify-many`",
        value: List(
            "partitions such as `bws.112`, or `all` alone",
            |settings, list| {
                settings.service.confirm_partitions = partitions(list)?;
                Some(())
            },
        ),
        standard: Words("none"),
        verbs: SERVING,
    },
    Setting {
        name: "budget-identifications",
        value_name: "COUNT",
        text: "How many probes a key or an app may look for in a day of UTC; 0 sets no limit",
        value: Whole(0..=BUDGET_MAX, |settings, count| {
            settings.service.budgets.identifications = budget(count);
        }),
        standard: Field(|settings| budget_text(settings.service.budgets.identifications)),
        verbs: SERVING,
    },
    Setting {
        name: "budget-scores",
        value_name: "COUNT",
        text: "How many answers a day may tell a key or an app how alike somebody is; 0 sets no limit",
        value: Whole(0..=BUDGET_MAX, |settings, count| {
            settings.service.budgets.scores = budget(count);
        }),
        standard: Field(|settings| budget_text(settings.service.budgets.scores)),
        verbs: SERVING,
    },
    Setting {
        name: "budget-class-answers",
        value_name: "COUNT",
        text: "How many answers a day a key or an app may have about one class, by verification or in a list \
               of those who are found; 0 sets no limit",
        value: Whole(0..=BUDGET_MAX, |settings, count| {
            settings.service.budgets.of_class = budget(count);
        }),
        standard: Field(|settings| budget_text(settings.service.budgets.of_class)),
        verbs: SERVING,
    },
    Setting {
        name: "climb",
        value_name: "REACTION",
        text: "What is done when the probes of a key or an app come nearer and nearer to one class: nothing, \
               it is reported, answers come two seconds later, or none comes on that day",
        value: Text(Reaction::EXPECTED, |settings, text| {
            settings.service.budgets.climb = text.parse().ok()?;
            Some(())
        }),
        standard: Field(|settings| settings.service.budgets.climb.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "enroll-duplicates",
        value_name: "WHAT",
        text: "What is done at an enrolment or an import about somebody who seems to be enrolled under another \
               class: nothing, it is said, or the enrolment is refused; of what comes together each is \
               compared with those before it, too",
        value: Text(OnDuplicate::EXPECTED, |settings, text| {
            settings.service.duplicates.action = text.parse().ok()?;
            Some(())
        }),
        standard: Field(|settings| settings.service.duplicates.action.to_string()),
        verbs: RECOGNISING,
    },
    Setting {
        name: "enroll-duplicates-fpir",
        value_name: "RATE",
        text: "How often somebody new may be taken for somebody who is enrolled there, by what was measured \
               in the gallery; two who are less alike than the encoder demands of one person never are",
        value: Number(TARGET_FPIR, |settings, rate| {
            settings.service.duplicates.target_fpir = TargetRate::new(rate).unwrap_or_default();
        }),
        standard: Field(|settings| settings.service.duplicates.target_fpir.to_string()),
        verbs: RECOGNISING,
    },
    Setting {
        name: "enroll-duplicates-threshold",
        value_name: "COSINE",
        text: "From which similarity on two are one there, in place of the rate",
        value: Number(-1.0..=1.0, |settings, cosine| {
            settings.service.duplicates.threshold = Some(cosine);
        }),
        standard: Words("what the rate demands"),
        verbs: RECOGNISING,
    },
    Setting {
        name: "score-digits",
        value_name: "N",
        text: "The decimal digits of similarities and scores that keys without the scope `scores` are \
               told, and of the thresholds that they may ask for; more of them give more of a template away",
        value: Whole(1..=SCORE_DIGITS_MAX as usize, |settings, count| {
            settings.service.score_digits = count as u8;
        }),
        standard: Field(|settings| settings.service.score_digits.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "liveness.passive-score-min",
        value_name: "SCORE",
        text: "The least score of a single picture of a live person",
        value: Number(0.0..=1.0, |settings, score| {
            liveness(settings).passive_score_min = score;
        }),
        standard: Field(|settings| settings.service.liveness.passive_score_min.to_string()),
        verbs: DECIDING,
    },
    Setting {
        name: "liveness.active-score-min",
        value_name: "SCORE",
        text: "The least score of several pictures of a live person",
        value: Number(0.0..=1.0, |settings, score| {
            liveness(settings).active_score_min = score;
        }),
        standard: Field(|settings| settings.service.liveness.active_score_min.to_string()),
        verbs: DECIDING,
    },
    Setting {
        name: "liveness.similarity-min",
        value_name: "COSINE",
        text: "The least similarity between two samples of one person; it belongs to the embedder",
        value: Number(-1.0..=1.0, |settings, cosine| {
            liveness(settings).similarity_min = cosine;
        }),
        standard: Field(|settings| settings.service.liveness.similarity_min.to_string()),
        verbs: DECIDING,
    },
    Setting {
        name: "liveness.same-picture-correlation",
        value_name: "R",
        text: "The correlation from which on two samples are one picture",
        value: Number(0.5..=1.0, |settings, correlation| {
            liveness(settings).same_picture_correlation = correlation;
        }),
        standard: Field(|settings| {
            settings
                .service
                .liveness
                .same_picture_correlation
                .to_string()
        }),
        verbs: DECIDING,
    },
    Setting {
        name: "liveness.turn-degrees-min",
        value_name: "DEGREES",
        text: "The fewest degrees by which a head must have turned for there to be motion at all",
        value: Number(0.0..=45.0, |settings, degrees| {
            liveness(settings).turn_degrees_min = degrees;
        }),
        standard: Field(|settings| settings.service.liveness.turn_degrees_min.to_string()),
        verbs: DECIDING,
    },
    Setting {
        name: "liveness.movement-degrees-min",
        value_name: "DEGREES",
        text: "The fewest degrees by which a head must have turned where a challenge wants it",
        value: Number(0.0..=45.0, |settings, degrees| {
            liveness(settings).movement_degrees_min = degrees;
        }),
        standard: Field(|settings| settings.service.liveness.movement_degrees_min.to_string()),
        verbs: DECIDING,
    },
    Setting {
        name: "erase-within",
        value_name: "TIME",
        text: "Within which time what is stored of removed people is overwritten: half of it may pass \
               before the work begins",
        value: Text(
            "a number of minutes, hours or days, one or more, such as `5m`, `1h` or `7d`",
            |settings, text| {
                settings.erase_within = interval(text)?;
                Some(())
            },
        ),
        standard: Field(|settings| format!("{}m", settings.erase_within.as_secs() / 60)),
        verbs: SERVING,
    },
    Setting {
        name: "bws-delete-erases",
        value_name: "YES",
        text: "Whether `deleteclass` of the BWS Web API answers when what is stored is overwritten, which may \
               take minutes in large galleries",
        value: Switch(|settings, erases| settings.service.bws_delete_erases = erases),
        standard: Field(|settings| settings.service.bws_delete_erases.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "calibrate-background",
        value_name: "YES",
        text: "Whether the service measures by itself, as galleries grow, which threshold lets how many \
               strangers through",
        value: Switch(|settings, calibrate| settings.calibrate_background = calibrate),
        standard: Field(|settings| settings.calibrate_background.to_string()),
        verbs: SERVING,
    },
    Setting {
        name: "liveness.mirrored",
        value_name: "YES",
        text: "Whether pictures arrive as users see themselves on the preview, as the BWS browser module \
               sends them",
        value: Switch(|settings, mirrored| liveness(settings).mirrored = mirrored),
        standard: Field(|settings| settings.service.liveness.mirrored.to_string()),
        verbs: DECIDING,
    },
];

/// A time such as `90m`, `24h` or `7d`.
fn interval(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return None,
    };
    let number: u64 = number
        .parse()
        .ok()
        .filter(|it| (1..=100_000).contains(it))?;
    number
        .to_string()
        .eq(text.trim_end_matches(unit))
        .then_some(())?;
    Some(Duration::from_secs(number * minutes * 60))
}

fn connections(settings: &mut Settings) -> &mut ConnectionOptions {
    &mut settings.service.connections
}

fn liveness(settings: &mut Settings) -> &mut Thresholds {
    &mut settings.service.liveness
}

/// The rate of each partition; `None` if one is no rate, or a partition comes twice.
fn target_rates(entries: &[(&str, f64)]) -> Option<BTreeMap<PartitionId, TargetRate>> {
    let mut rates = BTreeMap::new();
    for (partition, rate) in entries {
        let is_rate = TARGET_FPIR.contains(rate);
        let rate = TargetRate::new(*rate).ok()?;
        let before = rates.insert(partition.parse().ok()?, rate);
        if !is_rate || before.is_some() {
            return None;
        }
    }
    Some(rates)
}

/// Paths of files, of which none is empty.
fn files(list: &[&str]) -> Option<Vec<PathBuf>> {
    let is_path = |text: &&str| !text.is_empty() && !text.contains('\0');
    let is_all = list.iter().all(is_path);
    is_all.then(|| list.iter().map(PathBuf::from).collect())
}

/// Some partitions, or `all` alone.
fn partitions(list: &[&str]) -> Option<Partitions> {
    if list == ["all"] {
        return Some(Partitions::All);
    }
    let some: Option<BTreeSet<PartitionId>> = list.iter().map(|id| id.parse().ok()).collect();
    some.map(Partitions::Only)
}

/// A limit, of which 0 is none.
fn budget(count: usize) -> Option<u64> {
    (count > 0).then(|| u64::try_from(count).unwrap_or(u64::MAX))
}

fn budget_text(budget: Option<u64>) -> String {
    budget.unwrap_or_default().to_string()
}

/// The similarity of each partition; `None` if one is no similarity, or a partition comes twice.
fn cosines(entries: &[(&str, f64)]) -> Option<BTreeMap<PartitionId, f64>> {
    let mut cosines = BTreeMap::new();
    for (partition, cosine) in entries {
        let is_cosine = (-1.0..=1.0).contains(cosine);
        let before = cosines.insert(partition.parse().ok()?, *cosine);
        if !is_cosine || before.is_some() {
            return None;
        }
    }
    Some(cosines)
}
