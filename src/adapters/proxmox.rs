//! Proxmox VE: guests, jobs and backups of a cluster, by its API.

mod answer;
mod client;
mod jobs;
mod look;
mod overview;
mod recorded;
mod rights;
mod tasks;
mod volumes;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use self::client::Client;
pub use self::client::Endpoint;
use self::look::Found;
use self::tasks::Logs;
use super::machine::waiter::Waiter;
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{Look, LookError, PlaceListing, PlaceLook, SourceSpec};
use crate::engine::archives::NoArchives;
use crate::engine::ports::{Archives, Source};

/// A storage whose backups are looked at.
#[derive(Debug, Clone)]
pub struct WatchedStorage {
    /// Its name in the cluster.
    pub name: Arc<str>,
}

/// A cluster, or a node that is alone.
pub struct Cluster {
    spec: Arc<SourceSpec>,
    client: Client,
    waiter: Waiter,
    /// A place each; without any there is one place for all.
    storages: Vec<WatchedStorage>,
    logs: Logs,
    before: Vec<Option<Arc<PlaceListing>>>,
}

impl Cluster {
    /// Asks the nodes. Connects nowhere yet.
    pub fn new(spec: Arc<SourceSpec>, endpoint: &Endpoint, storages: Vec<WatchedStorage>) -> anyhow::Result<Self> {
        let client = Client::new(endpoint, spec.scan_timeout)?;
        Self::with(spec, client, storages)
    }

    /// Reads answers that somebody writes to a file.
    pub fn recorded(spec: Arc<SourceSpec>, file: PathBuf, storages: Vec<WatchedStorage>) -> anyhow::Result<Self> {
        Self::with(spec, Client::Recorded(file), storages)
    }

    fn with(spec: Arc<SourceSpec>, client: Client, storages: Vec<WatchedStorage>) -> anyhow::Result<Self> {
        let before = vec![None; storages.len().max(1)];
        Ok(Self { spec, client, waiter: Waiter::new("proxmox")?, storages, logs: Logs::new(), before })
    }

    fn found(&mut self, now: Timestamp) -> Result<Found, LookError> {
        let (client, storages, logs) = (&self.client, &self.storages, &mut self.logs);
        let stale_after = self.spec.stale_after();
        self.waiter.wait(async {
            let answers = client.open(stale_after, now).await?;
            look::look(&answers, storages, logs, now).await
        })
    }
}

impl Source for Cluster {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        Arc::new(NoArchives("the API of Proxmox VE lists backups and gives none of them out"))
    }

    fn look(&mut self, now: Timestamp) -> Look {
        let found = match self.found(now) {
            Ok(found) => found,
            Err(error) => return Look::blind(&self.spec, &error),
        };
        let mut places = Vec::with_capacity(found.places.len());
        for (listing, before) in found.places.into_iter().zip(&mut self.before) {
            let listing = listing.map(|listing| listing.or_same(before.clone()));
            if let Ok(listing) = &listing {
                *before = Some(listing.clone());
            }
            places.push(PlaceLook { listing, capacity: None });
        }
        let guests = Some(Ok(Arc::new(found.overview.book())));
        let cluster = Some(found.cluster.map(Arc::new));
        Look { places, estate: EstateLook { guests, cluster, ..EstateLook::default() } }
    }
}
