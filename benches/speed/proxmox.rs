//! Proxmox VE: one look at a thousand guests and twenty thousand volumes on twenty storages, of nodes that take 20 ms for each
//! answer. The stand-in of the tests answers.

#[allow(dead_code, reason = "the tests let it misbehave")]
#[path = "../../tests/it/proxmox/stand_in.rs"]
mod stand_in;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::adapters::machine::trust::Trust;
use firedrill::adapters::proxmox::{Cluster, Endpoint};
use firedrill::domain::look::{Medium, PlaceSpec, SourceKind, SourceSpec};
use firedrill::domain::policy::Matcher;
use firedrill::domain::secret::Secret;
use firedrill::engine::ports::{Clock as _, Source as _};
use serde_json::{Value, json};

use self::stand_in::{Pve, TOKEN_ID, TOKEN_SECRET, cluster};
use crate::median;
use crate::table::{Goal, Table};

const GUESTS: usize = 1000;

const STORAGES: usize = 20;

/// On each storage.
const VOLUMES: usize = 1000;

const LATENCY: Duration = Duration::from_millis(20);

/// Times that it is measured.
const RUNS: usize = 5;

/// All measurements.
pub fn measure(table: &mut Table) {
    println!("a cluster with {GUESTS} guests and {} volumes on {STORAGES} storages …", STORAGES * VOLUMES);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let now = SystemClock.now();
    let pve = runtime.block_on(Pve::slow(0, answers(now.as_second()), LATENCY));
    let mut source = source(&pve);
    let (mut looks, mut questions) = (Vec::new(), 0);
    for _ in 0..RUNS {
        pve.asked();
        let begun = Instant::now();
        let seen = source.look(now);
        looks.push(begun.elapsed());
        let listing = seen.places[0].listing.as_ref().expect("it can be looked at");
        assert_eq!(listing.attempts.len(), STORAGES * VOLUMES);
        questions = pve.asked().len();
    }
    let what = format!("a look at {GUESTS} guests and {} volumes: {questions} questions of 20 ms", STORAGES * VOLUMES);
    table.time(&what, median(looks), Goal::AtMost(2000.0));
}

fn source(pve: &Pve) -> Cluster {
    let spec = SourceSpec {
        name: "bench".parse().expect("a name"),
        kind: SourceKind::new("proxmox"),
        places: vec![PlaceSpec { path: pve.url().into(), medium: Medium::Local, node: None, readable: false }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(120),
        scan_timeout: Duration::from_secs(120),
    };
    let endpoint = Endpoint {
        urls: vec![pve.url().parse().expect("an address")],
        token_id: TOKEN_ID.to_owned(),
        token_secret: Secret::from(TOKEN_SECRET.to_owned()),
        trust: Trust::Certificate(pve.fingerprint.parse().expect("a fingerprint")),
    };
    Cluster::new(Arc::new(spec), &endpoint, Vec::new()).expect("a source")
}

fn answers(now: i64) -> BTreeMap<String, Value> {
    let mut all = cluster(now);
    let mut resources = Vec::new();
    for guest in 0..GUESTS {
        let (vmid, node) = (1000 + guest, format!("pve{}", guest % 2 + 1));
        resources.push(json!({"type": "qemu", "vmid": vmid, "name": format!("g{vmid}"), "node": node, "status": "running", "tags": "a;b"}));
    }
    for storage in 0..STORAGES {
        let name = format!("s{storage}");
        resources.push(
            json!({"type": "storage", "storage": name, "node": "pve1", "shared": 1, "plugintype": "nfs", "content": "backup",
            "status": "available", "maxdisk": 1000, "disk": 1}),
        );
        let volume = |n: usize| {
            let (vmid, at) = (1000 + n % GUESTS, now - 3600 * (n as i64 + 1));
            let stamp = format!("2026_01_{:02}-{:02}_{:02}_{:02}", storage + 1, n / 3600, n / 60 % 60, n % 60);
            json!({"volid": format!("{name}:backup/vzdump-qemu-{vmid}-{stamp}.vma.zst"), "content": "backup", "format": "vma.zst",
                "subtype": "qemu", "vmid": vmid, "ctime": at, "size": 5_000_000_000_u64, "notes": "a guest"})
        };
        all.insert(format!("nodes/pve1/storage/{name}/content"), (0..VOLUMES).map(volume).collect());
    }
    all.insert("cluster/resources".to_owned(), resources.into());
    for node in ["pve1", "pve2"] {
        all.insert(format!("nodes/{node}/tasks"), json!([]));
    }
    all
}
