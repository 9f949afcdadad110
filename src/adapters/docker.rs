//! Docker, or what speaks its API: how the containers are that something depends on.

mod answers;
mod containers;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;
use jiff::Timestamp;

use self::answers::{Engine, of_file};
use self::containers::container;
use super::machine::waiter::Waiter;
use crate::domain::container::{Container, ContainerBook};
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{ErrorKind, Look, LookError, PlaceListing, PlaceLook, SourceSpec};
use crate::engine::archives::NoArchives;
use crate::engine::ports::{Archives, Source};

/// So many containers of one engine are watched. Each is asked for by itself.
const MOST_CONTAINERS: usize = 1000;

/// An engine that doesn't answer a question in this time hangs.
const ANSWER: Duration = Duration::from_secs(20);

/// Where the answers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// The socket of an engine.
    Socket(PathBuf),
    /// An engine, or a proxy before its socket, by `HOST:PORT`.
    Http(String),
    /// What `docker inspect` wrote.
    File(PathBuf),
}

/// Which containers are watched.
#[derive(Debug, Clone)]
pub struct Selection {
    /// By their names; `None` for all.
    pub names: Option<GlobSet>,
    /// Labels that they all have, `KEY` or `KEY=VALUE`.
    pub labels: Vec<String>,
    /// Names of those that must be there.
    pub expected: Vec<Arc<str>>,
}

/// Labels of a container.
type Labels = HashMap<String, String>;

impl Selection {
    fn has(&self, name: &str, labels: Option<&Labels>) -> bool {
        let is_labelled = |label: &String| {
            let (key, value) = label.split_once('=').map_or((&**label, None), |(key, value)| (key, Some(value)));
            labels.and_then(|it| it.get(key)).is_some_and(|found| value.is_none_or(|value| value == found))
        };
        let is_chosen =
            || self.names.as_ref().is_none_or(|names| names.is_match(name)) && self.labels.iter().all(is_labelled);
        self.expected.iter().any(|it| **it == *name) || is_chosen()
    }
}

/// The containers of one engine.
pub struct Containers {
    spec: Arc<SourceSpec>,
    host: Host,
    selection: Selection,
    waiter: Waiter,
}

impl Containers {
    /// Connects nowhere yet.
    pub fn new(spec: Arc<SourceSpec>, host: Host, selection: Selection) -> anyhow::Result<Self> {
        Ok(Self { spec, host, selection, waiter: Waiter::new("docker")? })
    }

    fn book(&self, now: Timestamp) -> Result<ContainerBook, LookError> {
        let answers = match &self.host {
            Host::File(path) => of_file(path, self.spec.stale_after(), now)?,
            engine => self.waiter.wait(Engine::ask(engine, &self.selection, ANSWER.min(self.spec.scan_timeout)))?,
        };
        let missing = self.selection.expected.iter().map(|name| (name.clone(), Container::missing()));
        let mut book: BTreeMap<Arc<str>, Container> = missing.collect();
        for answer in &answers {
            // One that is removed while it is asked for has no name any more, and is as good as gone.
            let Some((name, found)) = container(answer) else { continue };
            if self.selection.has(&name, answer.config.as_ref().and_then(|it| it.labels.as_ref())) {
                book.insert(name, found);
            }
        }
        if book.len() > MOST_CONTAINERS {
            let text = format!("more than {MOST_CONTAINERS} containers are watched; names or labels choose fewer");
            return Err(LookError::new(ErrorKind::Io, text));
        }
        Ok(ContainerBook(book))
    }
}

impl Source for Containers {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        Arc::new(NoArchives("a container engine holds no backups"))
    }

    fn look(&mut self, now: Timestamp) -> Look {
        let (listing, estate) = match self.book(now) {
            // Nobody finds backups here: the listing says that it could be seen.
            Ok(book) => {
                let containers = Some(Ok(Arc::new(book)));
                (Ok(Arc::new(PlaceListing::default())), EstateLook { containers, ..EstateLook::default() })
            }
            Err(error) => (Err(error), EstateLook::default()),
        };
        Look { places: vec![PlaceLook { listing, capacity: None }], estate }
    }
}

#[cfg(test)]
mod tests {
    use globset::{Glob, GlobSetBuilder};

    use super::*;

    #[test]
    fn what_is_expected_is_watched_whatever_its_labels() {
        let labels: Labels = [("role".to_owned(), "db".to_owned()), ("empty".to_owned(), String::new())].into();
        let select =
            |label: &str| Selection { names: None, labels: vec![label.to_owned()], expected: vec!["proxy".into()] };
        for (label, expected) in
            [("role", true), ("role=db", true), ("role=web", false), ("empty=", true), ("x", false)]
        {
            assert_eq!(select(label).has("db", Some(&labels)), expected, "{label}");
        }
        assert!(select("x").has("proxy", None) && !select("x").has("other", None));
        let names = GlobSetBuilder::new().add(Glob::new("mon-*").unwrap()).build().unwrap();
        let named = Selection { names: Some(names), labels: Vec::new(), expected: Vec::new() };
        assert!(named.has("mon-db", None) && !named.has("db", Some(&labels)));
    }
}
