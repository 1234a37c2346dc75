//! The native API from outside: requests go into the router, with a data directory of their own and
//! the real networks.

mod bodies;
mod budgets;
mod calls;
mod decisions;
mod description;
mod disclosure;
mod duplicates;
mod erasing;
mod faces;
mod identify_many;
mod keys;
mod lists;
mod one_person;
mod people;
mod portraits;
mod rates;
mod snapshots;
mod strict;
