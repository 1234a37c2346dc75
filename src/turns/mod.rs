//! Who is next? Work that waits, shared out fairly among those who sent it.
//!
//! [`Waiting`] keeps work in one line for each [`Account`], and gives out next what belongs to the
//! account that the least was spent on (start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM
//! 1996). So whoever sends a thousand pieces of work delays whoever sends a single piece by one
//! piece, not by a thousand. It also tells whose work is to be refused when there is too much of it.
//!
//! It knows neither what the work is nor what time it is, and has no threads: what it does follows
//! from the calls alone.

mod account;
mod waiting;

pub use account::Account;
pub use waiting::{Fit, Place, Waiting};
