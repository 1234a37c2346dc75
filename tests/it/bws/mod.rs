//! The BWS Web API from outside: requests go into the router, with a data directory of their own
//! and the real networks.

mod app;
mod bad_input;
mod clients;
mod facts;
mod failures;
mod hostile;
mod keys;
mod life_cycle;
mod live;
mod photo;
mod quality;
mod races;
mod result;
mod rules;
mod socket;
mod tokens;
mod verify;
mod wire;
mod xml;
