//! One request that is traced.

use std::time::{Instant, SystemTime};

use axum::extract::Request;
use rand::RngExt;
use tower_http::request_id::RequestId;

use super::TraceEnd;
use super::context::Parent;
use super::otlp::{Kind, Span};
use super::sender::Traces;
use crate::counts::Stages;

/// What is traced of a request, if it is.
#[derive(Debug)]
pub(in crate::web) struct Trace(Option<Box<Begun>>);

#[derive(Debug)]
struct Begun {
    traces: Traces,
    trace: [u8; 16],
    span: [u8; 8],
    parent: Option<[u8; 8]>,
    began: SystemTime,
    since: Instant,
    request_id: String,
    stages: Stages,
}

impl Traces {
    /// Begins to trace a request. Not where nobody is told, nor one whose caller traces it and does not keep
    /// it.
    pub(in crate::web) fn begin(&self, request: &Request) -> Trace {
        let parent = Parent::of(request.headers());
        if self.is_off() || parent.is_some_and(|parent| !parent.is_sampled) {
            return Trace(None);
        }
        let id = request.extensions().get::<RequestId>();
        let id = id.and_then(|id| id.header_value().to_str().ok());
        Trace(Some(Box::new(Begun {
            traces: self.clone(),
            trace: parent.map_or_else(|| rand::rng().random(), |parent| parent.trace),
            span: rand::rng().random(),
            parent: parent.map(|parent| parent.span),
            began: SystemTime::now(),
            since: Instant::now(),
            request_id: id.unwrap_or_default().to_owned(),
            stages: Stages::kept(),
        })))
    }
}

impl Trace {
    /// Where the steps of the request are kept.
    pub(in crate::web) fn stages(&self) -> Stages {
        let stages = self.0.as_ref().map(|begun| begun.stages.clone());
        stages.unwrap_or_default()
    }

    /// The request is over. Tells of it once.
    pub(in crate::web) fn end(&mut self, end: &TraceEnd<'_>) {
        if let Some(begun) = self.0.take() {
            let spans = begun.spans(end);
            begun.traces.send(spans);
        }
    }
}

impl Begun {
    /// The request, and its steps.
    fn spans(&self, end: &TraceEnd<'_>) -> Vec<Span> {
        let at = |moment: Instant| self.began + moment.saturating_duration_since(self.since);
        let route = end.route.unwrap_or("none");
        let whole = Span {
            trace: self.trace,
            span: self.span,
            parent: self.parent,
            name: format!("{} {route}", end.method).into(),
            kind: Kind::Server {
                method: end.method.to_string(),
                route: end.route.map(str::to_owned),
                status: end.status,
                request_id: self.request_id.clone(),
            },
            began: self.began,
            ended: at(Instant::now()),
        };
        let steps = self.stages.take().into_iter().map(|stage| Span {
            trace: self.trace,
            span: rand::rng().random(),
            parent: Some(self.span),
            name: stage.name.into(),
            kind: Kind::Internal,
            began: at(stage.began),
            ended: at(stage.ended),
        });
        [whole].into_iter().chain(steps).collect()
    }
}
