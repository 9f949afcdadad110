//! Containers, as the engine that runs them tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerState {
    /// Made, and never started.
    Created,
    /// It runs.
    Running,
    /// Frozen.
    Paused,
    /// It ended, and is started again by its policy.
    Restarting,
    /// It is being stopped or removed.
    Ending,
    /// It ended.
    Exited,
    /// It ended well, and nothing is to start it again: a job.
    Completed,
    /// It could not be removed.
    Dead,
    /// It should be there, and isn't.
    Missing,
}

impl ContainerState {
    /// All of them, in label order.
    pub const ALL: [Self; 9] = [
        Self::Completed,
        Self::Created,
        Self::Dead,
        Self::Ending,
        Self::Exited,
        Self::Missing,
        Self::Paused,
        Self::Restarting,
        Self::Running,
    ];

    /// The `state` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Ending => "ending",
            Self::Exited => "exited",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Missing => "missing",
        }
    }
}

/// What the check of a container says that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerHealth {
    /// Not often enough to tell.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
}

impl ContainerHealth {
    /// All of them, in label order.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Starting, Self::Unhealthy];

    /// The `health` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// What it does.
    pub state: ContainerState,
    /// What its check says; `None` where it has none, or where it doesn't run.
    pub health: Option<ContainerHealth>,
    /// How often its policy started it again, since it was made.
    pub restarts: u64,
    /// The image, as whoever started it wrote it.
    pub image: Arc<str>,
    /// When it was started last.
    pub started: Option<Timestamp>,
    /// What it ended with, while it doesn't run.
    pub exit_code: Option<i64>,
    /// Whether the kernel ended it for want of memory.
    pub out_of_memory: bool,
}

impl Container {
    /// One that should be there.
    pub fn missing() -> Self {
        Self {
            state: ContainerState::Missing,
            health: None,
            restarts: 0,
            image: "".into(),
            started: None,
            exit_code: None,
            out_of_memory: false,
        }
    }
}

/// The containers of an engine that are watched, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerBook(pub BTreeMap<Arc<str>, Container>);
