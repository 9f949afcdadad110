//! The configured sources: the only place that knows which adapter looks at which.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use crate::adapters::directories::directory::Root;
use crate::adapters::directories::dump_dir::DumpDir;
use crate::adapters::directories::vzdump_dir::VzdumpDir;
use crate::adapters::s3::{Credentials, Endpoint, Objects, StateSource, Watched};
use crate::config::section::Section as _;
use crate::config::{Config, dump, root, s3, vzdump};
use crate::domain::ids::SourceName;
use crate::engine::ports::Source;
use crate::engine::ports::state_store::StateStore;

/// A source with the directories whose changes bring its next scan forward.
pub struct WatchedSource {
    /// The source.
    pub source: Box<dyn Source>,
    /// Directories to watch.
    pub paths: Vec<PathBuf>,
}

/// The configured sources.
pub fn sources(config: &Config) -> anyhow::Result<Vec<WatchedSource>> {
    let vzdump = config.vzdump.iter().map(|it| Ok(of_vzdump(it)));
    vzdump.chain(config.dump.iter().map(of_dump)).chain(config.s3.iter().map(of_s3)).collect()
}

/// The configured servers with states.
pub fn state_sources(config: &Config) -> anyhow::Result<Vec<WatchedSource>> {
    config.s3.iter().map(of_s3).collect()
}

/// The same servers, for commands that change a state.
pub fn state_stores(config: &Config) -> anyhow::Result<BTreeMap<SourceName, Arc<dyn StateStore>>> {
    let of_one = |it: &s3::S3| -> anyhow::Result<(SourceName, Arc<dyn StateStore>)> {
        Ok((it.name.clone(), Arc::new(Objects::new(&endpoint(it)?)?)))
    };
    config.s3.iter().map(of_one).collect()
}

fn of_vzdump(it: &vzdump::Vzdump) -> WatchedSource {
    let source = VzdumpDir::new(it.spec().into(), directories(&it.roots), it.time_zone.clone(), it.guests_dir.clone());
    WatchedSource { source: Box::new(source), paths: paths(&it.roots) }
}

fn of_dump(it: &dump::Dump) -> anyhow::Result<WatchedSource> {
    let patterns: Result<_, _> = it.patterns.iter().map(|pattern| pattern.compiled()).collect();
    let patterns = patterns.with_context(|| format!("patterns of the dump source {}", it.name))?;
    let source = DumpDir::new(it.spec().into(), directories(&it.roots), it.time_zone.clone(), patterns);
    Ok(WatchedSource { source: Box::new(source), paths: paths(&it.roots) })
}

fn endpoint(it: &s3::S3) -> anyhow::Result<Endpoint> {
    let (access_key, secret_key, session_token) =
        it.keys(|name| std::env::var(name).ok().filter(|it| !it.is_empty()))?;
    Ok(Endpoint {
        url: it.endpoint.clone(),
        region: it.region.clone(),
        path_style: it.path_style(),
        ca_file: it.ca_file.clone(),
        credentials: Credentials { access_key, secret_key, session_token },
    })
}

fn of_s3(it: &s3::S3) -> anyhow::Result<WatchedSource> {
    let endpoint = endpoint(it)?;
    let places = it
        .states
        .iter()
        .map(|it| Ok(Watched { bucket: it.bucket.clone(), prefix: it.prefix.clone(), keys: it.globs()? }));
    let places = places.collect::<anyhow::Result<_>>().with_context(|| format!("the s3 source {}", it.name))?;
    let source =
        StateSource::new(it.spec().into(), &endpoint, places).with_context(|| format!("the s3 source {}", it.name))?;
    Ok(WatchedSource { source: Box::new(source), paths: Vec::new() })
}

fn directories(roots: &[root::Root]) -> Vec<Root> {
    roots.iter().map(|root| Root { path: root.path.clone(), require_mount: root.require_mount.clone() }).collect()
}

fn paths(roots: &[root::Root]) -> Vec<PathBuf> {
    roots.iter().map(|root| root.path.clone()).collect()
}
