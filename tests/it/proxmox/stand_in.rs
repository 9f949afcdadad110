//! A stand-in for the API of Proxmox VE, which can't run here: it answers as its documentation and sources say, and misbehaves when told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

pub const TOKEN_ID: &str = "firedrill@pve!monitor";
pub const TOKEN_SECRET: &str = "5f6b2c1e-0000-4000-8000-0123456789ab";

/// What is said under a path.
#[derive(Clone)]
pub enum Answer {
    /// As it should be.
    Data(Value),
    /// 200 with this body.
    Body(String),
    /// Another status, with its reason and a body.
    Status(u16, &'static str, String),
    /// Nothing, for as long as the connection lives.
    Hang,
    /// The head and half of the body.
    Half,
    /// To another place.
    Redirect,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<String>>,
    /// Each answer takes so long.
    latency: Duration,
}

/// A node that answers for its cluster.
pub struct Pve {
    shared: Arc<Shared>,
    pub port: u16,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    pub certificate: String,
    task: JoinHandle<()>,
}

impl Drop for Pve {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pve {
    pub async fn start(answers: BTreeMap<String, Value>) -> Self {
        Self::at(0, answers).await
    }

    /// On a port that was its own before.
    pub async fn at(port: u16, answers: BTreeMap<String, Value>) -> Self {
        Self::slow(port, answers, Duration::ZERO).await
    }

    /// Takes so long for each answer.
    pub async fn slow(port: u16, answers: BTreeMap<String, Value>, latency: Duration) -> Self {
        use sha2::Digest as _;
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let fingerprint = format!("{:x}", sha2::Sha256::digest(made.cert.der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = answers.into_iter().map(|(path, value)| (path, Answer::Data(value))).collect();
        let shared = Arc::new(Shared { answers: Mutex::new(answers), latency, ..Shared::default() });
        let its = shared.clone();
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, its) = (acceptor.clone(), its.clone());
                open.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &its).await;
                    }
                });
            }
        });
        Self { shared, port, fingerprint, certificate: made.cert.pem(), task }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn say(&self, path: &str, answer: Answer) {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// What was asked so far.
    pub fn shared_asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// What was asked since this was called last.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
}

async fn serve(stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut authorized) = (String::new(), false);
        if stream.read_line(&mut first).await.unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let want = format!("authorization: PVEAPIToken={TOKEN_ID}={TOKEN_SECRET}");
            authorized |= line.trim_end().eq_ignore_ascii_case(&want);
            if line.trim().is_empty() {
                break;
            }
        }
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        shared.asked.lock().unwrap().push(target.clone());
        let path = target.strip_prefix("/api2/json/").unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        tokio::time::sleep(shared.latency).await;
        let found = shared.answers.lock().unwrap().get(path).cloned();
        let answer = match found {
            _ if !authorized => Answer::Status(401, "authentication failure", String::new()),
            Some(answer) => answer,
            None => Answer::Status(501, "Method not implemented", json!({"data": null}).to_string()),
        };
        let (status, reason, body, headers) = match answer {
            Answer::Data(value) => (200, "OK", json!({"data": value}).to_string(), ""),
            Answer::Body(body) => (200, "OK", body, ""),
            Answer::Status(status, reason, body) => (status, reason, body, ""),
            Answer::Redirect => (302, "Found", String::new(), "Location: https://127.0.0.1:1/\r\n"),
            Answer::Hang => {
                let _ = stream.read_u8().await;
                return;
            }
            Answer::Half => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":[").await;
                let _ = stream.shutdown().await;
                return;
            }
        };
        let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// All that a monitor needs.
pub fn permissions() -> Value {
    json!({
        "/": {"Sys.Audit": 1, "VM.Audit": 1, "VM.Backup": 1, "Datastore.Audit": 1, "Datastore.AllocateSpace": 1, "Pool.Audit": 1},
    })
}

/// A cluster of two nodes with four guests, a share, a backup server and one of each trouble. `now` in seconds.
pub fn cluster(now: i64) -> BTreeMap<String, Value> {
    let hours = |hours: i64| now - hours * 3600;
    let file = |vmid: u32, kind: &str, at: i64, note: &str| {
        let stamp = jiff::Timestamp::from_second(at).unwrap().strftime("%Y_%m_%d-%H_%M_%S").to_string();
        json!({"volid": format!("nas:backup/vzdump-{kind}-{vmid}-{stamp}.vma.zst"), "content": "backup", "format": "vma.zst",
            "subtype": kind, "vmid": vmid, "ctime": at, "size": 5_000_000, "notes": note})
    };
    let snapshot = |vmid: u32, at: i64, state: Option<&str>| {
        let stamp = jiff::Timestamp::from_second(at).unwrap().to_string();
        let mut row = json!({"volid": format!("pbs1:backup/vm/{vmid}/{stamp}"), "content": "backup", "format": "pbs-vm", "subtype": "qemu",
            "vmid": vmid.to_string(), "ctime": at.to_string(), "size": "34359738368"});
        if let Some(state) = state {
            row["verification"] = json!({"state": state, "upid": "UPID:pbs:1"});
        }
        row
    };
    let guest = |kind: &str, vmid: u32, name: &str, node: &str, status: &str| json!({"id": format!("{kind}/{vmid}"), "type": kind, "vmid": vmid, "name": name, "node": node, "status": status, "tags": "prod;web", "template": 0});
    let storage = |name: &str, node: &str, shared: u8, plugin: &str| {
        json!({"id": format!("storage/{node}/{name}"), "type": "storage", "storage": name, "node": node, "shared": shared, "plugintype": plugin,
            "content": "iso,backup", "status": "available", "maxdisk": 1000, "disk": 400})
    };
    let mut template = guest("qemu", 900, "template", "pve1", "stopped");
    template["template"] = json!(1);
    let task = |node: &str, n: u32, id: &str, at: i64, status: &str| {
        json!({"upid": format!("UPID:{node}:0000{n}:00:00:vzdump:{id}:root@pam:"), "node": node, "type": "vzdump", "id": id, "user": "root@pam",
            "starttime": at, "endtime": at + 60, "status": status})
    };
    let several = "UPID:pve2:00003:00:00:vzdump::root@pam:";
    let line = |text: &str| json!({"n": 1, "t": text});
    [
        ("version", json!({"version": "9.0.3", "release": "9.0"})),
        ("access/permissions", permissions()),
        (
            "cluster/status",
            json!([{"type": "cluster", "name": "home", "nodes": 2, "quorate": 1, "version": 4},
                {"type": "node", "name": "pve1", "online": 1, "local": 1, "ip": "10.0.0.1"},
                {"type": "node", "name": "pve2", "online": "1", "local": 0, "ip": "10.0.0.2"}]),
        ),
        (
            "cluster/resources",
            json!([guest("qemu", 100, "web", "pve1", "running"), guest("qemu", 101, "db", "pve1", "running"),
                guest("lxc", 200, "dns", "pve2", "stopped"), guest("lxc", 201, "proxy", "pve2", "running"), template,
                storage("nas", "pve1", 1, "nfs"), storage("nas", "pve2", 1, "nfs"), storage("pbs1", "pve1", 1, "pbs"),
                storage("local", "pve2", 0, "dir"), {"type": "node", "node": "pve1", "status": "online"}]),
        ),
        (
            "cluster/backup",
            json!([{"id": "backup-1", "enabled": 1, "schedule": "02:00", "storage": "nas", "all": 1, "next-run": now + 3600, "notes-template": "{{guestname}}"},
                {"id": "backup-2", "enabled": 0, "schedule": "sun 04:00", "storage": "pbs1", "notes-template": "{{guestname}}"}]),
        ),
        ("cluster/backup-info/not-backed-up", json!([{"vmid": 201, "name": "proxy", "type": "lxc"}])),
        (
            "cluster/ha/status/current",
            json!([{"type": "quorum", "status": "OK", "quorate": 1}, {"type": "service", "sid": "vm:100", "state": "started", "node": "pve1"},
                {"type": "service", "sid": "ct:200", "state": "error", "node": "pve2"}]),
        ),
        (
            "nodes/pve1/replication",
            json!([{"id": "100-0", "guest": "100", "target": "pve2", "last_sync": hours(1), "next_sync": now - 10, "fail_count": 3, "duration": "4.5", "error": "no route"}]),
        ),
        ("nodes/pve2/replication", json!([])),
        (
            "nodes/pve1/tasks",
            json!([task("pve1", 1, "100", hours(8), "WARNINGS: 2"), task("pve1", 2, "101", hours(7), "command 'vzdump' failed: exit code 1")]),
        ),
        ("nodes/pve2/tasks", json!([task("pve2", 3, "", hours(6), "job errors")])),
        (
            &format!("nodes/pve2/tasks/{several}/log"),
            json!([line("INFO: starting new backup job: vzdump 200 201"), line("INFO: Starting Backup of VM 200 (lxc)"),
                line("ERROR: Backup of VM 200 failed - no lock"), line("INFO: Starting Backup of VM 201 (lxc)"),
                line("INFO: Finished Backup of VM 201 (00:00:05)")]),
        ),
        (
            "nodes/pve1/storage/nas/content",
            json!([file(100, "qemu", hours(8), "web"), file(100, "qemu", hours(32), "web"), file(101, "qemu", hours(31), "db"),
                file(200, "lxc", hours(30), "dns"), {"volid": "nas:backup/by-hand.tar", "content": "backup", "format": "tar", "ctime": now, "size": 7}]),
        ),
        ("nodes/pve1/storage/pbs1/content", json!([snapshot(100, hours(20), Some("ok")), snapshot(101, hours(100), Some("failed")), snapshot(101, hours(200), None)])),
        ("nodes/pve2/storage/local/content", json!([file(201, "lxc", hours(6), "proxy")])),
    ]
    .into_iter()
    .map(|(path, value)| (path.to_owned(), value))
    .collect()
}
