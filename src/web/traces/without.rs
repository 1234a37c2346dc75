//! Nothing, in a program that was built without the feature `opentelemetry`.

use axum::extract::Request;

use super::TraceEnd;
use crate::counts::Stages;

/// No traces.
#[derive(Clone, Debug, Default)]
pub struct Traces(());

/// No trace.
#[derive(Debug)]
pub(in crate::web) struct Trace;

impl Traces {
    pub(in crate::web) fn begin(&self, _: &Request) -> Trace {
        Trace
    }

    pub(in crate::web) fn dropped(&self) -> u64 {
        0
    }
}

impl Trace {
    pub(in crate::web) fn stages(&self) -> Stages {
        Stages::default()
    }

    pub(in crate::web) fn end(&mut self, end: &TraceEnd<'_>) {
        let TraceEnd {
            route,
            method,
            status,
        } = end;
        let _nobody_is_told = (route, method, status);
    }
}
