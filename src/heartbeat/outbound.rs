//! The heartbeat over HTTP, for a service that raises the alarm when it stays away (a dead man's
//! switch): nobody else notices that the machine is off.
//!
//! The address is asked for while the daemon hears and commits, and not otherwise. Whatever becomes of
//! that, nothing of the daemon waits for it. The log speaks of it when it begins to fail and when it works
//! again, and never holds the address, which may be a secret.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::config::HeartbeatSettings;
use crate::health::Health;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a daemon that does not work looks whether it does.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a beat was not taken.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it cannot be reached: {}", causes(.0))]
    Unreachable(#[from] reqwest::Error),
    #[error("it answers {0}")]
    Answer(StatusCode),
}

/// Beats until it is dropped.
///
/// # Errors
/// When TLS cannot be set up.
pub fn beat(
    settings: &HeartbeatSettings,
    health: Arc<Health>,
) -> Result<impl Future<Output = ()> + Send + use<>, reqwest::Error> {
    let client = Client::builder()
        .tls_backend_preconfigured(settings.tls.as_ref().clone())
        .user_agent(concat!("nightrun/", env!("CARGO_PKG_VERSION")))
        .timeout(ANSWER_WITHIN)
        .redirect(Policy::none())
        // Each beat finds out anew whether the other end can be reached.
        .pool_max_idle_per_host(0)
        .build()?;
    let (url, every) = (settings.url.clone(), settings.every);
    Ok(async move {
        let mut failing = false;
        loop {
            if !health.report().is_well() {
                sleep(LOOK_EVERY).await;
                continue;
            }
            match ask(&client, url.clone()).await {
                Err(failed) if !failing => {
                    warn!(
                        "the heartbeat is not taken, and is tried again every {} s: {failed}; see \
                         heartbeat.url, the network, and IPAddressAllow of the service",
                        every.as_secs()
                    );
                    failing = true;
                }
                Ok(()) if failing => {
                    info!("the heartbeat is taken again");
                    failing = false;
                }
                Ok(()) | Err(_) => {}
            }
            sleep(every).await;
        }
    })
}

async fn ask(client: &Client, url: reqwest::Url) -> Result<(), Failed> {
    let answer = client.get(url).send().await.map_err(reqwest::Error::without_url)?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(Failed::Answer(status)),
    }
}

/// The last of the reasons: those before say only that it did not work.
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
