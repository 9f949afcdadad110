//! `firedrill check-config`.

use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;

use super::{ConfigFile, say};
use crate::app;
use crate::http::web_config;

#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    #[command(flatten)]
    config: ConfigFile,
}

impl CheckConfig {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        if let Some(path) = &config.web.config_file {
            web_config::read(path)?;
        }
        app::notify::receivers(&config)?;
        let sources = app::sources(&config)?;
        ensure!(!sources.is_empty(), "the configuration names no source; add a [[vzdump]] or [[dump]] section");
        let from = self.config.path().map_or_else(|| "environment".to_owned(), |path| path.display().to_string());
        let mut text = format!("{from}: the configuration is fine\n");
        for it in &sources {
            let spec = it.source.spec();
            let roots: Vec<&str> = spec.roots.iter().map(|root| &*root.path).collect();
            text.push_str(&format!("  {} source {}: {}\n", spec.kind.as_str(), spec.name, roots.join(", ")));
        }
        say(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
