//! The integration tests: one binary, linked once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[cfg(all(feature = "web", target_os = "linux"))]
mod administration;
#[cfg(feature = "web")]
mod bombs;
#[cfg(feature = "web")]
mod bws;
mod calibration;
mod causes;
#[cfg(feature = "web")]
mod cli;
#[cfg(feature = "web")]
mod cli_api_keys;
#[cfg(feature = "web")]
mod cli_bad_files;
#[cfg(feature = "web")]
mod cli_batch;
#[cfg(feature = "web")]
mod cli_bench;
#[cfg(feature = "web")]
mod cli_calibrate;
#[cfg(feature = "web")]
mod cli_data_directory;
#[cfg(feature = "web")]
mod cli_doctor;
#[cfg(feature = "web")]
mod cli_duplicates;
#[cfg(feature = "web")]
mod cli_encryption;
#[cfg(feature = "web")]
mod cli_evaluate;
#[cfg(feature = "web")]
mod cli_exchange;
#[cfg(feature = "web")]
mod cli_faces;
#[cfg(feature = "web")]
mod cli_folders;
#[cfg(feature = "web")]
mod cli_help;
#[cfg(feature = "web")]
mod cli_import_duplicates;
#[cfg(feature = "web")]
mod cli_inspect;
#[cfg(feature = "web")]
mod cli_key_rotate;
#[cfg(feature = "web")]
mod cli_load;
#[cfg(all(feature = "web", unix))]
mod cli_log;
#[cfg(feature = "web")]
mod cli_people;
#[cfg(feature = "web")]
mod cli_probes;
#[cfg(feature = "web")]
mod cli_settings;
#[cfg(feature = "web")]
mod cli_snapshot;
#[cfg(feature = "web")]
mod cli_upkeep;
#[cfg(feature = "web")]
mod connections;
mod damage;
mod documents;
mod duplicates;
#[cfg(feature = "face")]
mod everybody;
mod exchange;
#[cfg(feature = "face")]
mod face;
mod format;
#[cfg(all(feature = "web", target_os = "linux"))]
mod full_disk;
#[cfg(feature = "web")]
mod harness;
mod import_duplicates;
#[cfg(feature = "web")]
mod kills;
#[cfg(feature = "web")]
mod kills_of_keys;
mod layers;
#[cfg(feature = "face")]
mod liveness;
mod more_pictures;
mod naive;
#[cfg(feature = "web")]
mod native;
#[cfg(feature = "web")]
mod operated;
#[cfg(feature = "web")]
mod packaging;
#[cfg(feature = "web")]
mod packed;
#[cfg(feature = "web")]
mod page;
#[cfg(feature = "web")]
mod quality;
mod search;
#[cfg(feature = "web")]
mod soak;
mod storage_model;
