//! What a crash, a full disk and a broken disk leave behind.
//!
//! The workloads here run the real code on a disk that records (or fails) every call; after each
//! crash or failure the data directory is opened again and compared with what was acknowledged.

mod crash;
mod encrypted;
mod encrypting;
mod faults;
mod faulty;
mod files;
mod lost;
mod meanwhile;
mod older;
mod people;
mod portraits;
mod removal;
mod repair;
mod rotation;
mod upkeep;
mod workload;
