//! `vultus serve`

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::{TcpListener, lookup_host};

use super::admin::{Administration, Context};
use super::args::Serve;
use super::exit::Exit;
use super::{audit, browser, log, open, output, reload, signals};
use crate::access::ServerKey;
use crate::config::{ListenAddress, Read, Settings};
use crate::engine::{Calibrating, Engine};
use crate::face::FacePipeline;
use crate::liveness::LivenessDetector;
use crate::partition::{Maintenance, MaintenanceOptions};
use crate::search::Pool;
use crate::types::Clock;
use crate::web::{self, AppState, Certificates};

/// Threads for what the service does by itself: snapshots, sweeping, names of hosts.
const SPARE_THREADS: usize = 8;

pub(super) fn run(
    verb: &Serve,
    settings: &Settings,
    reread: impl Fn() -> anyhow::Result<Read> + Send + 'static,
) -> anyhow::Result<Exit> {
    if let Some(problem) = settings.problem_of_service() {
        anyhow::bail!("{problem}");
    }
    // It has a runtime of its own, which must not end within another one.
    let mut hangups = Some(signals::hold_hangups()?);
    // First: an error is told before anything else is.
    let certificates = open::certificates(settings)?;
    let engine = Arc::new(open::engine_patiently(settings)?);
    engine.pool().give_way();
    anyhow::ensure!(
        !settings.encrypts_new || engine.store().is_encrypted(),
        "encryption is on, but the data directory `{}` is not encrypted: `vultus gallery encrypt` encrypts it, \
         and if it was encrypted before, somebody has put another one in its place",
        settings.data_dir.display()
    );
    open::check_portraits(settings, &engine)?;
    open::warn_of_portraits(settings, &engine)?;
    raise_limit();
    open::warn_of_readers(settings);
    open::warn_of_plain(&engine)?;
    // The log and `/v1/status` tell of galleries that cannot be opened; the others are served.
    engine
        .store()
        .look_over()
        .context("looking over the galleries")?;
    let faces = Arc::new(open::faces(settings)?);
    // Until the service has stopped.
    let maintenance = MaintenanceOptions {
        erase_within: settings.erase_within,
        ..MaintenanceOptions::default()
    };
    let _maintenance = Maintenance::start(engine.store(), &maintenance)
        .context("starting to keep galleries in order")?;
    let calibrating = settings
        .calibrate_background
        .then(|| Calibrating::start(&engine));
    let _calibrating = calibrating
        .transpose()
        .context("starting to calibrate galleries")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(settings.service.threads_max() + SPARE_THREADS)
        .build()
        .context("starting the service")?;
    runtime.block_on(async {
        let listener = bind(&settings.listen).await?;
        let address = listener.local_addr().context("asking for the address")?;
        let metrics = Metrics::bind(settings, address).await?;
        let url = url(settings, address);
        warn_of_url(settings, address, &url);
        let settings = with_certificates(settings, certificates);
        let state = state(&settings, engine, faces, address)?;
        state.count_dropped_lines(log::dropped_lines);
        audit::begin(&settings, &state)?;
        if let Some(traces) = traces(&settings)? {
            state.trace(traces);
        }
        let audited = state.clone();
        let connections = &settings.service.connections;
        let stop_wait = connections.stop_delay + connections.stop_wait;
        let (reloaded, before) = (state.clone(), settings.clone());
        let hangups = hangups.take().context("signals are watched once")?;
        let stop = signals::watch(hangups, stop_wait, move || {
            reload::reload(&reloaded, &before, &reread);
        })?;
        // Before it is told: who is told may give a command at once. Until the service has stopped.
        let _administration = Administration::start(administered(&settings, &state)?);
        let mut ready = serde_json::json!({ "listening": url });
        if let Some(metrics) = &metrics {
            ready["metrics"] = format!("http://{}/metrics", metrics.address).into();
            tracing::info!(address = %metrics.address, "telling metrics");
        }
        if let Err(error) = output::json_line(&ready) {
            // Whoever gave it no stdout wants a service all the same.
            tracing::warn!(%error, "cannot say on stdout that it listens");
        }
        tracing::info!(%address, data_dir = %settings.data_dir.display(), "serving");
        if verb.open
            && let Err(error) = browser::let_in(&settings, &state, address)
        {
            tracing::warn!(
                error = &*error as &dyn std::error::Error,
                "cannot open the page"
            );
        }
        // Whoever listens for signals never goes before it has told.
        let stop = async { drop(stop.await) };
        let told = Metrics::tell(metrics, state.clone());
        tokio::select! {
            served = web::serve(listener, state, stop) => served.context("serving")?,
            () = told => {}
        }
        audited.end_audit();
        #[cfg(feature = "opentelemetry")]
        audited.traces().finish();
        tracing::info!("stopped");
        Ok(Exit::Success)
    })
}

fn with_certificates(settings: &Settings, certificates: Option<Certificates>) -> Settings {
    let mut settings = settings.clone();
    settings.service.connections.certificates = certificates;
    settings
}

/// The URL of the service on this machine.
fn url(settings: &Settings, address: SocketAddr) -> String {
    let scheme = match settings.tls_certificate {
        Some(_) => "https",
        None => "http",
    };
    format!("{scheme}://{address}")
}

/// Where metrics are told.
struct Metrics {
    listener: TcpListener,
    address: SocketAddr,
}

impl Metrics {
    /// Listens where the settings say, beside the service, which listens on `service`.
    async fn bind(settings: &Settings, service: SocketAddr) -> anyhow::Result<Option<Metrics>> {
        let Some(listen) = &settings.metrics_listen else {
            return Ok(None);
        };
        let is_of_service = listen.as_str().ends_with(&format!(":{}", service.port()));
        let listener = bind(listen).await.with_context(|| match is_of_service {
            true => format!("`metrics-listen` must not be the port of the service, {service}"),
            false => "`metrics-listen`".to_owned(),
        })?;
        let address = listener.local_addr().context("asking for the address")?;
        Ok(Some(Metrics { listener, address }))
    }

    /// Tells them, if that is wanted, for ever.
    async fn tell(metrics: Option<Metrics>, state: AppState) {
        match metrics {
            Some(Metrics { listener, .. }) => {
                web::serve_metrics(listener, state).await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Who is told what requests take, if anybody is: by the setting, or by the variable that all programs
/// with OpenTelemetry know.
#[cfg(feature = "opentelemetry")]
fn traces(settings: &Settings) -> anyhow::Result<Option<web::Traces>> {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let named = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let endpoint = match (&settings.otlp_endpoint, named) {
        (Some(endpoint), _) => endpoint.clone(),
        (None, Some(text)) => text
            .parse()
            .with_context(|| format!("the variable `{VARIABLE}`"))?,
        (None, None) => return Ok(None),
    };
    tracing::info!(%endpoint, "telling a collector what requests take");
    let traces = web::Traces::start(&endpoint).context("starting to tell of requests")?;
    Ok(Some(traces))
}

#[cfg(not(feature = "opentelemetry"))]
fn traces(settings: &Settings) -> anyhow::Result<Option<web::Traces>> {
    anyhow::ensure!(
        settings.otlp_endpoint.is_none(),
        "`otlp-endpoint` is set, and this program was built without the feature `opentelemetry`"
    );
    Ok(None)
}

/// What commands work with: the same data directory, and threads of their own, which no search waits
/// for.
fn administered(settings: &Settings, state: &AppState) -> anyhow::Result<Context> {
    let store = state.engine().store().clone();
    let threads = settings.threads.div_ceil(2);
    Ok(Context {
        engine: Engine::new(store, Pool::new(threads)).with_kernel(settings.kernel()?),
        key: state.server_key().clone(),
        service: Some(state.clone()),
    })
}

/// Lets there be as many connections as the system allows: the usual soft limit of 1,024 is meant
/// for programs that cannot handle more.
fn raise_limit() {
    let count =
        |limit: Option<u64>| limit.map_or("any number".to_owned(), |limit| limit.to_string());
    match web::raise_descriptor_limit() {
        Ok(limit) => {
            let (before, now) = (count(limit.before), count(limit.now));
            tracing::info!(before, now, "raised the limit of descriptors");
        }
        Err(error) => tracing::warn!(%error, "cannot raise the limit of descriptors"),
    }
}

/// Listens on the first address of the host that can be listened on; those of IPv4 come first,
/// since `localhost` stands for `127.0.0.1` to most clients.
pub(super) async fn bind(listen: &ListenAddress) -> anyhow::Result<TcpListener> {
    let listening = async {
        let mut addresses: Vec<SocketAddr> = lookup_host(listen.as_str()).await?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        TcpListener::bind(&*addresses).await
    };
    listening
        .await
        .with_context(|| format!("cannot listen on {listen}"))
}

/// Clients elsewhere reach the service under another URL than the one that it would put into
/// tokens.
fn warn_of_url(settings: &Settings, address: SocketAddr, url: &str) {
    if settings.public_url.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            "tokens will say that clients reach the service under {url}: \
             set `public-url` if they reach it under another URL"
        );
    }
}

/// The service that the settings ask for, reached at `address` unless they say otherwise.
pub(super) fn state(
    settings: &Settings,
    engine: Arc<Engine>,
    faces: Arc<FacePipeline>,
    address: SocketAddr,
) -> anyhow::Result<AppState> {
    let key = ServerKey::of_store(engine.store(), &mut rand::rng())?;
    let public_url = match &settings.public_url {
        Some(url) => url.as_str().to_owned(),
        None => url(settings, address),
    };
    let options = web::ServiceOptions {
        public_url,
        ..settings.service.clone()
    };
    let liveness = LivenessDetector::new(1).context("loading the networks for liveness")?;
    Ok(AppState::new(
        engine,
        faces,
        Arc::new(liveness),
        &key,
        options,
        Clock::System,
    ))
}

/// Completes on Ctrl-C, and on SIGTERM where there is one.
pub(super) async fn stop_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the default holds: the process ends at once.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
