//! Directories and the API of one cluster are one source.

use std::fs;

use super::*;
use crate::support::repository;

#[tokio::test]
async fn directories_and_api_of_one_name_are_one_and_nothing_is_there_twice() {
    let now = now();
    let place = tempfile::tempdir().unwrap();
    let dump = place.path().join("dump");
    fs::create_dir(&dump).unwrap();
    // The share of the cluster is mounted here: one of the archives that the API lists is read.
    let stamp = jiff::Timestamp::from_second(now - 8 * 3600).unwrap().strftime("%Y_%m_%d-%H_%M_%S").to_string();
    let archive = dump.join(format!("vzdump-qemu-100-{stamp}.vma.zst"));
    fs::copy(repository("tests/fixtures/vma/good/vzdump-qemu-110-2026_11_01-02_10_00.vma.zst"), &archive).unwrap();
    let at = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(now - 8 * 3600 + 60).unwrap());
    fs::File::options().write(true).open(&archive).unwrap().set_modified(at).unwrap();
    let pve = Pve::start(cluster(now)).await;
    let text = format!(
        "[[vzdump]]\nname = \"home\"\ntime_zone = \"UTC\"\nscan_interval = \"1s\"\nroots = [{{ path = {dump:?}, medium = \"nfs\" }}]\n{}",
        section(&[pve.url()], &pve.fingerprint, "")
    );
    let file = place.path().join("firedrill.toml");
    let store = format!(
        "[store]\nurl = \"sqlite://{}/firedrill.db\"\n[verify]\nnice = 0\nidle_io = false\n",
        place.path().display()
    );
    fs::write(&file, store + &text).unwrap();
    let daemon = Daemon::start(&["--config.file", file.to_str().unwrap()]).await;
    shows(
        &daemon,
        &[
            UP,
            "firedrill_backup_copies{source=\"home\",item=\"qemu/100\"} 3",
            "firedrill_backup_medium_copies{source=\"home\",item=\"qemu/100\",medium=\"nfs\"} 1",
            "firedrill_proof_state{source=\"home\",item=\"qemu/100\",state=\"passed\"} 1",
            &state("qemu/101", "failed"),
            &of("guest_in_job", ",item=\"lxc/201\"", "0"),
        ],
    )
    .await;
    let text = daemon.metrics().await;
    assert!(!text.contains("firedrill_proof_state{source=\"home\",item=\"lxc/201\""), "it is only listed: {text}");
    // Without the API the directory is known still, and what only the API could tell isn't.
    drop(pve);
    shows(&daemon, &[DOWN, &state("qemu/101", "unknown")]).await;
    assert!(!daemon.metrics().await.contains("firedrill_proxmox_"));
}
