//! A cluster of Proxmox VE by its API: what it tells is shown, and what it doesn't let us see is unknown.

mod joined;
mod misbehaving;
mod stand_in;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

pub use self::stand_in::{Answer, Pve, TOKEN_ID, TOKEN_SECRET, cluster};
use crate::s3::shows;
use crate::support::{Daemon, run, stderr, until};

fn now() -> i64 {
    let at = std::fs::metadata("/proc/self").unwrap().modified().unwrap();
    jiff::Timestamp::try_from(at).unwrap().as_second()
}

fn section(urls: &[String], fingerprint: &str, keys: &str) -> String {
    format!(
        "[[proxmox]]\nname = \"home\"\nurls = {urls:?}\nfingerprint = \"{fingerprint}\"\ntoken_id = \"{TOKEN_ID}\"\n\
         token_secret = \"{TOKEN_SECRET}\"\nscan_interval = \"1s\"\nscan_timeout = \"3s\"\n{keys}\n"
    )
}

fn write(place: &Path, text: &str) -> PathBuf {
    let file = place.join("firedrill.toml");
    std::fs::write(&file, format!("[verify]\nenabled = false\n{text}")).unwrap();
    file
}

async fn watching(place: &Path, text: &str) -> Daemon {
    Daemon::start(&["--config.file", write(place, text).to_str().unwrap()]).await
}

const UP: &str = "firedrill_source_up{source=\"home\",kind=\"proxmox\"} 1";
const DOWN: &str = "firedrill_source_up{source=\"home\",kind=\"proxmox\"} 0";

fn state(item: &str, state: &str) -> String {
    format!("firedrill_backup_state{{source=\"home\",item=\"{item}\",state=\"{state}\"}} 1")
}

/// A line of a family of the cluster.
fn of(family: &str, labels: &str, value: &str) -> String {
    format!("firedrill_proxmox_{family}{{source=\"home\"{labels}}} {value}")
}

#[tokio::test]
async fn what_a_cluster_tells_is_shown() {
    let now = now();
    let pve = Pve::start(cluster(now)).await;
    let place = tempfile::tempdir().unwrap();
    let daemon = watching(place.path(), &section(&[pve.url()], &pve.fingerprint, "")).await;
    shows(
        &daemon,
        &[
            UP,
            &state("qemu/100", "ok"),
            &state("qemu/101", "failed"),
            &state("lxc/200", "failed"),
            &state("lxc/201", "ok"),
            "firedrill_backup_copies{source=\"home\",item=\"qemu/100\"} 3",
            // What the backup server found damaged is no copy.
            "firedrill_backup_copies{source=\"home\",item=\"qemu/101\"} 2",
            "firedrill_item_info{source=\"home\",item=\"qemu/100\",kind=\"qemu\",name=\"web\",environment=\"\",node=\"pve1\"} 1",
            "firedrill_source_passed_over_files{source=\"home\"} 1",
            &of("node_up", ",node=\"pve2\"", "1"),
            &of("quorate", "", "1"),
            &of("guest_running", ",item=\"lxc/200\",node=\"pve2\"", "0"),
            &of("guest_in_job", ",item=\"qemu/100\"", "1"),
            &of("guest_in_job", ",item=\"lxc/201\"", "0"),
            &of("backup_job_enabled", ",job=\"backup-2\"", "0"),
            &of("backup_job_next_run_timestamp_seconds", ",job=\"backup-1\"", &(now + 3600).to_string()),
            &of("backup_job_info", ",job=\"backup-1\",schedule=\"02:00\",storage=\"nas\"", "1"),
            &of("storage_free_bytes", ",storage=\"nas\",node=\"\"", "600"),
            &of("storage_active", ",storage=\"local\",node=\"pve2\"", "1"),
            &of("backup_server_snapshots", ",storage=\"pbs1\",node=\"\",verification=\"failed\"", "1"),
            &of("replication_failures", ",replication=\"100-0\"", "3"),
            &of("replication_duration_seconds", ",replication=\"100-0\"", "4.5"),
            &of("replication_last_sync_timestamp_seconds", ",replication=\"100-0\"", &(now - 3600).to_string()),
            &of("ha_service_failed", ",service=\"ct:200\",state=\"error\"", "1"),
            &of("ha_service_failed", ",service=\"vm:100\",state=\"started\"", "0"),
        ],
    )
    .await;
    let text = daemon.metrics().await;
    // A template needs no backup; nobody can read what is only listed, so nothing is said of proofs.
    assert!(
        !text.contains("firedrill_backup_state{source=\"home\",item=\"qemu/900\"")
            && !text.contains("firedrill_proof_state")
    );
    let page = crate::support::get(&daemon.url("/")).await.unwrap().1;
    assert!(page.contains("no lock") && page.contains("exit code 1"), "{page}");
    for trouble in ["HA of ct:200", "it failed 3 times in a row", "no backup job covers it", "damaged snapshots: 1"] {
        assert!(page.contains(trouble), "{trouble}: {page}");
    }

    // One question for each storage and node beside a fixed number; the log of a run is read once.
    pve.asked();
    until("three more looks", || async {
        let asked = pve.shared_asked();
        (asked.iter().filter(|it| it.ends_with("cluster/status")).count() >= 3).then_some(())
    })
    .await;
    let asked = pve.asked();
    let looks = asked.iter().filter(|it| it.ends_with("cluster/status")).count();
    assert!(asked.len() <= 14 * (looks + 1), "{looks} looks: {asked:#?}");
    assert!(!asked.iter().any(|it| it.contains("/log?")), "{asked:#?}");
    assert!(!asked.iter().any(|it| it.contains("pve2/storage/nas")), "a shared storage is listed once: {asked:#?}");
}

#[tokio::test]
async fn what_goes_on_is_seen() {
    let now = now();
    let pve = Pve::start(cluster(now)).await;
    let place = tempfile::tempdir().unwrap();
    let keys = "storages = [{ name = \"nas\", medium = \"nfs\" }, { name = \"pbs1\", medium = \"offsite\" }]\nexclude = { ids = [\"201\"] }\nexpected = [\"qemu/777\"]";
    let daemon = watching(place.path(), &section(&[pve.url()], &pve.fingerprint, keys)).await;
    let media = |medium: &str, count: u32| {
        format!("firedrill_backup_medium_copies{{source=\"home\",item=\"qemu/100\",medium=\"{medium}\"}} {count}")
    };
    shows(&daemon, &[UP, &media("nfs", 2), &media("offsite", 1), &state("qemu/777", "missing")]).await;
    assert!(!daemon.metrics().await.contains("state{source=\"home\",item=\"lxc/201\""), "it is excluded");
    // A backup begins, and ends well this time.
    let mut resources = cluster(now)["cluster/resources"].clone();
    resources[1]["lock"] = json!("backup");
    pve.say("cluster/resources", Answer::Data(resources));
    let mut tasks = cluster(now)["nodes/pve1/tasks"].clone();
    tasks.as_array_mut().unwrap().insert(
        0,
        json!({"upid": "UPID:pve1:00009:00:00:vzdump:101:root@pam:", "node": "pve1", "type": "vzdump", "id": "101", "starttime": now - 60}),
    );
    pve.say("nodes/pve1/tasks", Answer::Data(tasks));
    shows(&daemon, &[&state("qemu/101", "running")]).await;
    let fresh = cluster(now);
    pve.say("cluster/resources", Answer::Data(fresh["cluster/resources"].clone()));
    pve.say("nodes/pve1/tasks", Answer::Data(fresh["nodes/pve1/tasks"].clone()));
    let mut content = fresh["nodes/pve1/storage/nas/content"].clone();
    let row = json!({"volid": "nas:backup/vzdump-qemu-101-2026_01_01-00_00_00.vma.zst", "format": "vma.zst", "subtype": "qemu", "vmid": 101,
        "ctime": now - 50, "size": 10, "notes": "db"});
    content.as_array_mut().unwrap().push(row);
    pve.say("nodes/pve1/storage/nas/content", Answer::Data(content));
    shows(&daemon, &[&state("qemu/101", "ok")]).await;
}

/// Another cluster writes to the same share, and has a guest of the same number.
#[tokio::test]
async fn backups_of_another_cluster_on_the_same_share_are_not_ours() {
    let now = now();
    let mut answers = cluster(now);
    let foreign = json!({"volid": "nas:backup/vzdump-qemu-102-2026_01_01-00_00_00.vma.zst", "format": "vma.zst", "subtype": "qemu", "vmid": 102,
        "ctime": now - 3600, "size": 10, "notes": "theirs"});
    answers.get_mut("nodes/pve1/storage/nas/content").unwrap().as_array_mut().unwrap().push(foreign);
    let ours =
        json!({"id": "qemu/102", "type": "qemu", "vmid": 102, "name": "ours", "node": "pve1", "status": "running"});
    answers.get_mut("cluster/resources").unwrap().as_array_mut().unwrap().push(ours);
    let pve = Pve::start(answers).await;
    let place = tempfile::tempdir().unwrap();
    let daemon = watching(place.path(), &section(&[pve.url()], &pve.fingerprint, "")).await;
    shows(
        &daemon,
        &[UP, &state("qemu/102", "missing"), "firedrill_item_unprotected{source=\"home\",item=\"qemu/102\"} 1"],
    )
    .await;
    // What nobody would call a guest is a note of a person.
    let mut content = cluster(now)["nodes/pve1/storage/nas/content"].clone();
    content.as_array_mut().unwrap().push(json!({"volid": "nas:backup/vzdump-qemu-102-2026_01_02-00_00_00.vma.zst", "format": "vma.zst", "subtype": "qemu",
        "vmid": 102, "ctime": now - 3600, "size": 10, "notes": "before the upgrade"}));
    let before = cluster(now)["nodes/pve1/storage/nas/content"].clone();
    pve.say("nodes/pve1/storage/nas/content", Answer::Data(content));
    shows(&daemon, &[UP, &state("qemu/102", "ok")]).await;
    let mut content = before;
    content.as_array_mut().unwrap().push(json!({"volid": "nas:backup/vzdump-qemu-102-2026_01_01-00_00_00.vma.zst", "format": "vma.zst", "subtype": "qemu",
        "vmid": 102, "ctime": now - 3600, "size": 10, "notes": "theirs"}));
    pve.say("nodes/pve1/storage/nas/content", Answer::Data(content));
    shows(&daemon, &[UP, &state("qemu/102", "missing")]).await;
    // Where jobs note something else, notes say nothing of whose backups they are.
    let mut jobs = cluster(now)["cluster/backup"].clone();
    jobs[0]["notes-template"] = json!("{{cluster}} {{guestname}}");
    pve.say("cluster/backup", Answer::Data(jobs));
    shows(&daemon, &[UP, &state("qemu/102", "ok")]).await;
}

/// What lies on a storage that is down isn't known; that it is down is, and its rule must be able to fire.
#[tokio::test]
async fn a_storage_or_a_node_that_is_down_is_told_of_though_its_backups_are_unknown() {
    let now = now();
    let pve = Pve::start(cluster(now)).await;
    let place = tempfile::tempdir().unwrap();
    let daemon = watching(place.path(), &section(&[pve.url()], &pve.fingerprint, "")).await;
    shows(&daemon, &[UP, &of("storage_active", ",storage=\"nas\",node=\"\"", "1")]).await;
    let mut resources = cluster(now)["cluster/resources"].clone();
    for row in resources.as_array_mut().unwrap().iter_mut().filter(|row| row["storage"] == "nas") {
        row["status"] = json!("unknown");
    }
    pve.say("cluster/resources", Answer::Data(resources));
    let down = of("storage_active", ",storage=\"nas\",node=\"\"", "0");
    shows(&daemon, &[DOWN, &state("qemu/100", "unknown"), &down, &of("node_up", ",node=\"pve2\"", "1")]).await;
    pve.say("cluster/resources", Answer::Data(cluster(now)["cluster/resources"].clone()));
    shows(&daemon, &[UP]).await;
    // A node with a storage of its own.
    let mut status = cluster(now)["cluster/status"].clone();
    status[2]["online"] = json!(0);
    pve.say("cluster/status", Answer::Data(status));
    let local = of("storage_active", ",storage=\"local\",node=\"pve2\"", "0");
    shows(&daemon, &[DOWN, &of("node_up", ",node=\"pve2\"", "0"), &local]).await;
    // Sums over what isn't known whole: as of the last look where one was, nothing of a source that was never seen.
    let compat = crate::support::get(&daemon.url("/api/metrics")).await.unwrap().1;
    assert!(compat.contains("\nesxi_backups_failed_total 3\n"), "{compat}");
    assert!(
        !compat.contains("\nesxi_verifications_") && !compat.contains("\nesxi_servers_"),
        "nothing is verified: {compat}"
    );
    let never = section(&["https://127.0.0.1:1".to_owned()], &pve.fingerprint, "");
    assert!(daemon.process.stop().success());
    let daemon = watching(place.path(), &never).await;
    shows(&daemon, &[DOWN]).await;
    let compat = crate::support::get(&daemon.url("/api/metrics")).await.unwrap().1;
    assert!(!compat.contains("esxi_"), "could-not-look is no 0: {compat}");
}

/// Each node mounts the share by itself, and nobody told Proxmox VE that it is shared.
#[tokio::test]
async fn a_share_that_is_not_called_shared_is_counted_once() {
    let mut answers = cluster(now());
    for row in answers.get_mut("cluster/resources").unwrap().as_array_mut().unwrap() {
        if row["storage"] == "nas" {
            row["shared"] = json!(0);
        }
    }
    let content = answers["nodes/pve1/storage/nas/content"].clone();
    answers.insert("nodes/pve2/storage/nas/content".to_owned(), content);
    let pve = Pve::start(answers).await;
    let place = tempfile::tempdir().unwrap();
    let daemon = watching(place.path(), &section(&[pve.url()], &pve.fingerprint, "")).await;
    shows(&daemon, &[UP, "firedrill_backup_copies{source=\"home\",item=\"qemu/100\"} 3"]).await;
}

#[tokio::test]
async fn answers_in_a_file_do_as_well() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("answers.json");
    std::fs::write(&file, serde_json::to_vec(&cluster(now())).unwrap()).unwrap();
    let text = format!(
        "[[proxmox]]\nname = \"home\"\nurls = [\"file://{}\"]\nscan_interval = \"1s\"\nscan_timeout = \"3s\"\n",
        file.display()
    );
    let daemon = watching(place.path(), &text).await;
    shows(&daemon, &[UP, &state("qemu/100", "ok"), &state("lxc/200", "failed"), &of("quorate", "", "1")]).await;
    let long_ago = std::fs::metadata("/proc/self").unwrap().modified().unwrap() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    shows(&daemon, &[DOWN, &state("qemu/100", "unknown")]).await;
    assert!(!daemon.metrics().await.contains("firedrill_proxmox_"));
}

#[test]
fn what_is_wrong_with_the_section_is_said_with_its_key() {
    let place = tempfile::tempdir().unwrap();
    let base = |keys: &str| format!("[[proxmox]]\nname = \"home\"\n{keys}\n");
    let token = "token_id = \"a@pve!b\"\ntoken_secret = \"very-secret\"\n";
    for (keys, said) in [
        (format!("urls = [\"http://pve:8006\"]\n{token}"), "proxmox.0.urls"),
        (format!("urls = []\n{token}"), "proxmox.0.urls"),
        (format!("urls = [\"https://pve:8006\", \"file:///x\"]\n{token}"), "proxmox.0.urls"),
        ("urls = [\"https://pve:8006\"]\ntoken_id = \"root@pam\"".to_owned(), "proxmox.0.token_id"),
        (format!("urls = [\"https://pve:8006\"]\nfingerprint = \"12:34\"\n{token}"), "SHA-256"),
        (
            format!("urls = [\"https://pve:8006\"]\nstorages = [{{ name = \"a/b\" }}]\n{token}"),
            "proxmox.0.storages.0.name",
        ),
        (format!("urls = [\"https://pve:8006\"]\nexpected = [\"dump/x\"]\n{token}"), "proxmox.0.expected.0"),
        (format!("urls = [\"https://pve:8006\"]\nexclude = {{ ids = [\"x\"] }}\n{token}"), "proxmox.0.exclude"),
        (
            format!("urls = [\"https://pve:8006\"]\n{token}{}", base(&format!("urls = [\"https://x:1\"]\n{token}"))),
            "is called home already",
        ),
    ] {
        let output = run(&["check-config", "--config.file", write(place.path(), &base(&keys)).to_str().unwrap()]);
        assert!(!output.status.success() && stderr(&output).contains(said), "{keys}: {}", stderr(&output));
        assert!(!stderr(&output).contains("very-secret"), "{}", stderr(&output));
    }
}
