//! Reads the web config file again when it or a certificate changes, as the exporter toolkit does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::auth::Gate;
use super::web_config::{self, WebConfig};

/// How often the files are compared.
const EVERY: Duration = Duration::from_secs(10);

/// Watches the file for ever. What is wrong keeps the settings that work.
pub async fn run(path: PathBuf, read: WebConfig, tls: watch::Sender<Option<Arc<ServerConfig>>>, gate: Arc<Gate>) {
    let mut files = read.files;
    let mut known = times(&path, &files).await;
    loop {
        tokio::time::sleep(EVERY).await;
        let now = times(&path, &files).await;
        if now == known {
            continue;
        }
        known = now;
        let file = path.clone();
        match tokio::task::spawn_blocking(move || web_config::read(&file)).await {
            Ok(Ok(config)) if opens_the_door(&tls, &gate, &config) => {
                tracing::error!(file = %path.display(), "the web config now lacks TLS or users that it had; they stay in force until a restart");
            }
            Ok(Ok(config)) => {
                tracing::info!(file = %path.display(), "the web config changed and is in force for new connections");
                files = config.files;
                known = times(&path, &files).await;
                tls.send_replace(config.tls);
                gate.set_users(config.users);
            }
            Ok(Err(error)) => {
                tracing::error!("the web config changed and is wrong; the old one stays in force: {error:#}")
            }
            Err(defect) => std::panic::resume_unwind(defect.into_panic()),
        }
    }
}

/// A file that is being written may be half there; what protects is never switched off by it.
fn opens_the_door(tls: &watch::Sender<Option<Arc<ServerConfig>>>, gate: &Gate, new: &WebConfig) -> bool {
    (tls.borrow().is_some() && new.tls.is_none()) || (!gate.is_open() && new.users.is_empty())
}

async fn times(path: &Path, files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    let all: Vec<PathBuf> = std::iter::once(path.to_owned()).chain(files.iter().cloned()).collect();
    let stat = |path: &PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    tokio::task::spawn_blocking(move || all.iter().map(stat).collect()).await.unwrap_or_default()
}
