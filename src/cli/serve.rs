//! `nightrun serve`: the daemon, until it is told to stop.

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::config::{LogFormat, LogSettings, Settings};
use crate::daemon::Daemon;

/// Runs the daemon until SIGTERM or Ctrl-C.
///
/// # Errors
/// When it cannot start, or one of its tasks has died.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    start_logging(&settings.log);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut daemon = Daemon::start(settings).await?;
    tokio::select! {
        reason = daemon.cannot_go_on() => return Err(reason),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping");
    daemon.stop().await
}

/// Logs to standard error. Logs hold references and reasons, never names or payloads.
pub fn start_logging(settings: &LogSettings) {
    // The embedded broker reports each client that comes and goes, and each that is refused.
    let filter = format!(
        "warn,nightrun={},mqtt5=warn,mqtt5::broker::client_handler=error,\
         mqtt5::broker::server=error,rumqttc=error",
        settings.level
    );
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => subscriber.with_target(false).with_ansi(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
