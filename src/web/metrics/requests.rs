//! Requests, counted when they are answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::Method;

use super::super::notes::Caller;
use crate::counts::{Histogram, HistogramRead};

/// More apps and keys than these are counted as one: whoever makes keys all the time must not make
/// the page grow without end.
const CALLERS_MAX: usize = 1_000;

/// The route of what is for none.
pub(super) const NO_ROUTE: &str = "none";

/// The caller of what nobody has proved to have sent.
const NOBODY: &str = "none";
/// The caller where there are too many.
const OTHERS: &str = "others";

/// All requests since the start.
#[derive(Debug, Default)]
pub(in crate::web) struct Requests(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    answered: BTreeMap<Answered, u64>,
    callers: BTreeSet<String>,
    routes: BTreeMap<String, OfRoute>,
    refusals: BTreeMap<&'static str, u64>,
    /// What became of what heads say of the client's address.
    forwarded: BTreeMap<&'static str, u64>,
    open: u64,
}

/// What answers are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Answered {
    pub(super) route: String,
    pub(super) method: &'static str,
    pub(super) status: u16,
    pub(super) caller: String,
}

#[derive(Debug)]
struct OfRoute {
    times: Histogram,
    left: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(in crate::web) struct End<'a> {
    pub(in crate::web) route: Option<&'a str>,
    pub(in crate::web) method: &'a Method,
    pub(in crate::web) caller: Option<Caller>,
    /// None if the client left before.
    pub(in crate::web) status: Option<u16>,
    pub(in crate::web) cause: Option<&'static str>,
    pub(in crate::web) taken: Duration,
    pub(in crate::web) bytes_in: u64,
    pub(in crate::web) bytes_out: u64,
}

/// What was counted by one moment.
#[derive(Debug, Default)]
pub(super) struct RequestsRead {
    pub(super) answered: Vec<(Answered, u64)>,
    pub(super) routes: Vec<RouteRead>,
    pub(super) refusals: Vec<(&'static str, u64)>,
    pub(super) forwarded: Vec<(&'static str, u64)>,
    pub(super) open: u64,
}

#[derive(Debug)]
pub(super) struct RouteRead {
    pub(super) route: String,
    pub(super) times: HistogramRead,
    pub(super) left: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl Requests {
    /// A request has come, with this said of its client's address, if anything.
    pub(in crate::web) fn begun(&self, forwarded: Option<&'static str>) {
        let mut counted = self.counted();
        counted.open += 1;
        if let Some(outcome) = forwarded {
            *counted.forwarded.entry(outcome).or_default() += 1;
        }
    }

    /// One that had come has ended.
    pub(in crate::web) fn ended(&self, end: &End<'_>) {
        let route = end.route.unwrap_or(NO_ROUTE);
        let mut counted = self.counted();
        counted.open -= 1;
        if let Some(cause) = end.cause {
            *counted.refusals.entry(cause).or_default() += 1;
        }
        if let Some(status) = end.status {
            let answered = Answered {
                route: route.to_owned(),
                method: name_of(end.method),
                status,
                caller: counted.name_of(end.caller.as_ref()),
            };
            *counted.answered.entry(answered).or_default() += 1;
        }
        if !counted.routes.contains_key(route) {
            counted.routes.insert(route.to_owned(), OfRoute::new());
        }
        if let Some(of_route) = counted.routes.get_mut(route) {
            of_route.end(end);
        }
    }

    pub(super) fn read(&self) -> RequestsRead {
        let counted = self.counted();
        let answered = counted.answered.iter();
        let routes = counted.routes.iter().map(|(route, of)| RouteRead {
            route: route.clone(),
            times: of.times.read(),
            left: of.left,
            bytes_in: of.bytes_in,
            bytes_out: of.bytes_out,
        });
        RequestsRead {
            answered: answered.map(|(by, count)| (by.clone(), *count)).collect(),
            routes: routes.collect(),
            refusals: counted
                .refusals
                .iter()
                .map(|(cause, n)| (*cause, *n))
                .collect(),
            forwarded: counted
                .forwarded
                .iter()
                .map(|(outcome, n)| (*outcome, *n))
                .collect(),
            open: counted.open,
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn name_of(&mut self, caller: Option<&Caller>) -> String {
        let Some(caller) = caller else {
            return NOBODY.to_owned();
        };
        let name = caller.to_string();
        if self.callers.contains(&name) {
            return name;
        }
        if self.callers.len() == CALLERS_MAX {
            return OTHERS.to_owned();
        }
        self.callers.insert(name.clone());
        name
    }
}

impl OfRoute {
    fn new() -> OfRoute {
        OfRoute {
            times: Histogram::of_times(),
            left: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    fn end(&mut self, end: &End<'_>) {
        match end.status {
            Some(_) => self.times.took(end.taken),
            None => self.left += 1,
        }
        self.bytes_in += end.bytes_in;
        self.bytes_out += end.bytes_out;
    }
}

/// Methods are words of clients, who may make any up.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(caller: Option<Caller>, method: &Method) -> End<'_> {
        End {
            route: None,
            method,
            caller,
            status: Some(404),
            cause: Some("not_found"),
            taken: Duration::ZERO,
            bytes_in: 1,
            bytes_out: 2,
        }
    }

    #[test]
    fn whatever_is_made_up_the_page_does_not_grow_without_end() {
        let requests = Requests::default();
        for number in 0..2 * CALLERS_MAX as u64 {
            let id = format!("{number:016x}").parse().unwrap();
            let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
            requests.begun(None);
            requests.ended(&end(Some(Caller::Key(id)), &method));
        }
        let read = requests.read();
        assert_eq!(read.answered.len(), CALLERS_MAX + 1);
        let others = read.answered.iter().find(|(by, _)| by.caller == OTHERS);
        assert_eq!(others.unwrap().1, CALLERS_MAX as u64);
        assert_eq!(read.refusals, [("not_found", 2 * CALLERS_MAX as u64)]);
        assert_eq!((read.open, read.routes.len()), (0, 1));
    }

    #[test]
    fn who_left_has_no_status() {
        let requests = Requests::default();
        requests.begun(None);
        assert_eq!(requests.read().open, 1);
        let mut left = end(None, &Method::GET);
        (left.status, left.cause) = (None, None);
        requests.ended(&left);
        let read = requests.read();
        assert!(read.answered.is_empty() && read.refusals.is_empty());
        assert_eq!((read.routes[0].left, read.routes[0].times.count), (1, 0));
    }
}
