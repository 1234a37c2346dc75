//! Spans on their way to a collector that may be slow or gone, from requests that must not wait.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::OtlpEndpoint;
use super::otlp::{self, Span};
use crate::counts::Count;

/// So many requests wait to be told of. Others are dropped.
const WAITING_MAX: usize = 2_048;
/// So many spans are sent together at the most, and none later than after this time.
const SPANS_TOGETHER: usize = 512;
const SENT_WITHIN: Duration = Duration::from_secs(1);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end of the program waits for what is not sent yet.
const FINISH_PATIENCE: Duration = Duration::from_secs(1);

/// Traces of a service. Clones share what they are sent with. Of the default one nobody is told.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    queue: SyncSender<Message>,
    dropped: Count,
}

#[derive(Debug)]
enum Message {
    Spans(Vec<Span>),
    /// To send what there is, and say so.
    Finish(SyncSender<()>),
}

impl Traces {
    /// Tells the collector at `endpoint` from now on, on a thread of its own.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(endpoint: &OtlpEndpoint) -> io::Result<Traces> {
        let (queue, messages) = sync_channel(WAITING_MAX);
        let shared = Arc::new(Shared {
            queue,
            dropped: Count::new(),
        });
        let mut sender = Sender {
            url: endpoint.traces(),
            agent: agent(),
            shared: Arc::downgrade(&shared),
            is_lost: false,
        };
        let thread = thread::Builder::new().name("traces".to_owned());
        thread.spawn(move || sender.send_for_ever(&messages))?;
        Ok(Traces(Some(shared)))
    }

    /// Waits a moment until what was told is sent. The last thing that a service does.
    pub fn finish(&self) {
        if let Some(shared) = &self.0 {
            let (done, is_done) = sync_channel(1);
            // Who is a queue behind is not waited for.
            if shared.queue.try_send(Message::Finish(done)).is_ok() {
                let _in_time = is_done.recv_timeout(FINISH_PATIENCE);
            }
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// How many spans no collector took.
    pub(in crate::web) fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.dropped.get())
    }

    /// Hands spans over, or drops them: never waits.
    pub(super) fn send(&self, spans: Vec<Span>) {
        let Some(shared) = &self.0 else { return };
        let sent = shared.queue.try_send(Message::Spans(spans));
        if let Err(TrySendError::Full(unsent) | TrySendError::Disconnected(unsent)) = sent
            && let Message::Spans(spans) = unsent
        {
            shared.dropped.add(spans.len() as u64);
        }
    }
}

/// The thread that talks to the collector.
struct Sender {
    url: String,
    agent: ureq::Agent,
    shared: std::sync::Weak<Shared>,
    /// Whether the collector did not take what it was sent last.
    is_lost: bool,
}

impl Sender {
    fn send_for_ever(&mut self, messages: &Receiver<Message>) {
        let mut spans: Vec<Span> = Vec::new();
        let mut first = Instant::now();
        loop {
            let left = match spans.is_empty() {
                true => Duration::MAX,
                false => SENT_WITHIN.saturating_sub(first.elapsed()),
            };
            let mut finished = None;
            match messages.recv_timeout(left) {
                Ok(Message::Spans(more)) => {
                    if spans.is_empty() {
                        first = Instant::now();
                    }
                    spans.extend(more);
                    if spans.len() < SPANS_TOGETHER {
                        continue;
                    }
                }
                Ok(Message::Finish(done)) => finished = Some(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.send(&std::mem::take(&mut spans));
            if let Some(done) = finished {
                let _waits = done.try_send(());
            }
        }
    }

    fn send(&mut self, spans: &[Span]) {
        if spans.is_empty() {
            return;
        }
        let request = self.agent.post(&self.url);
        let request = request.header("Content-Type", "application/json");
        let failed = match request.send(&otlp::body(spans)[..]) {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        if failed.is_some()
            && let Some(shared) = self.shared.upgrade()
        {
            shared.dropped.add(spans.len() as u64);
        }
        // Once each time: a collector may be gone for days.
        match (&failed, self.is_lost) {
            (Some(error), false) => {
                let url = &self.url;
                tracing::warn!(
                    url,
                    error,
                    "the collector does not take traces: they are dropped and counted"
                );
            }
            (None, true) => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        self.is_lost = failed.is_some();
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        // Not through a proxy that the environment names: the collector is near.
        .proxy(None)
        .build();
    config.into()
}
