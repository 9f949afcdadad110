//! `firedrill check-config`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;

use super::{ConfigFile, say};
use crate::adapters::hook;
use crate::app;
use crate::config::Config;
use crate::domain::automation::action::Kind;
use crate::domain::printable::shown;
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
        config.store.url()?;
        config.automation.alertmanager_token()?;
        let sources = app::sources(&config)?;
        ensure!(!sources.is_empty(), "the configuration names no source; add a [[vzdump]] or [[dump]] section");
        let from = self.config.path().map_or_else(|| "environment".to_owned(), |path| path.display().to_string());
        let mut text = format!("{from}: the configuration is fine\n");
        for it in &sources {
            let spec = it.source.spec();
            let roots: Vec<&str> = spec.places.iter().map(|root| &*root.path).collect();
            text.push_str(&format!("  {} source {}: {}\n", spec.kind.as_str(), spec.name, roots.join(", ")));
        }
        let refused = hooks(&config, &mut text);
        say(&text)?;
        ensure!(refused.is_empty(), "hooks that would not be run:\n  {}", refused.join("\n  "));
        Ok(ExitCode::SUCCESS)
    }
}

/// What is to be said of the places of hooks; those that would not be run.
fn hooks(config: &Config, text: &mut String) -> Vec<String> {
    let mut refused = Vec::new();
    for rule in config.automation.rules.iter().filter(|rule| rule.action == Kind::Hook) {
        let Some(program) = rule.command.first() else { continue };
        let place = hook::inspect(program);
        let doubts = place.doubts.iter().map(|doubt| format!("  rule {}: {}\n", shown(&rule.name), shown(doubt)));
        text.extend(doubts);
        match place.refused {
            // It may be that it is checked here and run elsewhere.
            Some(reason) if !Path::new(&**program).exists() => {
                text.push_str(&format!("  rule {}: {}\n", shown(&rule.name), shown(&reason)));
            }
            Some(reason) => refused.push(format!("rule {}: {}", shown(&rule.name), shown(&reason))),
            None => {}
        }
    }
    refused
}
