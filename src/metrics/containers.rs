//! Containers that something depends on.

use std::sync::Arc;

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use crate::domain::container::{Container, ContainerHealth, ContainerState};
use crate::domain::inventory::{Inventory, SourceView};

const CONTAINER: &[&str] = &["source", "container"];

static INFO: Description = Description::gauge(
    "firedrill_container_info",
    &["source", "container", "image"],
    "A container that is watched; always 1. Cached from the last scan.",
);
static STATE: Description = Description::gauge(
    "firedrill_container_state",
    &["source", "container", "state"],
    "What a container does: exactly one state is 1. Absent while its engine can't be asked. Cached from the last scan.",
);
static HEALTH: Description = Description::gauge(
    "firedrill_container_health",
    &["source", "container", "health"],
    "What the check of a running container says, where it has one: exactly one is 1. Cached from the last scan.",
);
static RESTARTS: Description = Description::counter(
    "firedrill_container_restarts_total",
    CONTAINER,
    "How often the engine started a container again by itself, since it was made. Cached from the last scan.",
);
static STARTED: Description = Description::gauge(
    "firedrill_container_started_timestamp_seconds",
    CONTAINER,
    "When a container was started last, as Unix time; absent where it never was. Cached from the last scan.",
);
static EXIT_CODE: Description = Description::gauge(
    "firedrill_container_exit_code",
    CONTAINER,
    "What a container that doesn't run ended with. Cached from the last scan.",
);
static OUT_OF_MEMORY: Description = Description::gauge(
    "firedrill_container_out_of_memory",
    CONTAINER,
    "1 if the kernel ended a container for want of memory the last time, else 0. Cached from the last scan.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 7] = [&INFO, &STATE, &HEALTH, &RESTARTS, &STARTED, &EXIT_CODE, &OUT_OF_MEMORY];

/// Fills the families of this file.
pub fn collect(inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let (mut info, mut states, mut health) = (INFO.family(), STATE.family(), HEALTH.family());
    each(inventory, |source, name, it| {
        if it.state != ContainerState::Missing {
            info.add(&[source, name, &it.image], 1.0);
        }
        for state in ContainerState::ALL {
            states.add(&[source, name, state.as_str()], is(state == it.state));
        }
        for found in it.health.iter().flat_map(|_| ContainerHealth::ALL) {
            health.add(&[source, name, found.as_str()], is(Some(found) == it.health));
        }
    });
    out(info);
    out(states);
    out(health);
    let mut of_each = |description: &'static Description, value: &dyn Fn(&Container) -> Option<f64>| {
        let mut family = description.family();
        each(inventory, |source, name, it| {
            if let Some(value) = value(it).filter(|_| it.state != ContainerState::Missing) {
                family.add(&[source, name], value);
            }
        });
        out(family);
    };
    of_each(&RESTARTS, &|it| Some(it.restarts as f64));
    of_each(&STARTED, &|it| it.started.map(seconds));
    of_each(&EXIT_CODE, &|it| it.exit_code.map(|code| code as f64));
    of_each(&OUT_OF_MEMORY, &|it| Some(is(it.out_of_memory)));
}

fn is(so: bool) -> f64 {
    f64::from(u8::from(so))
}

/// The containers of engines that could be asked: of the others nobody knows how they are now.
fn each(inventory: &Inventory, mut visit: impl FnMut(&str, &str, &Container)) {
    let asked = |view: &&Arc<SourceView>| view.health.saw("containers");
    for view in inventory.sources.iter().filter(asked) {
        for (name, container) in view.estate.containers.iter().flat_map(|book| &book.0) {
            visit(view.spec.name.as_str(), name, container);
        }
    }
}
