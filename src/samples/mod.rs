//! Where uploaded samples wait for the task that uses them.
//!
//! Every token has its own samples. The task call takes them all, exactly once, whatever comes of
//! it, and what nobody takes goes when the token expires. Samples are biometric data that need not
//! survive a restart, so they are only ever held in memory, and only so many of them, which apps
//! share. Time comes in as an argument; `Debug` shows counts.

mod waiting_room;

pub use waiting_room::{Limits, Owner, Presence, SampleError, UploadedSample, WaitingRoom};
