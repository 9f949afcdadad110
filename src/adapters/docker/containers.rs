//! What the answers of an engine say of a container.

use std::sync::Arc;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, HealthStatusEnum as Check,
    RestartPolicyNameEnum as Policy,
};
use jiff::Timestamp;

use crate::domain::container::{Container, ContainerHealth, ContainerState};
use crate::domain::printable::printable;

/// A name that is longer is none of Docker's.
const LONGEST_NAME: usize = 255;

/// The name of a container and how it is; `None` where the answer says neither.
pub(super) fn container(answer: &ContainerInspectResponse) -> Option<(Arc<str>, Container)> {
    let name = answer.name.as_deref()?.trim_start_matches('/');
    if name.is_empty() || name.len() > LONGEST_NAME {
        return None;
    }
    let told = answer.state.as_ref()?;
    let state = state(answer)?;
    let runs = matches!(state, ContainerState::Running | ContainerState::Paused);
    let image = answer.config.as_ref().and_then(|it| it.image.as_deref()).or(answer.image.as_deref());
    let found = Container {
        state,
        health: told.health.as_ref().filter(|_| runs).and_then(|it| health(it.status?)),
        restarts: answer.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
        image: printable(image.unwrap_or_default().as_bytes()).into(),
        // `0001-01-01T00:00:00Z` says that it never was.
        started: told.started_at.as_deref().and_then(|at| at.parse().ok()).filter(|at| *at > Timestamp::UNIX_EPOCH),
        exit_code: told.exit_code.filter(|_| !runs && state != ContainerState::Created),
        out_of_memory: told.oom_killed.unwrap_or(false),
    };
    Some((printable(name.as_bytes()).into(), found))
}

fn state(answer: &ContainerInspectResponse) -> Option<ContainerState> {
    let told = answer.state.as_ref()?;
    Some(match told.status? {
        Status::CREATED => ContainerState::Created,
        Status::RUNNING => ContainerState::Running,
        Status::PAUSED => ContainerState::Paused,
        Status::RESTARTING => ContainerState::Restarting,
        Status::REMOVING | Status::STOPPING => ContainerState::Ending,
        Status::EXITED if told.exit_code == Some(0) && !is_kept_up(answer) => ContainerState::Completed,
        Status::EXITED => ContainerState::Exited,
        Status::DEAD => ContainerState::Dead,
        Status::EMPTY => return None,
    })
}

/// Whether it is started again however it ended: then it is a service, and none that has ended is fine.
fn is_kept_up(answer: &ContainerInspectResponse) -> bool {
    let policy = answer.host_config.as_ref().and_then(|it| it.restart_policy.as_ref()?.name);
    matches!(policy, Some(Policy::ALWAYS | Policy::UNLESS_STOPPED))
}

fn health(told: Check) -> Option<ContainerHealth> {
    match told {
        Check::STARTING => Some(ContainerHealth::Starting),
        Check::HEALTHY => Some(ContainerHealth::Healthy),
        Check::UNHEALTHY => Some(ContainerHealth::Unhealthy),
        Check::NONE | Check::EMPTY => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(state: &str, policy: &str) -> ContainerInspectResponse {
        let text = format!(
            r#"{{"Name":"/db","RestartCount":3,"State":{state},"HostConfig":{{"RestartPolicy":{{"Name":"{policy}"}}}},
                "Config":{{"Image":"postgres:16","Labels":{{"role":"db","empty":""}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn of(state: &str, policy: &str) -> Container {
        container(&answer(state, policy)).unwrap().1
    }

    #[test]
    fn a_job_that_ended_well_is_no_service_that_is_down() {
        let ended = r#"{"Status":"exited","ExitCode":0}"#;
        assert_eq!(of(ended, "no").state, ContainerState::Completed);
        assert_eq!(of(ended, "on-failure").state, ContainerState::Completed);
        assert_eq!(of(ended, "unless-stopped").state, ContainerState::Exited);
        assert_eq!(of(ended, "always").state, ContainerState::Exited);
        let failed = of(r#"{"Status":"exited","ExitCode":137,"OOMKilled":true}"#, "no");
        assert_eq!((failed.state, failed.exit_code), (ContainerState::Exited, Some(137)));
        assert!(failed.out_of_memory);
    }

    #[test]
    fn health_is_that_of_a_container_that_runs() {
        let runs = of(
            r#"{"Status":"running","StartedAt":"2026-11-26T01:02:03.5Z","ExitCode":0,"Health":{"Status":"unhealthy"}}"#,
            "always",
        );
        assert_eq!((runs.health, runs.exit_code), (Some(ContainerHealth::Unhealthy), None));
        assert_eq!((runs.restarts, &*runs.image), (3, "postgres:16"));
        assert_eq!(runs.started.unwrap().to_string(), "2026-11-26T01:02:03.5Z");
        // Docker keeps what the last check said before the end.
        let ended = of(r#"{"Status":"exited","ExitCode":1,"Health":{"Status":"healthy"}}"#, "always");
        assert_eq!(ended.health, None);
        let never = of(r#"{"Status":"created","StartedAt":"0001-01-01T00:00:00Z","ExitCode":0}"#, "");
        assert_eq!((never.started, never.exit_code), (None, None));
    }

    #[test]
    fn what_says_nothing_is_no_container() {
        for text in
            ["{}", r#"{"Name":"/a"}"#, r#"{"Name":"/","State":{"Status":"running"}}"#, r#"{"Name":"/a","State":{}}"#]
        {
            assert!(container(&serde_json::from_str(text).unwrap()).is_none(), "{text}");
        }
    }
}
