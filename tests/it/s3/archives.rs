//! Archives and dumps in a bucket: judged as those in a directory are, which rclone copied there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

const SECRET_FILE: &str = "secret";

/// Directories with archives and dumps, good and broken, and the bucket that they are copied to.
struct Copied {
    place: TempDir,
    server: S3,
}

impl Copied {
    async fn new() -> Self {
        let server = S3::weed().await;
        server.boto("s3.create_bucket(Bucket='backups')\n");
        let it = Self { place: tempfile::tempdir().unwrap(), server };
        std::fs::write(it.path(SECRET_FILE), SECRET).unwrap();
        for directory in ["dump", "sql"] {
            std::fs::create_dir(it.path(directory)).unwrap();
        }
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Puts a fixture there, as of a day on which nobody writes it any more.
    fn put(&self, fixture: &str, name: &str) {
        self.put_text(&std::fs::read(repository("tests/fixtures").join(fixture)).unwrap(), name);
    }

    fn put_text(&self, text: &[u8], name: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let then = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_232_860);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }

    /// Copies the directories to the bucket with rclone.
    fn copy(&self) {
        for directory in ["dump", "sql"] {
            let output = python("rclone")
                .args([
                    "copy",
                    "--quiet",
                    "--config",
                    "/dev/null",
                    "--s3-provider",
                    "SeaweedFS",
                    "--s3-region",
                    "us-east-1",
                ])
                .args([
                    "--s3-endpoint",
                    &self.server.url,
                    "--s3-access-key-id",
                    ACCESS,
                    "--s3-secret-access-key",
                    SECRET,
                ])
                .arg(self.path(directory))
                .arg(format!(":s3:backups/off site/{directory}"))
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
        }
    }

    fn configuration(&self) -> PathBuf {
        let file = self.path("firedrill.toml");
        let patterns = ["{db}.db", "{db}.sql", "{db}.sql.*", "{db}.dump", "{db}.tar", "sub/{db}.dump"];
        let patterns: Vec<String> = patterns.iter().map(|it| format!("{{ pattern = \"{it}\" }}")).collect();
        let text = format!(
            "[store]\nurl = \"sqlite://{0}/firedrill.db\"\n[verify]\nnice = 0\nidle_io = false\n\
             [[s3]]\nname = \"minio\"\nendpoint = \"{1}\"\naccess_key = \"{ACCESS}\"\nsecret_key_file = \"{0}/{SECRET_FILE}\"\n\
             [[vzdump]]\nname = \"pve\"\ntime_zone = \"UTC\"\nscan_interval = \"1s\"\n\
             roots = [{{ path = \"{0}/dump\" }}, {{ path = \"s3://backups/off site/dump\", server = \"minio\" }}]\n\
             [[dump]]\nname = \"sql\"\ntime_zone = \"UTC\"\nscan_interval = \"1s\"\n\
             roots = [{{ path = \"{0}/sql\" }}, {{ path = \"s3://backups/off site/sql/\", server = \"minio\", medium = \"offsite\" }}]\n\
             patterns = [{2}]\n",
            self.place.path().display(),
            self.server.url,
            patterns.join(", ")
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    fn verify(&self, config: &Path) -> Value {
        let output =
            firedrill().args(["verify", "--json", "--config.file", config.to_str().unwrap()]).output().unwrap();
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)))
    }
}

/// Everything that is said of an archive but where it lies and how long it took.
fn said(archive: &Value) -> Value {
    let mut said = archive.clone();
    for of_place in ["archive", "started", "seconds", "bytes_per_second"] {
        said.as_object_mut().unwrap().remove(of_place);
    }
    // How much was unpacked before damage was found depends on the pieces that a reading comes in.
    if said["verdict"] == "damaged" {
        (said["unpacked"], said["evidence"]["unpacked"]) = (Value::Null, Value::Null);
    }
    said
}

#[tokio::test]
async fn what_is_in_a_bucket_is_judged_as_what_is_in_a_directory() {
    let it = Copied::new().await;
    let mut fixtures: Vec<_> =
        std::fs::read_dir(repository("tests/fixtures/compressed")).unwrap().map(|it| it.unwrap().file_name()).collect();
    fixtures.sort();
    for (at, name) in fixtures.iter().filter_map(|name| name.to_str()).filter(|name| name.contains(".vma.")).enumerate()
    {
        let (_, ending) = name.split_once(".vma.").unwrap();
        it.put(
            &format!("compressed/{name}"),
            &format!("dump/vzdump-qemu-{}-2026_01_01-02_00_00.vma.{ending}", 100 + at),
        );
    }
    for (fixture, name) in [
        ("dumps/pg_custom.dump", "sql/sub/shop.dump"),
        ("dumps/mysqldump.sql", "sql/crm.sql"),
        ("dumps/pg_tar.tar", "sql/wiki.tar"),
        ("dumps/logs/half.db", "sql/half.db"),
        ("dumps/logs/half.db-wal", "sql/half.db-wal"),
        ("dumps/logs/hot.db", "sql/hot.db"),
        ("dumps/logs/hot.db-journal", "sql/hot.db-journal"),
        ("dumps/sqlite.db", "sql/ä b+c%41.db"),
        ("field/lost-connection.sql.zst", "sql/lost.sql.zst"),
        ("dumps/pg_plain.sql", "sql/summed.sql"),
        ("dumps/pg_plain.sql", "sql/wrong.sql"),
    ] {
        it.put(fixture, name);
    }
    it.put_text(b"", "sql/nothing.sql");
    let sums = |of: &str, name: &str| {
        let output = Command::new("sha256sum").arg(of).current_dir(it.path("sql")).output().unwrap();
        it.put_text(stdout(&output).replace(of, name.trim_end_matches(".sha256")).as_bytes(), &format!("sql/{name}"));
    };
    sums("summed.sql", "summed.sql.sha256");
    sums("crm.sql", "wrong.sql.sha256");
    it.copy();
    let config = it.configuration();
    let report = it.verify(&config);
    let mut here: BTreeMap<String, Value> = BTreeMap::new();
    let mut there = here.clone();
    for archive in report["archives"].as_array().unwrap() {
        let path = archive["archive"].as_str().unwrap();
        let (side, name) = match path.strip_prefix("s3://backups/off site/") {
            Some(name) => (&mut there, name),
            None => (&mut here, path.strip_prefix(&format!("{}/", it.place.path().display())).unwrap()),
        };
        side.insert(name.to_owned(), said(archive));
    }
    assert!(here.len() >= 35, "{here:#?}");
    assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    for (name, said) in &here {
        assert_eq!(said, &there[name], "{name}");
    }
    let verdict = |name: &str| there[name]["verdict"].as_str().unwrap();
    let verdicts = ["sql/wrong.sql", "sql/summed.sql", "sql/half.db", "sql/sub/shop.dump"].map(verdict);
    assert_eq!(verdicts, ["damaged", "intact", "intact", "intact"]);
    assert!(!there.contains_key("sql/nothing.sql"), "what is empty is a failed backup, and not read");
}

/// Copies in a bucket count by their medium; a server that is gone says nothing of them, and what is replaced is read again.
#[tokio::test]
async fn copies_in_a_bucket_count_and_are_watched() {
    let it = Copied::new().await;
    let archive = "vzdump-qemu-100-2026_01_01-02_00_00.vma.zst";
    it.put("compressed/c00-good.vma.zst", &format!("dump/{archive}"));
    it.put_text(b"INFO: Starting Backup of VM 100 (qemu)\n", &format!("dump/{}", archive.replace(".vma.zst", ".log")));
    it.put_text(b"the old server", &format!("dump/{archive}.notes"));
    it.put("dumps/pg_custom.dump", "sql/shop.dump");
    it.copy();
    let daemon = Daemon::start(&["--config.file", it.configuration().to_str().unwrap()]).await;
    let item = "source=\"pve\",item=\"qemu/100\"";
    shows(
        &daemon,
        &[
            &format!("firedrill_backup_medium_copies{{{item},medium=\"local\"}} 1"),
            &format!("firedrill_backup_medium_copies{{{item},medium=\"s3\"}} 1"),
            "firedrill_backup_medium_copies{source=\"sql\",item=\"dump/shop\",medium=\"offsite\"} 1",
            "firedrill_proof_level{source=\"sql\",item=\"dump/shop\"} 3",
        ],
    )
    .await;
    let both = || async { (daemon.process.log().matches("qemu/100 verified: intact").count() == 2).then_some(()) };
    until("both copies are read", both).await;
    // The one in the bucket goes bad; the one on the disk is as it was.
    it.server.boto(&format!(
        "body = s3.get_object(Bucket='backups', Key='off site/dump/{archive}')['Body'].read()\n\
         put('off site/dump/{archive}', body[:-100] + bytes(100), 'backups')\n"
    ));
    until("the damage is found", || async { daemon.process.log().contains("qemu/100 is damaged").then_some(()) }).await;
    let pid = rustix::process::Pid::from_raw(it.server.process.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    shows(&daemon, &["firedrill_source_up{source=\"pve\",kind=\"vzdump\"} 0"]).await;
    assert!(daemon.process.stop().success());
}
