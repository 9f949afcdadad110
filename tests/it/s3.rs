//! States of Terraform in real S3 servers: SeaweedFS, with signatures, and moto, for many versions. boto3 makes the data.

mod archives;
mod health;
mod misbehaving;
pub(crate) mod tls;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::adapters::s3::{Credentials, Endpoint, StateSource, Watched};
use firedrill::domain::look::{ErrorKind, Look, Medium, PlaceSpec, SourceKind, SourceSpec};
use firedrill::domain::policy::Matcher;
use firedrill::domain::secret::Secret;
use firedrill::domain::state::Versioning;
use firedrill::engine::ports::{Clock as _, Source as _};
use tempfile::TempDir;

use crate::state::Between;
use crate::support::{Daemon, Running, firedrill, free_port, get, repository, stderr, stdout, until};

pub(crate) const ACCESS: &str = "firedrill";
pub(crate) const SECRET: &str = "a-secret-of-the-tests";

/// A program of the Python that `scripts/install-test-tools` makes.
fn python(program: &str) -> Command {
    Command::new(repository(&format!("target/python/bin/{program}")))
}

/// An S3 server of our own, gone with the process.
pub(crate) struct S3 {
    process: Running,
    pub(crate) url: String,
    _directory: TempDir,
}

impl S3 {
    /// moto: fast, takes any secret, and answers the question for versioning as nobody else does.
    async fn moto() -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        let mut command = python("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let it =
            Self { process: Running::start(command), url: format!("http://127.0.0.1:{port}"), _directory: directory };
        until("moto answers", || async { get(&it.url).await }).await;
        it
    }

    /// SeaweedFS: checks signatures, and is a server like others.
    pub(crate) async fn weed() -> Self {
        for _ in 0..3 {
            let it = Self::start_weed();
            let wait = tokio::time::timeout(Duration::from_secs(30), async {
                while get(&it.url).await.is_none() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            // Somebody else may have taken one of its ports meanwhile.
            if wait.await.is_ok() {
                return it;
            }
        }
        panic!("SeaweedFS doesn't answer");
    }

    fn start_weed() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("s3.json");
        let identity = serde_json::json!({"identities": [{
            "name": "admin",
            "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }]});
        std::fs::write(&config, identity.to_string()).unwrap();
        let ports = ports();
        let mut command = python("weed");
        command
            .arg("server")
            .arg(format!("-dir={}", directory.path().display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-filer", "-s3"])
            .arg(format!("-master.port={}", ports[0]))
            .arg(format!("-volume.port={}", ports[1]))
            .arg(format!("-filer.port={}", ports[2]))
            .arg(format!("-filer.localSocket={}", directory.path().join("f.sock").display()))
            .arg(format!("-s3.port={}", ports[3]))
            .arg(format!("-s3.config={}", config.display()))
            .arg(format!("-s3.localSocket={}", directory.path().join("s.sock").display()))
            // Those of its other doors have numbers of their own, which the next server would find taken.
            .args([
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.volumeSizeLimitMB=64",
                "-volume.max=100",
                "-volume.preStopSeconds=0",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let url = format!("http://127.0.0.1:{}", ports[3]);
        Self { process: Running::start(command), url, _directory: directory }
    }

    /// Runs a script with a client `s3` of boto3; what it prints.
    pub(crate) fn boto(&self, script: &str) -> String {
        let head = format!(
            "import boto3, json, time\nfrom botocore.config import Config\n\
             s3 = boto3.client('s3', endpoint_url='{}', aws_access_key_id='{ACCESS}', aws_secret_access_key='{SECRET}', \
             region_name='us-east-1', config=Config(s3={{'addressing_style': 'path'}}, retries={{'max_attempts': 10}}))\n\
             def state(serial, lineage='a', resources=1):\n    \
                 one = lambda n: {{'mode': 'managed', 'type': 'terraform_data', 'name': f'r{{n}}', 'instances': [{{}}]}}\n    \
                 return json.dumps({{'version': 4, 'terraform_version': '1.15.5', 'serial': serial, 'lineage': lineage, 'outputs': {{}}, 'resources': [one(n) for n in range(resources)]}}) + '\\n'\n\
             def put(key, body, bucket='tfstate'): return s3.put_object(Bucket=bucket, Key=key, Body=body).get('VersionId')\n",
            self.url
        );
        let output = python("python").arg("-c").arg(format!("{head}{script}")).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    }
}

/// Four free ports, each of which has a twin 10,000 above it that is free too.
fn ports() -> [u16; 4] {
    let mut held = Vec::new();
    while held.len() < 4 {
        let Ok(low) = std::net::TcpListener::bind("127.0.0.1:0") else { continue };
        let port = low.local_addr().unwrap().port();
        let Some(twin) = port.checked_add(10_000) else { continue };
        if let Ok(high) = std::net::TcpListener::bind(("127.0.0.1", twin)) {
            held.push((port, low, high));
        }
    }
    std::array::from_fn(|at| held[at].0)
}

pub(crate) const BUCKET: &str = "s3.create_bucket(Bucket='tfstate')\ns3.put_bucket_versioning(Bucket='tfstate', VersioningConfiguration={'Status': 'Enabled'})\n";

fn source(url: &str, prefix: &str) -> StateSource {
    source_as(url, prefix, SECRET)
}

fn source_as(url: &str, prefix: &str, secret: &str) -> StateSource {
    let keys = globset::GlobSetBuilder::new().add(globset::Glob::new("*.tfstate").unwrap()).build().unwrap();
    let watched = Watched { bucket: "tfstate".into(), prefix: prefix.into(), keys };
    let spec = SourceSpec {
        name: "minio".parse().unwrap(),
        kind: SourceKind::new("s3"),
        places: vec![PlaceSpec {
            path: format!("s3://tfstate/{prefix}").into(),
            medium: Medium::S3,
            node: None,
            readable: true,
        }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    };
    StateSource::new(Arc::new(spec), &endpoint(url, secret), vec![watched]).unwrap()
}

fn endpoint(url: &str, secret: &str) -> Endpoint {
    Endpoint {
        url: Some(url.to_owned()),
        region: "us-east-1".into(),
        path_style: true,
        ca_file: None,
        credentials: Credentials {
            access_key: ACCESS.into(),
            secret_key: Secret::from(secret.to_owned()),
            session_token: None,
        },
    }
}

/// A look on a thread of its own, as the scanner makes it.
async fn look(mut source: StateSource) -> (StateSource, Look) {
    let now = SystemClock.now();
    let looking = tokio::task::spawn_blocking(move || {
        let look = source.look(now);
        (source, look)
    });
    looking.await.unwrap()
}

fn configuration(place: &Path, url: &str) -> std::path::PathBuf {
    let file = place.join("firedrill.toml");
    let text = format!(
        "[store]\nurl = \"sqlite://{0}/firedrill.db\"\n[verify]\nnice = 0\nidle_io = false\n\
         [state_cache]\ndirectory = \"{0}/copies\"\nkey_file = \"{0}/copies.key\"\n\
         [[s3]]\nname = \"minio\"\nendpoint = \"{url}\"\naccess_key = \"{ACCESS}\"\nsecret_key = \"{SECRET}\"\n\
         scan_interval = \"1s\"\nscan_timeout = \"30s\"\nstates = [{{ bucket = \"tfstate\" }}]\n",
        place.display()
    );
    std::fs::write(&file, text).unwrap();
    file
}

pub(crate) async fn shows(daemon: &Daemon, lines: &[&str]) {
    let mut text = String::new();
    let all = async {
        loop {
            text = daemon.metrics().await;
            if lines.iter().all(|line| text.lines().any(|it| it == *line)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), all).await.is_err() {
        let missing: Vec<_> = lines.iter().filter(|line| !text.lines().any(|it| it == **line)).collect();
        let of_states: Vec<_> = text.lines().filter(|it| it.contains("minio")).collect();
        panic!("{missing:#?} not in {of_states:#?}\n{}", daemon.process.log());
    }
}

/// From one end to the other: versions are judged, an older state over a newer one is noticed, and so is a server that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn every_version_is_judged_on_a_server_that_checks_signatures() {
    let server = S3::weed().await;
    server.boto(&format!(
        "{BUCKET}first = put('env:/prod/terraform.tfstate', state(1, resources=5))\n\
         for serial in (2, 3): put('env:/prod/terraform.tfstate', state(serial, resources=5))\n\
         put('env:/prod/terraform.tfstate.tflock', json.dumps({{'ID': 'x', 'Operation': 'OperationTypeApply', 'Who': 'eve@host', 'Version': '1.15.5', 'Created': '2026-11-26T08:00:00Z', 'Path': 'tfstate/x'}}))\n\
         put('lab/terraform.tfstate', '<html><body>502 Bad Gateway</body></html>')\n\
         put('gone.tfstate', state(1)); s3.delete_object(Bucket='tfstate', Key='gone.tfstate')\n\
         put('other.txt', 'no state')\n"
    ));
    let (place, between) = (tempfile::tempdir().unwrap(), Between::new(&server.url).await);
    let config = configuration(place.path(), &between.url);
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    shows(
        &daemon,
        &[
            "firedrill_tfstate_cache_current{source=\"minio\",item=\"tfstate/prod\"} 1",
            "firedrill_tfstate_cache_current{source=\"minio\",item=\"tfstate/gone\"} 1",
            "firedrill_tfstate_serial{source=\"minio\",item=\"tfstate/prod\"} 3",
            "firedrill_tfstate_resources{source=\"minio\",item=\"tfstate/prod\"} 5",
            "firedrill_tfstate_versions{source=\"minio\",item=\"tfstate/prod\"} 3",
            "firedrill_tfstate_serial_went_back{source=\"minio\",item=\"tfstate/prod\"} 0",
            "firedrill_tfstate_locked{source=\"minio\",item=\"tfstate/prod\"} 1",
            "firedrill_tfstate_lock_timestamp_seconds{source=\"minio\",item=\"tfstate/prod\"} 1795680000",
            "firedrill_tfstate_locked{source=\"minio\",item=\"tfstate/lab\"} 0",
            "firedrill_tfstate_delete_markers{source=\"minio\",item=\"tfstate/gone\"} 1",
            "firedrill_bucket_versioning_enabled{source=\"minio\",bucket=\"tfstate\"} 1",
            "firedrill_backup_state{source=\"minio\",item=\"tfstate/prod\",state=\"ok\"} 1",
            "firedrill_backup_state{source=\"minio\",item=\"tfstate/lab\",state=\"corrupt\"} 1",
            "firedrill_backup_state{source=\"minio\",item=\"tfstate/gone\",state=\"failed\"} 1",
            "firedrill_proof_level{source=\"minio\",item=\"tfstate/prod\"} 3",
        ],
    )
    .await;
    assert!(!daemon.metrics().await.contains("expected_interval_seconds{source=\"minio\""), "a state is never late");
    let page = get(&daemon.url("/")).await.unwrap().1;
    assert!(page.contains("locked since 2026-11-26T08:00:00Z by eve@host (OperationTypeApply)"), "{page}");
    // Five versions and a lock were read once, two of the versions once more for the copies.
    let read = |asked: &[String]| asked.iter().filter(|line| line.contains("versionId=")).count();
    let asked = between.asked();
    assert_eq!(read(&asked), 8, "{asked:#?}");
    until("it looks again and again", || async { (between.asked.lock().unwrap().len() > 12).then_some(()) }).await;
    let asked = between.asked();
    assert_eq!(read(&asked), 0, "what is known isn't read again: {asked:#?}");
    // Somebody puts the first version over the third.
    server.boto(
        "versions = s3.list_object_versions(Bucket='tfstate', Prefix='env:/prod/terraform.tfstate')['Versions']\n\
         oldest = [it for it in versions if it['Key'].endswith('.tfstate')][-1]\n\
         s3.copy_object(Bucket='tfstate', Key=oldest['Key'], CopySource={'Bucket': 'tfstate', 'Key': oldest['Key'], 'VersionId': oldest['VersionId']})\n\
         s3.delete_object(Bucket='tfstate', Key=oldest['Key'] + '.tflock')\n",
    );
    shows(
        &daemon,
        &[
            "firedrill_tfstate_serial{source=\"minio\",item=\"tfstate/prod\"} 1",
            "firedrill_tfstate_versions{source=\"minio\",item=\"tfstate/prod\"} 4",
            "firedrill_tfstate_serial_went_back{source=\"minio\",item=\"tfstate/prod\"} 1",
            "firedrill_tfstate_locked{source=\"minio\",item=\"tfstate/prod\"} 0",
        ],
    )
    .await;
    let page = get(&daemon.url("/")).await.unwrap().1;
    assert!(page.contains("its serial went back from 3 to 1") && !page.contains("locked since"), "{page}");
    // The command line reads them too.
    let output =
        firedrill().args(["verify", "--config.file", config.to_str().unwrap(), "--item", "tfstate/lab"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("no state that Terraform could read"), "{}", stdout(&output));
    // Frozen, it says nothing: nobody knows how the states are.
    let pid = rustix::process::Pid::from_raw(server.process.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    shows(&daemon, &["firedrill_backup_state{source=\"minio\",item=\"tfstate/gone\",state=\"unknown\"} 1"]).await;
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    shows(&daemon, &["firedrill_backup_state{source=\"minio\",item=\"tfstate/prod\",state=\"ok\"} 1"]).await;
}

#[tokio::test]
async fn who_may_not_look_has_seen_nothing() {
    let server = S3::weed().await;
    server.boto(&format!("{BUCKET}put('ä b+c%41/a.tfstate', state(1))\n"));
    let (_, blind) = look(source_as(&server.url, "", "another secret")).await;
    let error = blind.places[0].listing.as_ref().unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    assert!(blind.estate.states.is_none() && blind.estate.buckets.is_none(), "nothing is told of what was not seen");
    let (_, seen) = look(source(&server.url, "")).await;
    let attempts = &seen.places[0].listing.as_ref().unwrap().attempts;
    assert_eq!((attempts.len(), attempts[0].item.to_string()), (1, "tfstate/ä b+c%41/a".to_owned()));
}

/// More versions than a page holds: all are counted, the newest are judged, in the order in which they were written.
#[tokio::test]
async fn many_versions_come_page_by_page_in_the_order_of_the_server() {
    let server = S3::moto().await;
    server.boto(&format!(
        "{BUCKET}for serial in range(2100): put('net/many.tfstate', str(serial))\n\
         put('ä b+c%41.tfstate', state(1)); put('net/two.tfstate', state(7))\n"
    ));
    let between = Between::new(&server.url).await;
    let (one, seen) = look(source(&between.url, "net/")).await;
    // Three pages, a question about the bucket (moto's answer can't be understood, so there is no second), two whether it is MinIO.
    let asked = between.asked();
    let pages = asked.iter().filter(|line| line.contains("versions")).count();
    assert_eq!((pages, asked.len()), (3, 6), "{asked:#?}");
    look(one).await;
    let asked = between.asked();
    assert_eq!(asked.len(), 4, "nothing is new, and nothing is read: {asked:#?}");
    let listing = seen.places[0].listing.as_ref().unwrap();
    let many: Vec<_> = listing.attempts.iter().filter(|it| it.item.to_string() == "tfstate/many").collect();
    let times: Vec<_> = many.iter().map(|it| it.started.known().unwrap()).collect();
    assert!(times.len() == 1000 && times.is_sorted_by(|a, b| a < b), "{}", times.len());
    // The sizes of the numbers tell which they are: four digits are the last 1,100.
    assert!(many.iter().all(|it| it.size == 4));
    let states = seen.estate.states.unwrap().unwrap();
    let versions = |item: &str| states.0[&item.parse().unwrap()].versions;
    assert_eq!((versions("tfstate/many"), versions("tfstate/two"), states.0.len()), (2100, 1, 2));
    let (source, all) = look(source(&server.url, "")).await;
    let names = all.estate.states.unwrap().unwrap();
    assert!(names.0.keys().any(|it| it.to_string() == "tfstate/ä b+c%41"), "{names:?}");
    // Nothing new: the very same listing.
    let (_, again) = look(source).await;
    assert!(Arc::ptr_eq(all.places[0].listing.as_ref().unwrap(), again.places[0].listing.as_ref().unwrap()));
}

#[tokio::test]
async fn a_bucket_without_versions_says_so_and_its_states_are_read_all_the_same() {
    let server = S3::weed().await;
    server.boto("s3.create_bucket(Bucket='tfstate')\nput('a.tfstate', state(3))\n");
    let (source, seen) = look(source(&server.url, "")).await;
    assert_eq!(seen.estate.buckets.unwrap().unwrap().0["tfstate"].versioning, Versioning::Off);
    let attempt = seen.places[0].listing.as_ref().unwrap().attempts[0].clone();
    let archive = firedrill::domain::proof::ArchiveId {
        source: "minio".parse().unwrap(),
        root: "s3://tfstate/".into(),
        file: attempt.file.clone(),
    };
    let archives = source.archives();
    let facts = tokio::task::spawn_blocking(move || {
        let mut opened = archives.open(&archive).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut opened, &mut text).unwrap();
        assert!(text.contains("\"serial\": 3"), "{text}");
        opened.facts()
    });
    // As listed: what was proven of it holds.
    assert_eq!(Some(facts.await.unwrap()), firedrill::domain::proof::book::facts_of(&attempt));
    // Suspended: what is written goes over what was there, and is what counts, wherever a server lists it.
    server.boto(
        "for status in ('Enabled', 'Suspended'):\n    \
             s3.put_bucket_versioning(Bucket='tfstate', VersioningConfiguration={'Status': status})\n    \
             put('a.tfstate', state(10 if status == 'Enabled' else 11, resources=2 if status == 'Enabled' else 30))\n",
    );
    let (_, seen) = look(source).await;
    let listing = seen.places[0].listing.as_ref().unwrap();
    let newest = listing.attempts.iter().max_by_key(|it| it.started.known()).unwrap();
    assert!(newest.file.contains("@null") && newest.size > 1000, "{newest:?}");
    assert_eq!(seen.estate.buckets.unwrap().unwrap().0["tfstate"].versioning, Versioning::Suspended);
}

/// What a daemon exports that watches a state which is locked and was read.
pub async fn exposition() -> String {
    let server = S3::weed().await;
    server.boto(&format!(
        "{BUCKET}put('prod.tfstate', state(1)); put('prod.tfstate', state(2)); put('prod.tfstate.tflock', '{{}}')\n"
    ));
    let (place, minio) = (tempfile::tempdir().unwrap(), health::Minio::before(&server).await);
    let config = configuration(place.path(), &minio.url);
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    let shown = ["firedrill_tfstate_serial", "firedrill_tfstate_cache_current"].map(|family| {
        let value = if family.ends_with("serial") { 2 } else { 1 };
        format!("{family}{{source=\"minio\",item=\"tfstate/prod\"}} {value}")
    });
    shows(&daemon, &[&shown[0], &shown[1]]).await;
    daemon.metrics().await
}
