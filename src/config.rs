//! The configuration: one TOML file, then `FIREDRILL_…` environment variables over it.
//!
//! Strict: an unknown key is an error. [`load`] reports every error with its key at once, those of types and names as
//! well as those of meaning. Only a table that lacks or misspells what it can't be without is left out of the latter.

pub mod api;
pub mod automation;
pub mod dump;
pub mod environments;
mod errors;
pub mod items;
pub mod logging;
pub mod notify;
pub mod root;
pub mod secret;
pub mod store;
mod text;
pub mod verify;
pub mod vzdump;
pub mod web;
pub mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use serde::Deserialize;

use self::errors::Complaints;
pub use self::errors::ConfigErrors;
use crate::domain::ids::SourceName;
use crate::domain::policy::Policy;
use crate::domain::proof::Level;

/// Prefix of environment variables; `__` separates levels: `FIREDRILL_WEB__LISTEN_ADDRESS`.
pub const ENVIRONMENT_PREFIX: &str = "FIREDRILL_";

/// Everything that can be configured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The web server.
    pub web: web::Web,
    /// The API.
    pub api: api::Api,
    /// The receiver of alerts.
    pub webhook: webhook::Webhook,
    /// The log.
    pub log: logging::Log,
    /// The store.
    pub store: store::Store,
    /// What may be done about alerts.
    pub automation: automation::Automation,
    /// The verifier.
    pub verify: verify::Verify,
    /// Notifications.
    pub notify: notify::Notify,
    /// What is expected where no environment or item says otherwise.
    pub defaults: items::Expected,
    /// Vzdump sources.
    pub vzdump: Vec<vzdump::Vzdump>,
    /// Dump sources.
    pub dump: Vec<dump::Dump>,
    /// Classes of items; the first that fits wins.
    pub environments: Vec<environments::Environment>,
    /// Settings of single items.
    pub items: Vec<items::Item>,
}

/// Reads the file, if one is given, and the environment. All errors are found, not only the first.
pub fn load(file: Option<&Path>) -> Result<Config, ConfigErrors> {
    let mut figment = Figment::new();
    if let Some(path) = file {
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(ConfigErrors::unreadable(path, &std::io::Error::other("it is not a regular file"))),
            Err(error) => return Err(ConfigErrors::unreadable(path, &error)),
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    // Kubernetes sets FIREDRILL_PORT… and FIREDRILL_SERVICE_… for a service that is called firedrill.
    let ours = |key: &figment::value::UncasedStr| !(key.starts_with("port") || key.starts_with("service_"));
    figment = figment.merge(Env::prefixed(ENVIRONMENT_PREFIX).filter(ours).split("__"));
    let (config, mut complaints) = errors::extract(&figment)?;
    config.check(&mut complaints);
    complaints.into_result(config)
}

impl Config {
    /// What is expected of items.
    pub fn policy(&self) -> Policy {
        Policy {
            defaults: self.defaults.overrides(),
            environments: self.environments.iter().map(environments::Environment::rule).collect(),
            items: self.items.iter().map(items::Item::rule).collect(),
        }
    }

    /// One scan of any source may take so long, whatever the file says.
    pub fn set_scan_timeout(&mut self, timeout: Duration) {
        self.vzdump.iter_mut().for_each(|source| source.scan_timeout = timeout);
        self.dump.iter_mut().for_each(|source| source.scan_timeout = timeout);
    }

    /// Errors of meaning: what each value says is fine, but together they make no sense.
    /// From which level on a backup of a source is proven, where somebody said that less than asked is enough.
    pub fn accepted_levels(&self) -> BTreeMap<SourceName, Level> {
        let vzdump = self.vzdump.iter().map(|it| (&it.name, it.accept_level));
        let all = vzdump.chain(self.dump.iter().map(|it| (&it.name, it.accept_level)));
        all.filter_map(|(name, own)| Some((name.clone(), self.verify.accepted(own)?))).collect()
    }

    fn check(&self, complaints: &mut Complaints) {
        self.web.check(complaints);
        self.webhook.check(complaints);
        self.store.check(complaints);
        self.verify.check(complaints);
        self.notify.check(complaints);
        let receivers: Vec<&str> = self.notify.receivers.iter().map(|it| &*it.name).collect();
        self.automation.check(self.verify.enabled, &receivers, complaints);
        self.defaults.check("defaults", complaints);
        let mut names = BTreeSet::new();
        let sources = self.vzdump.iter().enumerate().map(|(index, it)| (format!("vzdump.{index}"), &it.name));
        let dumps = self.dump.iter().enumerate().map(|(index, it)| (format!("dump.{index}"), &it.name));
        for (key, name) in sources.chain(dumps) {
            if !names.insert(name) {
                complaints.add(format!("{key}.name"), format!("another source is called {name} already"));
            }
        }
        for (index, source) in self.vzdump.iter().enumerate() {
            source.check(&format!("vzdump.{index}"), complaints);
            let key = format!("vzdump.{index}.accept_level");
            self.verify.check_accepted(source.accept_level, key, complaints);
        }
        for (index, source) in self.dump.iter().enumerate() {
            source.check(&format!("dump.{index}"), complaints);
            let key = format!("dump.{index}.accept_level");
            self.verify.check_accepted(source.accept_level, key, complaints);
        }
        let mut environments: BTreeSet<&Arc<str>> = BTreeSet::new();
        for (index, environment) in self.environments.iter().enumerate() {
            let key = format!("environments.{index}");
            environment.check(&key, complaints);
            if !environments.insert(&environment.name) {
                complaints
                    .add(format!("{key}.name"), format!("another environment is called {} already", environment.name));
            }
        }
        for (index, item) in self.items.iter().enumerate() {
            let key = format!("items.{index}");
            item.check(&key, complaints);
            if self.items[..index].iter().any(|other| other.source == item.source && other.item == item.item) {
                complaints.add(format!("{key}.item"), format!("{} of {} is listed twice", item.item, item.source));
            }
            let guests = self.vzdump.iter().any(|source| source.name == item.source);
            if names.contains(&item.source) && guests != item.item.vmid().is_some() {
                let holds = if guests { "guests (qemu/100, lxc/100)" } else { "dumps (dump/NAME)" };
                complaints.add(format!("{key}.item"), format!("the items of {} are {holds}", item.source));
            }
            if !names.contains(&item.source) && !complaints.left_out("vzdump") && !complaints.left_out("dump") {
                complaints.add(format!("{key}.source"), format!("there is no source called {}", item.source));
            }
            if let Some(name) = item.environment.as_ref().filter(|name| !environments.contains(name))
                && !complaints.left_out("environments")
            {
                complaints.add(format!("{key}.environment"), format!("there is no environment called {name}"));
            }
        }
    }
}

/// Shortest pause between two scans that is accepted.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Longest pause between two scans that is accepted: what is known would be older than most backups.
const LONGEST_INTERVAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn check_schedule(key: &str, interval: Duration, timeout: Duration, complaints: &mut Complaints) {
    for (name, value) in [("scan_interval", interval), ("scan_timeout", timeout)] {
        if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&value) {
            complaints.add(format!("{key}.{name}"), "must be from 1s to 7d".to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
