//! What `docker inspect` says, from an engine or from a file.

use std::path::Path;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::ListContainersOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::{Host, MOST_CONTAINERS, Selection};
use crate::adapters::machine::answer_file;
use crate::domain::look::{ErrorKind, LookError};

/// So many questions are open at once.
const AT_ONCE: usize = 8;

/// An engine that answers.
pub(super) struct Engine(Docker);

impl Engine {
    /// What it says of each container that may be one of those that are watched.
    pub(super) async fn ask(
        host: &Host,
        selection: &Selection,
        limit: Duration,
    ) -> Result<Vec<ContainerInspectResponse>, LookError> {
        let engine = Self::connect(host, limit.as_secs().max(1)).await?;
        let names = engine.names(selection).await?;
        if names.len() > MOST_CONTAINERS {
            let text = format!("more than {MOST_CONTAINERS} containers are watched; names or labels choose fewer");
            return Err(LookError::new(ErrorKind::Io, text));
        }
        let asked = futures_util::stream::iter(names).map(|name| engine.inspect(name)).buffer_unordered(AT_ONCE);
        let answers: Vec<Option<ContainerInspectResponse>> = asked.try_collect().await?;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn connect(host: &Host, seconds: u64) -> Result<Self, LookError> {
        let at = shown(host);
        let connected = match host {
            Host::Socket(path) => Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION),
            Host::Http(address) => Docker::connect_with_http(&format!("tcp://{address}"), seconds, API_DEFAULT_VERSION),
            Host::File(_) => return Err(LookError::new(ErrorKind::Internal, "a file is no engine")),
        };
        let failed = |error| look_error(&format!("asking {at} for its version"), &error);
        // An engine refuses a version of the API that is newer than its own, and by now also one that is much older.
        Ok(Self(connected.map_err(failed)?.negotiate_version().await.map_err(failed)?))
    }

    /// Names of the containers that may be watched, running or not.
    async fn names(&self, selection: &Selection) -> Result<Vec<String>, LookError> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let listed = self.0.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| look_error("listing the containers", &error))?;
        // Further names are those that links of others give it, `/other/name`.
        let own = |names: Vec<String>| {
            names.into_iter().find_map(|name| name.strip_prefix('/').filter(|it| !it.contains('/')).map(str::to_owned))
        };
        let chosen = |it: ContainerSummary| own(it.names?).filter(|name| selection.has(name, it.labels.as_ref()));
        Ok(listed.into_iter().filter_map(chosen).collect())
    }

    /// One container; `None` if it was removed meanwhile.
    async fn inspect(&self, name: String) -> Result<Option<ContainerInspectResponse>, LookError> {
        match self.0.inspect_container(&name, None).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(look_error(&format!("asking for container {name}"), &error)),
        }
    }
}

/// What is written in a file, if it isn't older than `stale_after`.
pub(super) fn of_file(
    path: &Path,
    stale_after: Duration,
    now: Timestamp,
) -> Result<Vec<ContainerInspectResponse>, LookError> {
    let text = answer_file::read(path, stale_after, now)?;
    let unfit = |error| {
        let text = format!("{} isn't what `docker inspect` writes: {error}", path.display());
        LookError::new(ErrorKind::Io, text)
    };
    serde_json::from_str(&text).map_err(unfit)
}

fn shown(host: &Host) -> String {
    match host {
        Host::Socket(path) => format!("the engine at {}", path.display()),
        Host::Http(address) => format!("the engine at {address}"),
        Host::File(path) => path.display().to_string(),
    }
}

/// What an error means for a look, and what can be done about it.
fn look_error(doing: &str, error: &Error) -> LookError {
    let (kind, advice) = match error {
        Error::SocketNotFoundError(_) => (ErrorKind::NotFound, "; does Docker run, and is host its socket?"),
        Error::RequestTimeoutError => (ErrorKind::Timeout, "; it doesn't answer"),
        Error::DockerResponseServerError { status_code: 401 | 403, .. } => {
            (ErrorKind::PermissionDenied, "; a proxy must allow /version and /containers")
        }
        _ if cause(error, std::io::ErrorKind::PermissionDenied) => {
            (ErrorKind::PermissionDenied, "; who may use the socket is in the group `docker`, and is as good as root")
        }
        _ if cause(error, std::io::ErrorKind::ConnectionRefused) => (ErrorKind::NotFound, "; does Docker run?"),
        _ => (ErrorKind::Io, ""),
    };
    LookError::new(kind, format!("{doing}: {}{advice}", words(error)))
}

/// The innermost cause says what happened; what is around it only that it did.
fn words(error: &Error) -> String {
    let mut root: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = root.source() {
        root = inner;
    }
    root.to_string()
}

fn cause(error: &Error, kind: std::io::ErrorKind) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(it) = next {
        if it.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == kind) {
            return true;
        }
        next = it.source();
    }
    false
}
