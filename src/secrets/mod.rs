//! Keys: what is sealed with which, so that only who has the master key can read it.
//!
//! ```text
//! MasterKey      from outside; seals the key file of a data directory, and nothing else
//! KeyRing        the keys in that file: one for the directory, one for each gallery
//! DataKey        seals nothing itself: keys of files are made of it
//! BlockCipher    seals one file that is written once, block by block
//! PageCipher     seals one file whose pages are written again and again
//! ```
//!
//! The cipher is AES-256-GCM, and keys are made of keys by HKDF-SHA-256 (RFC 5869), both by `ring`. A
//! nonce of GCM must never come twice under one key: whoever sees two such messages learns the
//! difference of their contents and can forge others (NIST SP 800-38D, section 8). So:
//!
//! * *Files that are written once* (segments, key files) have a random salt of 128 bits in their
//!   header, and a key that is made of a data key and that salt for this file alone. The nonce is
//!   the number of the block, and [`BlockCipher`] is given each number once. Two files would have to
//!   draw the same salt: with 2^32 files that happens with a chance of 2^-65.
//! * *Pages that are written again* (the catalog) get a key for each time that the file is opened
//!   to be written, made of the key of the file and a random session number of 96 bits, and the nonce
//!   is a counter of 32 bits, which begins another session when it is used up. No counter has to
//!   survive a crash. With 2^24 sessions of one file two are alike with a chance of 2^-49.
//!
//! What a block is associated with (which file, which number, which version) is authenticated with
//! it, so that no block takes another's place.
//!
//! Everything here works on bytes and knows no file. Keys have no `Debug`, or one that says nothing,
//! and their bytes are wiped when they are dropped. `ring` keeps expanded keys of its own, which it
//! does not wipe: they go with the process. Random numbers are the system's, and no argument as
//! elsewhere below `web`: a key that a caller could choose is not one.

mod blocks;
mod derive;
mod error;
mod keys;
mod master;
mod pages;
mod ring_file;

pub use self::blocks::{BlockCipher, TAG_BYTES, Tag};
pub use self::error::{Forged, KeyError};
pub use self::keys::{DataKey, SALT_BYTES, Salt, new_salt};
pub use self::master::MasterKey;
pub use self::pages::{PAGE_SEAL_BYTES, PageCipher, PageSeal};
pub use self::ring_file::KeyRing;
