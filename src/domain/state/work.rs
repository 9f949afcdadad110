//! What is done to states, as plans: each step can be repeated or looked after, and taken back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::SourceName;
use crate::domain::operation::plan::{Effect, Plan, PlanRefusal, Repeat, Step, Task};

/// An older version, or a copy, becomes the current one.
pub const RESTORE: &str = "state-restore";

/// A directory goes on with a local copy, as the server is down.
pub const FALLBACK: &str = "state-fallback";

/// What was done meanwhile goes back to the server.
pub const RETURN: &str = "state-return";

/// A small request.
const SHORT: Duration = Duration::from_secs(90);

/// A state that is sent or read.
const LONG: Duration = Duration::from_secs(15 * 60);

/// What is done with the object of a state, by the words of its effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Takes the lock of Terraform.
    Lock,
    /// Gives it back.
    Unlock,
    /// Fails where the current version isn't the one that was shown to a person.
    Expect,
    /// Copies the current version aside.
    Aside,
    /// Removes that copy.
    DropAside,
    /// Writes the new current version.
    Write,
    /// Puts back what was written over.
    PutBack,
    /// Reads what is current, and compares.
    Compare,
    /// Notes how the directory was initialised.
    KeepBackend,
    /// Puts that back.
    PutBackendBack,
    /// Writes the local state.
    Place,
    /// Removes it, if nobody changed it.
    Unplace,
    /// Tells Terraform to use the local state.
    Override,
    /// Not any more.
    DropOverride,
    /// `terraform init -reconfigure`.
    Init,
    /// Tells Terraform to use the local state again, and initialises anew.
    Reinstate,
    /// Moves the local state out of the way.
    Retire,
    /// Moves it back.
    Unretire,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Lock,
        Self::Unlock,
        Self::Expect,
        Self::Aside,
        Self::DropAside,
        Self::Write,
        Self::PutBack,
        Self::Compare,
        Self::KeepBackend,
        Self::PutBackendBack,
        Self::Place,
        Self::Unplace,
        Self::Override,
        Self::DropOverride,
        Self::Init,
        Self::Reinstate,
        Self::Retire,
        Self::Unretire,
    ];

    /// As in a plan.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Expect => "expect",
            Self::Aside => "aside",
            Self::DropAside => "drop-aside",
            Self::Write => "write",
            Self::PutBack => "put-back",
            Self::Compare => "compare",
            Self::KeepBackend => "keep-backend",
            Self::PutBackendBack => "put-backend-back",
            Self::Place => "place",
            Self::Unplace => "unplace",
            Self::Override => "override",
            Self::DropOverride => "drop-override",
            Self::Init => "init",
            Self::Reinstate => "reinstate",
            Self::Retire => "retire",
            Self::Unretire => "unretire",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// Where the content of a new version comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A version of the same object.
    Version(String),
    /// The local copy of a state, as copies are named.
    Copy(String),
    /// A file.
    File(String),
}

/// The end of the key that the current version is copied to, by the id of the change.
pub fn aside(id: &str) -> String {
    format!("{ASIDE}{id}")
}

/// Whether a key is one that a current version was copied to: the end is an id as [`Change::id`] has it, a UUID.
pub fn is_aside(key: &str) -> bool {
    key.rsplit_once(ASIDE).is_some_and(|(state, id)| {
        let hex = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        !state.is_empty() && id.len() == 36 && hex
    })
}

/// What that end begins with.
const ASIDE: &str = ".before-";

/// A new current version of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The source.
    pub source: SourceName,
    /// The bucket.
    pub bucket: String,
    /// The key of the state.
    pub key: String,
    /// A name for this change alone, for the lock and for what is copied aside.
    pub id: String,
    /// Who wants it: `user@host`.
    pub who: String,
    /// The ETag of the current version; `None` where there is none.
    pub expected: Option<String>,
    /// The new content.
    pub from: Content,
    /// The serial that it gets; `None` leaves it as it is.
    pub serial: Option<u64>,
    /// BLAKE3 of what is written then, in hexadecimal.
    pub digest: String,
    /// The lock of somebody else is left alone, and no lock is taken.
    pub forced: bool,
}

impl Change {
    /// The end of the key that the current version is copied to.
    pub fn aside(&self) -> String {
        aside(&self.id)
    }

    fn parameters(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            ("source".to_owned(), self.source.to_string()),
            ("bucket".to_owned(), self.bucket.clone()),
            ("key".to_owned(), self.key.clone()),
            ("id".to_owned(), self.id.clone()),
            ("who".to_owned(), self.who.clone()),
            ("digest".to_owned(), self.digest.clone()),
        ]);
        let mut add = |name: &str, value: &Option<String>| {
            if let Some(value) = value {
                all.insert(name.to_owned(), value.clone());
            }
        };
        add("expected", &self.expected);
        add("serial", &self.serial.map(|it| it.to_string()));
        match &self.from {
            Content::Version(version) => add("version", &Some(version.clone())),
            Content::Copy(item) => add("copy", &Some(item.clone())),
            Content::File(path) => add("file", &Some(path.clone())),
        }
        all
    }

    fn steps(&self) -> Vec<Step> {
        let of = |deed, timeout, repeat| effect(deed, self.parameters(), timeout, repeat);
        let mut steps = Vec::new();
        if !self.forced {
            let undo = of(Deed::Unlock, SHORT, Repeat::Safe);
            steps.push(step("take the lock of Terraform", of(Deed::Lock, SHORT, Repeat::Probe), Some(undo)));
        }
        steps.push(step("see that nobody changed it", of(Deed::Expect, SHORT, Repeat::Safe), None));
        if self.expected.is_some() {
            let title = format!("copy the current version to …{}", self.aside());
            let undo = of(Deed::DropAside, SHORT, Repeat::Safe);
            steps.push(step(&title, of(Deed::Aside, LONG, Repeat::Safe), Some(undo)));
        }
        let undo = of(Deed::PutBack, LONG, Repeat::Safe);
        steps.push(step("write the new version", of(Deed::Write, LONG, Repeat::Probe), Some(undo)));
        steps.push(step("read it back and compare", of(Deed::Compare, LONG, Repeat::Safe), None));
        if !self.forced {
            steps.push(step("give the lock back", of(Deed::Unlock, SHORT, Repeat::Safe), None));
        }
        steps
    }

    /// Steps of a restore.
    pub fn plan(&self) -> Result<Plan, PlanRefusal> {
        Plan::new(self.steps())
    }
}

/// A directory of Terraform that goes on with a local state, or comes back from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The directory.
    pub path: String,
    /// The program: `terraform`, `tofu` or a path.
    pub program: String,
    /// The workspace; `default` mostly.
    pub workspace: String,
    /// The source that its state is of.
    pub source: SourceName,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The state, as copies are named.
    pub item: String,
    /// Whether the copy before the newest is meant.
    pub before: bool,
    /// BLAKE3 of the copy that it fell back to, in hexadecimal.
    pub digest: String,
    /// When it comes back: a name for what is moved out of the way.
    pub id: String,
}

impl Directory {
    fn effect(&self, deed: Deed, timeout: Duration) -> Effect {
        let mut parameters = BTreeMap::from([
            ("path".to_owned(), self.path.clone()),
            ("program".to_owned(), self.program.clone()),
            ("workspace".to_owned(), self.workspace.clone()),
            ("source".to_owned(), self.source.to_string()),
            ("bucket".to_owned(), self.bucket.clone()),
            ("key".to_owned(), self.key.clone()),
            ("copy".to_owned(), self.item.clone()),
            ("digest".to_owned(), self.digest.clone()),
            ("id".to_owned(), self.id.clone()),
        ]);
        if self.before {
            parameters.insert("before".to_owned(), "true".to_owned());
        }
        effect(deed, parameters, timeout, Repeat::Safe)
    }

    /// Steps of going on without the server.
    pub fn fall_back(&self) -> Result<Plan, PlanRefusal> {
        let it = |title: &str, deed, undo: Option<Deed>, timeout| {
            step(title, self.effect(deed, timeout), undo.map(|undo| self.effect(undo, SHORT)))
        };
        Plan::new(vec![
            it("note how the directory is initialised", Deed::KeepBackend, Some(Deed::PutBackendBack), SHORT),
            it("put the copy there as a local state", Deed::Place, Some(Deed::Unplace), SHORT),
            it("tell Terraform to use it", Deed::Override, Some(Deed::DropOverride), SHORT),
            it("initialise the directory anew", Deed::Init, None, LONG),
        ])
    }

    /// Steps of coming back; `change` takes the local state to the server, where it changed.
    pub fn come_back(&self, change: Option<&Change>) -> Result<Plan, PlanRefusal> {
        let mut steps = change.map(Change::steps).unwrap_or_default();
        let it = |title: &str, deed, undo: Option<Deed>| {
            step(title, self.effect(deed, LONG), undo.map(|undo| self.effect(undo, LONG)))
        };
        steps.push(it("let Terraform use the server again", Deed::DropOverride, Some(Deed::Reinstate)));
        steps.push(it("initialise the directory anew", Deed::Init, None));
        steps.push(it("move the local state out of the way", Deed::Retire, Some(Deed::Unretire)));
        Plan::new(steps)
    }
}

fn effect(deed: Deed, parameters: BTreeMap<String, String>, timeout: Duration, repeat: Repeat) -> Effect {
    Effect { name: deed.as_str().to_owned(), parameters, timeout, repeat }
}

fn step(title: &str, effect: Effect, undo: Option<Effect>) -> Step {
    Step { title: title.to_owned(), task: Task::Do { effect, undo } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_copied_aside_is_known_and_nothing_else() {
        let id = "0123abcd-4567-89ab-cdef-0123456789ab";
        assert!(is_aside(&format!("env:/prod/terraform.tfstate{}", aside(id))));
        for other in ["prod.tfstate", "prod.before-friday.tfstate", "a.before-0123abcd", &aside(id)] {
            assert!(!is_aside(other), "{other}");
        }
    }
}
