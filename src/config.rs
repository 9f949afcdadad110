//! The configuration: one TOML file, then `FIREDRILL_…` environment variables over it.
//!
//! Strict: an unknown key is an error. [`load`] reports every error with its key at once, those of types and names as
//! well as those of meaning. Only a table that lacks or misspells what it can't be without is left out of the latter.

pub mod api;
pub mod automation;
pub mod docker;
pub mod dump;
pub mod environments;
mod errors;
pub mod esxi;
pub mod items;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod proxmox;
pub mod root;
pub mod s3;
pub mod secret;
pub mod section;
pub mod state_cache;
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
use self::section::Section;
use crate::domain::ids::SourceName;
use crate::domain::policy::Policy;
use crate::domain::proof::Level;

/// Prefix of environment variables; `__` separates levels: `FIREDRILL_WEB__LISTEN_ADDRESS`.
pub const ENVIRONMENT_PREFIX: &str = "FIREDRILL_";

/// Tables that hold sources.
const SOURCES: [&str; 6] = ["vzdump", "dump", "s3", "docker", "proxmox", "esxi"];

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
    /// What is exported.
    pub metrics: metrics::Metrics,
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
    /// Buckets with states of Terraform.
    pub s3: Vec<s3::S3>,
    /// Container engines.
    pub docker: Vec<docker::Docker>,
    /// Clusters of Proxmox VE.
    pub proxmox: Vec<proxmox::Proxmox>,
    /// ESXi hosts and vCenters.
    pub esxi: Vec<esxi::Esxi>,
    /// Copies of states.
    pub state_cache: state_cache::StateCache,
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

    /// All sources, each with the table that it stands in and its place there.
    fn sections(&self) -> impl Iterator<Item = (String, &dyn Section)> {
        let vzdump = self.vzdump.iter().enumerate().map(|(at, it)| (format!("vzdump.{at}"), it as &dyn Section));
        let dump = self.dump.iter().enumerate().map(|(at, it)| (format!("dump.{at}"), it as &dyn Section));
        let s3 = self.s3.iter().enumerate().map(|(at, it)| (format!("s3.{at}"), it as &dyn Section));
        let docker = self.docker.iter().enumerate().map(|(at, it)| (format!("docker.{at}"), it as &dyn Section));
        let proxmox = self.proxmox.iter().enumerate().map(|(at, it)| (format!("proxmox.{at}"), it as &dyn Section));
        let esxi = self.esxi.iter().enumerate().map(|(at, it)| (format!("esxi.{at}"), it as &dyn Section));
        vzdump.chain(dump).chain(s3).chain(docker).chain(proxmox).chain(esxi)
    }

    fn sections_mut(&mut self) -> impl Iterator<Item = &mut dyn Section> {
        let vzdump = self.vzdump.iter_mut().map(|it| it as &mut dyn Section);
        let dump = self.dump.iter_mut().map(|it| it as &mut dyn Section);
        let s3 = self.s3.iter_mut().map(|it| it as &mut dyn Section);
        let docker = self.docker.iter_mut().map(|it| it as &mut dyn Section);
        let proxmox = self.proxmox.iter_mut().map(|it| it as &mut dyn Section);
        let esxi = self.esxi.iter_mut().map(|it| it as &mut dyn Section);
        vzdump.chain(dump).chain(s3).chain(docker).chain(proxmox).chain(esxi)
    }

    /// One scan of any source may take so long, whatever the file says.
    pub fn set_scan_timeout(&mut self, timeout: Duration) {
        self.sections_mut().for_each(|source| source.set_scan_timeout(timeout));
    }

    /// From which level on a backup of a source is proven, where somebody said that less than asked is enough.
    pub fn accepted_levels(&self) -> BTreeMap<SourceName, Level> {
        let accepted = |it: &dyn Section| Some((it.name().clone(), self.verify.accepted(it.accept_level())?));
        self.sections().filter_map(|(_, it)| accepted(it)).collect()
    }

    /// Errors of meaning: what each value says is fine, but together they make no sense.
    fn check(&self, complaints: &mut Complaints) {
        self.web.check(complaints);
        self.webhook.check(complaints);
        self.store.check(complaints);
        self.verify.check(complaints);
        self.state_cache.check(complaints);
        if self.state_cache.places().is_some() && !self.verify.enabled {
            let sentence = "copies are kept of versions that are known to be intact: it needs verify.enabled";
            complaints.add("state_cache.directory".to_owned(), sentence.to_owned());
        }
        self.notify.check(complaints);
        let receivers: Vec<&str> = self.notify.receivers.iter().map(|it| &*it.name).collect();
        self.automation.check(self.verify.enabled, &receivers, complaints);
        self.defaults.check("defaults", complaints);
        let mut sources: BTreeMap<&SourceName, &dyn Section> = BTreeMap::new();
        let mut used: BTreeSet<&SourceName> = BTreeSet::new();
        for (key, source) in self.sections() {
            // Of two with one name the first has it.
            // Directories and the API of one cluster are one source.
            let is_joined = source.spec().kind.as_str() == "proxmox"
                && self.vzdump.iter().any(|it| it.name == *source.name())
                && self.proxmox.iter().filter(|it| it.name == *source.name()).count() == 1;
            if sources.contains_key(source.name()) && !is_joined {
                complaints.add(format!("{key}.name"), format!("another source is called {} already", source.name()));
            } else if !is_joined {
                sources.insert(source.name(), source);
            }
            source.check(&key, complaints);
            for (place, server) in source.servers() {
                used.insert(server);
                if !self.s3.iter().any(|it| it.name == *server) && !complaints.left_out("s3") {
                    complaints.add(format!("{key}.{place}"), format!("there is no [[s3]] section called {server}"));
                }
            }
            self.verify.check_accepted(source.accept_level(), format!("{key}.accept_level"), complaints);
        }
        for (index, it) in self.s3.iter().enumerate().filter(|(_, it)| it.states.is_empty() && !used.contains(&it.name))
        {
            let sentence = format!("is missing, and no root names {} as its server: it would do nothing", it.name);
            complaints.add(format!("s3.{index}.states"), sentence);
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
            match sources.get(&item.source) {
                Some(source) if !source.may_hold(&item.item) => {
                    let sentence = format!("the items of {} are {}", item.source, source.items());
                    complaints.add(format!("{key}.item"), sentence);
                }
                None if !SOURCES.into_iter().any(|table| complaints.left_out(table)) => {
                    complaints.add(format!("{key}.source"), format!("there is no source called {}", item.source));
                }
                Some(_) | None => {}
            }
            if let Some(name) = item.environment.as_ref().filter(|name| !environments.contains(name))
                && !complaints.left_out("environments")
            {
                complaints.add(format!("{key}.environment"), format!("there is no environment called {name}"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
