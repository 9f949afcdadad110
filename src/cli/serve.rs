//! `firedrill serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigFile, logging, say};
use crate::adapters::machine::clock::SystemClock;
use crate::app::{self, App};
use crate::config::Config;
use crate::config::logging::{LogFormat, LogLevel};
use crate::config::web::ListenAddress;
use crate::demo;
use crate::engine::ports::Clock as _;

/// After so many steps of tasks a thread looks for what came in from outside. The default of 61 is a tenth of a second
/// when each step writes an answer, and a scrape comes in three times: its connection, its request, its end.
const LOOKS_OUTSIDE_AFTER: u32 = 5;

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Address and port to listen on [default: 0.0.0.0:10042; with --demo 127.0.0.1:10042]
    #[arg(long = "web.listen-address", value_name = "ADDRESS:PORT")]
    listen_address: Option<ListenAddress>,
    /// TLS and basic auth, in the format of the Prometheus exporter toolkit
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
    /// Least important messages that are logged [default: info]
    #[arg(long = "log.level", value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// How log messages look [default: logfmt]
    #[arg(long = "log.format", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Write a demo estate (two nodes, their archives and troubles, three databases, what the API of the cluster, an ESXi host and the containers of a monitoring stack tell) and watch that instead of a
    /// configuration; of one that is named the s3 sections are watched beside it. Without DIRECTORY it lies in the
    /// temporary directory
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1)]
    demo: Option<Option<PathBuf>>,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (config, estate) = match &self.demo {
            None => (self.config.load()?, None),
            Some(directory) => {
                let directory = demo_directory(directory.as_deref())?;
                let mut config = demo::write(&directory, SystemClock.now())?;
                if self.config.is_named() {
                    config.s3 = beside_demo(self.config.load()?)?;
                }
                (config, Some(directory))
            }
        };
        let config = self.with_flags(config);
        logging::start(config.log);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .event_interval(LOOKS_OUTSIDE_AFTER)
            .build()
            .context("starting the runtime")?;
        let result = runtime.block_on(serve(&config, estate));
        // A scan may hang on a dead share; nothing waits for it.
        runtime.shutdown_background();
        result.map(|()| ExitCode::SUCCESS)
    }

    fn with_flags(&self, mut config: Config) -> Config {
        if let Some(address) = &self.listen_address {
            config.web.listen_address = address.clone();
        }
        if let Some(path) = &self.web_config_file {
            config.web.config_file = Some(path.clone());
        }
        config.log.level = self.log_level.unwrap_or(config.log.level);
        config.log.format = self.log_format.unwrap_or(config.log.format);
        config
    }
}

fn demo_directory(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    match named {
        Some(path) => std::path::absolute(path).with_context(|| format!("{} is no path", path.display())),
        None => Ok(std::env::temp_dir().join(format!("firedrill-demo-{}", rustix::process::getuid().as_raw()))),
    }
}

/// What of a configuration is watched beside the demo estate.
fn beside_demo(config: Config) -> anyhow::Result<Vec<crate::config::s3::S3>> {
    anyhow::ensure!(
        config.vzdump.is_empty() && config.dump.is_empty(),
        "beside the demo estate only [[s3]] sections are watched: leave --demo out to watch [[vzdump]] and [[dump]]"
    );
    Ok(config.s3)
}

async fn serve(config: &Config, estate: Option<PathBuf>) -> anyhow::Result<()> {
    let app = App::build(config, app::sources(config)?, Arc::new(SystemClock)).await?;
    let address = app.address()?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    if let Some(directory) = estate {
        say(&welcome(app.scheme(), address, &directory))?;
        tokio::spawn(demo::keep_running(directory));
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    app.run(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
    .await
}

fn welcome(scheme: &str, address: SocketAddr, directory: &Path) -> String {
    let base = format!("{scheme}://{address}");
    let place = directory.display();
    format!(
        "The demo estate lies in {place}.\n\n  overview   {base}/\n  metrics    {base}/metrics\n  health     {base}/health\n\n\
         The same as a table:\n  firedrill scan {} --guests-dir {} --time-zone {}\nCtrl-C stops.\n",
        demo::vzdump_roots(directory).map(|root| root.display().to_string()).join(" "),
        demo::guests_dir(directory).display(),
        demo::ZONE,
    )
}
