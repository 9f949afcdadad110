use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;

fn script(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("hook");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn hook(text: &str, arguments: &[&str], labels: &[(&str, &str)], limit: u64) -> Result<Outcome, Failure> {
    let place = tempfile::tempdir().unwrap();
    let program = script(place.path(), text);
    let action = Action::Hook {
        program: program.to_str().unwrap().into(),
        arguments: arguments.iter().map(|it| Arc::from(*it)).collect(),
        timeout: limit,
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        annotations: Labels::new(),
    };
    Hook.perform(&crate::domain::automation::record::example(7, action)).await
}

#[tokio::test]
async fn labels_come_by_the_environment_and_are_no_commands() {
    let evil = "$(touch /tmp/never); `id`\n\0\"'";
    let labels = [("alertname", evil), ("bad-name", "x"), ("PATH", "/evil")];
    let outcome =
        hook("echo \"$1|$FIREDRILL_LABEL_alertname|$FIREDRILL_ACTION|$PATH\"; env | sort", &["a b;c"], &labels, 10)
            .await
            .unwrap();
    let output = outcome.output.unwrap();
    let first = output.lines().next().unwrap();
    assert_eq!(first, format!("a b;c|$(touch /tmp/never); `id`  \"'|7|{PATH}"));
    assert!(!output.contains("bad-name") && !output.contains("HOME="), "{output}");
}

#[tokio::test]
async fn failures_say_why() {
    let failure = hook("echo broken >&2; exit 3", &[], &[], 10).await.unwrap_err();
    assert!(failure.reason.ends_with("failed: exit status: 3"), "{}", failure.reason);
    assert_eq!(failure.output.unwrap(), "broken\n");
}

#[tokio::test]
async fn output_is_capped_and_read_to_its_end() {
    let outcome = hook("head -c 3000000 /dev/zero | tr '\\0' x", &[], &[], 30).await.unwrap();
    assert!(outcome.output.unwrap().len() < MOST_OUTPUT + 100);
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn its_children_are_killed_with_it() {
    let place = tempfile::tempdir().unwrap();
    let pids = place.path().join("pids");
    let text = format!(
        "trap '' TERM\nsleep 1000 & echo $! >> {0}\nsetsid sleep 1000 & sleep 0.1; pgrep -n -f 'sleep 1000' >> {0}\necho $$ >> {0}\nwait\nsleep 1000",
        pids.display()
    );
    let failure = hook(&text, &[], &[], 1).await.unwrap_err();
    assert!(failure.reason.contains("was killed"), "{}", failure.reason);
    let pids = std::fs::read_to_string(pids).unwrap();
    assert!(pids.lines().count() >= 3, "{pids}");
    for pid in pids.lines() {
        assert!(!is_alive(pid), "{pid} of {pids:?} lives");
    }
}

#[tokio::test]
async fn its_children_have_time_to_clean_up() {
    let place = tempfile::tempdir().unwrap();
    let trace = place.path().join("trace");
    let child =
        format!("trap 'sleep 0.3; echo cleaned > {}; exit' TERM; while :; do sleep 0.05; done", trace.display());
    let failure = hook(&format!("sh -c \"{child}\" & wait"), &[], &[], 1).await.unwrap_err();
    assert!(failure.reason.contains("was killed"), "{}", failure.reason);
    assert_eq!(std::fs::read_to_string(trace).unwrap(), "cleaned\n");
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let pids = place.path().join("pids");
    let text = format!("setsid sleep 1000 & echo $$ >> {0}\nsleep 1000", pids.display());
    let run = tokio::spawn(async move { hook(&text, &[], &[], 100).await });
    let begun = std::time::Instant::now();
    while std::fs::read_to_string(&pids).unwrap_or_default().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    let pid = std::fs::read_to_string(pids).unwrap();
    let begun = std::time::Instant::now();
    while is_alive(&pid) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_everybody_could_change_is_not_run() {
    let place = tempfile::tempdir().unwrap();
    let program = script(place.path(), "true");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(check(program.to_str().unwrap()).unwrap_err().reason.contains("chmod o-w"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(check(program.to_str().unwrap()).is_err());
    assert!(check("/nowhere/at/all").is_err());
}
