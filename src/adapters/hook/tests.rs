use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::domain::automation::alert::Labels;

use super::*;

/// Written by a process of its own: what is open for writing here, a child that another test starts at that moment has open
/// too until it becomes its program, and until then nobody can run the script ("text file busy").
fn script(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("hook");
    let written = std::process::Command::new("sh")
        .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
        .args([path.as_os_str(), text.as_ref()])
        .status();
    assert!(written.unwrap().success());
    path
}

async fn hook(text: &str, arguments: &[&str], labels: &[(&str, &str)], limit: u64) -> Result<Outcome, EffectFailure> {
    let place = tempfile::tempdir().unwrap();
    let program = script(place.path(), text);
    let action = Action::Hook(hook::Hook {
        program: program.to_str().unwrap().into(),
        arguments: arguments.iter().map(|it| Arc::from(*it)).collect(),
        timeout: limit,
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        annotations: Labels::new(),
    });
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
    assert!(output.contains("FIREDRILL_LABEL_U__bad_2d_name=x\n"), "{output}");
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

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_a_good_hook_leaves_running_ends_with_its_timeout() {
    let place = tempfile::tempdir().unwrap();
    let (pids, trace) = (place.path().join("pids"), place.path().join("trace"));
    let polite = format!("trap 'echo cleaned > {}; exit' TERM; while :; do sleep 0.05; done", trace.display());
    let text = format!(
        "sh -c \"{polite}\" & echo $! >> {0}\nsetsid sh -c \"trap '' TERM; echo \\$\\$ >> {0}; while :; do sleep 0.05; done\" &\nwhile [ $(wc -l < {0}) -lt 2 ]; do sleep 0.02; done\nexit 0",
        pids.display()
    );
    let outcome = hook(&text, &[], &[], 3).await.unwrap();
    assert!(outcome.result.ends_with("ended well"), "{}", outcome.result);
    let pids = std::fs::read_to_string(pids).unwrap();
    eventually("what it left has ended", || pids.lines().all(|pid| !is_alive(pid))).await;
    assert_eq!(std::fs::read_to_string(trace).unwrap(), "cleaned\n");
}

#[tokio::test]
async fn what_it_leaves_running_can_go_on_writing() {
    let place = tempfile::tempdir().unwrap();
    let trace = place.path().join("trace");
    let go = place.path().join("go");
    let text = format!(
        "(while [ ! -e {} ]; do sleep 0.02; done; echo more; echo more >&2; echo written > {}) & echo begun",
        go.display(),
        trace.display()
    );
    let outcome = hook(&text, &[], &[], 60).await.unwrap();
    assert_eq!(outcome.output.unwrap(), "begun\n");
    std::fs::write(go, "").unwrap();
    eventually("it wrote", || trace.exists()).await;
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_place_that_everybody_can_change_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let inner = root.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    let program = script(&inner, "true");
    let refused = |path: &Path| inspect(path.to_str().unwrap()).refused;
    assert_eq!(refused(&program), None);
    for open in [&inner, &root.path().join("a")] {
        mode(open, 0o777);
        let reason = refused(&program).unwrap();
        assert!(reason.ends_with(&format!("chmod o-w {}", open.display())), "{reason}");
        // Nobody but the owner can put another file in its place.
        mode(open, 0o1777);
        assert_eq!(refused(&program), None);
        mode(open, 0o755);
    }
    // By way of a link that others can change, and one whose target lies where others can.
    let links = root.path().join("links");
    std::fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink("../a/b/hook", links.join("hook")).unwrap();
    assert_eq!(refused(&links.join("hook")), None);
    mode(&links, 0o757);
    assert!(refused(&links.join("hook")).unwrap().contains("links"));
    mode(&links, 0o755);
    mode(&inner, 0o757);
    assert!(refused(&links.join("hook")).unwrap().contains("a/b"));
    std::os::unix::fs::symlink("loop", links.join("loop")).unwrap();
    assert!(refused(&links.join("loop")).unwrap().contains("too many links"));
    assert!(refused(Path::new("relative")).is_some());
}

#[test]
fn what_another_user_or_group_can_change_is_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let inner = root.path().join("a");
    std::fs::create_dir(&inner).unwrap();
    let program = script(&inner, "true");
    let doubts = || inspect(program.to_str().unwrap()).doubts;
    assert_eq!(doubts(), Vec::<String>::new());
    std::os::unix::fs::chown(&inner, None, Some(65534)).unwrap();
    assert_eq!(doubts(), Vec::<String>::new());
    mode(&inner, 0o775);
    assert_eq!(doubts(), [format!("{0} can be changed by group 65534: chmod g-w {0}", inner.display())]);
    std::os::unix::fs::chown(&program, Some(65534), None).unwrap();
    assert_eq!(doubts().len(), 2);
    // Whoever owns what lies in a directory for everybody can change it.
    mode(&inner, 0o1777);
    assert!(inspect(program.to_str().unwrap()).refused.is_some());
}
