//! `vultus serve`

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;

use super::exit::Exit;
use super::{open, output};
use crate::access::ServerKey;
use crate::config::Settings;
use crate::engine::Engine;
use crate::face::FacePipeline;
use crate::liveness::LivenessDetector;
use crate::partition::{Maintenance, MaintenanceOptions};
use crate::types::Clock;
use crate::web::{self, AppState, Origins};

pub(super) fn run(settings: &Settings) -> anyhow::Result<Exit> {
    let engine = Arc::new(open::engine(settings)?);
    let faces = Arc::new(open::faces(settings)?);
    // Until the service has stopped.
    let _maintenance = Maintenance::start(engine.store(), &MaintenanceOptions::default())
        .context("starting to keep galleries in order")?;
    let runtime = tokio::runtime::Runtime::new().context("starting the service")?;
    runtime.block_on(async {
        let listener = bind(settings.listen).await?;
        let address = listener.local_addr().context("asking for the address")?;
        let state = state(settings, engine, faces, address)?;
        output::json_line(&serde_json::json!({ "listening": format!("http://{address}") }))?;
        tracing::info!(%address, data_dir = %settings.data_dir.display(), "serving");
        web::serve(listener, state, stop_signal())
            .await
            .context("serving")?;
        tracing::info!("stopped");
        Ok(Exit::Success)
    })
}

pub(super) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// The service that the settings ask for, reached at `address` unless they say otherwise.
pub(super) fn state(
    settings: &Settings,
    engine: Arc<Engine>,
    faces: Arc<FacePipeline>,
    address: SocketAddr,
) -> anyhow::Result<AppState> {
    let key = ServerKey::open_or_create(engine.store().directory(), &mut rand::rng())?;
    let public_url = settings
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{address}"));
    let origins = match &settings.cors_origins {
        Some(origins) => Origins::only(origins.iter().map(String::as_str))?,
        None => Origins::Any,
    };
    let options = web::ServiceOptions {
        body_bytes_max: settings.body_bytes_max,
        workers: settings.workers,
        origins,
        snapshot_dir: settings.snapshot_dir.clone(),
        verification: web::VerificationSettings {
            threshold: settings.verification_threshold,
            partitions: settings.verification_thresholds.clone(),
        },
        liveness: settings.liveness,
        ..web::ServiceOptions::new(&public_url)
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
