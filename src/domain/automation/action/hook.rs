//! Runs a program, without a shell.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Deed, Resolve, Sort};
use crate::domain::automation::alert::Labels;
use crate::domain::automation::subject::{Refusal, Subject};

/// What is so of all hooks: nobody knows what a program did that was interrupted.
pub(super) const SORT: Sort = Sort {
    label: "hook",
    idempotent: false,
    acts: true,
    ends_apart: true,
    at_once: 1,
    cooldown: Duration::from_secs(60 * 60),
};

/// Runs a program, without a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its absolute path.
    pub program: Arc<str>,
    /// Its arguments, as configured: nothing of the alert is put into them.
    pub arguments: Vec<Arc<str>>,
    /// Seconds after which it is killed with its children.
    pub timeout: u64,
    /// Labels and annotations of the alert, for its environment.
    pub labels: Labels,
    /// See `labels`.
    pub annotations: Labels,
}

impl Deed for Hook {
    fn identity(&self) -> Vec<String> {
        std::iter::once(&self.program).chain(&self.arguments).map(ToString::to_string).collect()
    }

    fn target(&self, of: &Subject<'_>) -> String {
        format!("{} {} {}", of.named(), self.program, self.arguments.join(" "))
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}", self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument:?}"))
    }
}

/// What a rule runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Absolute path.
    pub program: Arc<str>,
    /// Arguments.
    pub arguments: Vec<Arc<str>>,
    /// It is killed after this.
    pub timeout: Duration,
}

impl Resolve for Template {
    type Deed = Hook;

    fn resolve(&self, of: &Subject<'_>) -> Result<Hook, Refusal> {
        Ok(Hook {
            program: self.program.clone(),
            arguments: self.arguments.clone(),
            timeout: self.timeout.as_secs(),
            labels: of.alert.labels.clone(),
            annotations: of.alert.annotations.clone(),
        })
    }
}
