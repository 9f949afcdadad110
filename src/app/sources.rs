//! The configured sources: the only place that knows which adapter looks at which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use crate::adapters::directories::archive_files::ArchiveFiles;
use crate::adapters::directories::directory::Root;
use crate::adapters::directories::dump_dir::DumpDir;
use crate::adapters::directories::place::{OfObjects, Place, Places};
use crate::adapters::directories::vzdump_dir::VzdumpDir;
use crate::adapters::docker::{Containers, Host, Selection};
use crate::adapters::machine::trust::Trust;
use crate::adapters::proxmox::{self as pve, Cluster, WatchedStorage};
use crate::adapters::s3::{BucketPlace, Credentials, Endpoint, Objects, Server, StateSource, Watched};
use crate::adapters::vsphere::{Account, EstateSource, Server as VsphereServer};
use crate::config::section::Section as _;
use crate::config::{Config, docker, dump, esxi, proxmox, root, s3, vzdump};
use crate::domain::ids::SourceName;
use crate::domain::thumbprint::Thumbprint;
use crate::engine::archives::ArchivesByRoot;
use crate::engine::joined::Joined;
use crate::engine::ports::state_store::StateStore;
use crate::engine::ports::{Archives, Source};

/// A source with the directories whose changes bring its next scan forward.
pub struct WatchedSource {
    /// The source.
    pub source: Box<dyn Source>,
    /// Directories to watch.
    pub paths: Vec<PathBuf>,
}

/// The configured sources.
pub fn sources(config: &Config) -> anyhow::Result<Vec<WatchedSource>> {
    let mut servers = Servers { config, connected: BTreeMap::new() };
    let mut all = Vec::new();
    for it in &config.vzdump {
        let directories = of_vzdump(it, &mut servers)?;
        all.push(match config.proxmox.iter().find(|cluster| cluster.name == it.name) {
            None => directories,
            Some(cluster) => {
                let exclude = it.exclude.or(&cluster.exclude).matcher();
                let joined = Joined::new(directories.source, Box::new(of_proxmox(cluster)?), exclude);
                WatchedSource { source: Box::new(joined), paths: directories.paths }
            }
        });
    }
    let alone = |it: &&proxmox::Proxmox| !config.vzdump.iter().any(|directories| directories.name == it.name);
    for it in config.proxmox.iter().filter(alone) {
        all.push(WatchedSource { source: Box::new(of_proxmox(it)?), paths: Vec::new() });
    }
    for it in &config.dump {
        all.push(of_dump(it, &mut servers)?);
    }
    all.extend(state_sources(config)?);
    for it in &config.docker {
        all.push(of_docker(it).with_context(|| format!("the docker source {}", it.name))?);
    }
    for it in &config.esxi {
        all.push(of_esxi(it).with_context(|| format!("the esxi source {}", it.name))?);
    }
    Ok(all)
}

/// Servers of objects, each connected once, by the names of their sections.
struct Servers<'a> {
    config: &'a Config,
    connected: BTreeMap<SourceName, Server>,
}

impl Servers<'_> {
    fn get(&mut self, name: &SourceName) -> anyhow::Result<Server> {
        if let Some(server) = self.connected.get(name) {
            return Ok(server.clone());
        }
        let section = self.config.s3.iter().find(|it| it.name == *name);
        let section = section.with_context(|| format!("there is no [[s3]] section called {name}"))?;
        let server = Server::new(&endpoint(section)?).with_context(|| format!("the s3 section {name}"))?;
        self.connected.insert(name.clone(), server.clone());
        Ok(server)
    }

    /// The places of a source, and what opens the files in each.
    fn places(&mut self, roots: &[root::Root]) -> anyhow::Result<Places> {
        let (mut all, mut in_buckets) = (Vec::<Box<dyn Place>>::new(), BTreeMap::<_, Arc<dyn Archives>>::new());
        for root in roots {
            let Some(server) = &root.server else {
                let (path, require_mount) = (root.path.clone(), root.require_mount.clone());
                all.push(Box::new(Root { path, require_mount }));
                continue;
            };
            let place = BucketPlace::new(&self.get(server)?, &root.path);
            let place = place.with_context(|| format!("{} is no s3://BUCKET/PREFIX", root.path.display()))?;
            in_buckets.insert(root.spec().path, Arc::new(place.clone()));
            all.push(Box::new(OfObjects(Arc::new(place))));
        }
        Ok(Places { all, archives: Arc::new(ArchivesByRoot { elsewhere: in_buckets, others: Arc::new(ArchiveFiles) }) })
    }
}

/// The configured servers with states.
pub fn state_sources(config: &Config) -> anyhow::Result<Vec<WatchedSource>> {
    config.s3.iter().filter(|it| !it.states.is_empty()).map(of_s3).collect()
}

/// The same servers, for commands that change a state.
pub fn state_stores(config: &Config) -> anyhow::Result<BTreeMap<SourceName, Arc<dyn StateStore>>> {
    let of_one = |it: &s3::S3| -> anyhow::Result<(SourceName, Arc<dyn StateStore>)> {
        Ok((it.name.clone(), Arc::new(Objects::new(&endpoint(it)?)?)))
    };
    config.s3.iter().map(of_one).collect()
}

fn of_vzdump(it: &vzdump::Vzdump, servers: &mut Servers<'_>) -> anyhow::Result<WatchedSource> {
    let places = servers.places(&it.roots).with_context(|| format!("the vzdump source {}", it.name))?;
    let source = VzdumpDir::new(it.spec().into(), places, it.time_zone.clone(), it.guests_dir.clone());
    Ok(WatchedSource { source: Box::new(source), paths: paths(&it.roots) })
}

fn of_dump(it: &dump::Dump, servers: &mut Servers<'_>) -> anyhow::Result<WatchedSource> {
    let patterns: Result<_, _> = it.patterns.iter().map(|pattern| pattern.compiled()).collect();
    let patterns = patterns.with_context(|| format!("patterns of the dump source {}", it.name))?;
    let places = servers.places(&it.roots).with_context(|| format!("the dump source {}", it.name))?;
    let source = DumpDir::new(it.spec().into(), places, it.time_zone.clone(), patterns);
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

/// Which certificates are trusted.
fn trust(authorities: Option<&Path>, certificate: Option<Thumbprint>) -> Trust {
    match (authorities, certificate) {
        (Some(path), _) => Trust::Authorities(path.to_owned()),
        (None, Some(thumbprint)) => Trust::Certificate(thumbprint),
        (None, None) => Trust::Machine,
    }
}

fn of_proxmox(it: &proxmox::Proxmox) -> anyhow::Result<Cluster> {
    let source = || format!("the proxmox source {}", it.name);
    let storages = it.storages.iter().map(|it| WatchedStorage { name: it.name.clone() }).collect();
    let urls = match it.answering().with_context(|| format!("{}: urls is not understood", source()))? {
        proxmox::Answering::File(path) => return Cluster::recorded(it.spec().into(), path, storages),
        proxmox::Answering::Nodes(urls) => urls,
    };
    let environment = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let (token_id, token_secret) = it.token(environment).with_context(source)?;
    let trust = trust(it.ca_file.as_deref(), it.fingerprint);
    let endpoint = pve::Endpoint { urls, token_id, token_secret, trust };
    Cluster::new(it.spec().into(), &endpoint, storages).with_context(source)
}

fn of_docker(it: &docker::Docker) -> anyhow::Result<WatchedSource> {
    let host = match it.host().context("host is not understood")? {
        docker::Host::Socket(path) => Host::Socket(path),
        docker::Host::Tcp(address) => Host::Http(address),
        docker::Host::File(path) => Host::File(path),
    };
    let selection = Selection { names: it.globs()?, labels: it.labels.clone(), expected: it.expected.clone() };
    let source = Containers::new(it.spec().into(), host, selection)?;
    Ok(WatchedSource { source: Box::new(source), paths: Vec::new() })
}

fn of_esxi(it: &esxi::Esxi) -> anyhow::Result<WatchedSource> {
    if let Some(file) = it.file() {
        let source = EstateSource::recorded(it.spec().into(), file);
        return Ok(WatchedSource { source: Box::new(source), paths: Vec::new() });
    }
    let trust = trust(it.ca_file.as_deref(), it.thumbprint);
    let server = VsphereServer { url: it.url.clone(), trust };
    let password = it.password(|name| std::env::var(name).ok().filter(|it| !it.is_empty()))?;
    let account = Account { user: it.username.clone(), password };
    let source = EstateSource::new(it.spec().into(), &server, account)?;
    Ok(WatchedSource { source: Box::new(source), paths: Vec::new() })
}

/// Directories whose changes the system tells.
fn paths(roots: &[root::Root]) -> Vec<PathBuf> {
    roots.iter().filter(|root| root.server.is_none()).map(|root| root.path.clone()).collect()
}
