//! The BWS Web API from outside: requests go into the router, with a data directory of their own
//! and the real networks.

mod bad_input;
mod clients;
mod facts;
mod failures;
mod hostile;
mod keys;
mod life_cycle;
mod live;
mod races;
mod socket;
mod wire;
mod xml;
