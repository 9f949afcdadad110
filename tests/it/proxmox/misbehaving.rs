//! Rights that are missing, nodes that don't answer, answers that are none: unknown, said, and back without a restart.

use serde_json::{Value, json};

use super::stand_in::permissions;
use super::*;

/// What the page says, as a person reads it.
async fn page(daemon: &Daemon) -> String {
    let text = crate::support::get(&daemon.url("/")).await.unwrap_or_default().1;
    text.replace("&#39;", "'").replace("&#x27;", "'").replace("&#47;", "/").replace("&quot;", "\"")
}

/// One look while something else is said: what it complains of, and the state of an item.
fn looked(pve: &Pve, path: &str, answer: Answer, item: &str) -> (String, String) {
    let place = tempfile::tempdir().unwrap();
    let before = cluster(now())[path].clone();
    pve.say(path, answer);
    let file = write(place.path(), &section(&[pve.url()], &pve.fingerprint, ""));
    let output = run(&["scan", "--json", "--config.file", file.to_str().unwrap()]);
    pve.say(path, Answer::Data(before));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let source = &report["sources"][0];
    let item = source["items"].as_array().unwrap().iter().find(|it| it["item"] == item);
    let state = item.map_or_else(|| "absent".to_owned(), |it| it["state"].as_str().unwrap_or_default().to_owned());
    (source["problems"].to_string(), state)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_for_lack_of_rights_is_unknown_and_the_right_is_named() {
    let pve = Pve::start(cluster(now())).await;
    for (privilege, said) in [
        ("Sys.Audit", "it lacks Sys.Audit on /,"),
        ("VM.Audit", "it lacks VM.Audit on /vms,"),
        ("Datastore.Audit", "it lacks Datastore.Audit on /storage,"),
        ("VM.Backup", "it lacks VM.Backup on /vms,"),
        ("Datastore.AllocateSpace", "it lacks Datastore.AllocateSpace on /storage/"),
    ] {
        let mut less = permissions();
        less["/"].as_object_mut().unwrap().remove(privilege);
        let (problems, state) = looked(&pve, "access/permissions", Answer::Data(less), "qemu/100");
        assert!(
            problems.contains(said) && ["unknown", "absent"].contains(&&*state),
            "{privilege}: {state}: {problems}"
        );
    }
    // One guest is kept from it.
    let mut hidden = permissions();
    hidden["/vms/101"] = json!({});
    let (problems, _) = looked(&pve, "access/permissions", Answer::Data(hidden), "qemu/100");
    assert!(problems.contains("it lacks VM.Audit on /vms/101,"), "{problems}");
    // Under a running daemon what was known becomes unknown, and is known again when the right is back.
    let place = tempfile::tempdir().unwrap();
    let daemon = watching(place.path(), &section(&[pve.url()], &pve.fingerprint, "")).await;
    shows(&daemon, &[UP, &state("qemu/100", "ok")]).await;
    pve.say("access/permissions", Answer::Data(json!({})));
    shows(&daemon, &[DOWN, &state("qemu/100", "unknown")]).await;
    let kinds = daemon.metrics().await;
    let counted = kinds.lines().find(|it| {
        it.starts_with("firedrill_source_scan_errors_total{source=\"home\",error_kind=\"permission_denied\"}")
    });
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{counted:?}");
    pve.say("access/permissions", Answer::Data(permissions()));
    shows(&daemon, &[UP, &state("qemu/100", "ok")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_makes_it_unknown_and_passes() {
    let pve = Pve::start(cluster(now())).await;
    let nas = "nodes/pve1/storage/nas/content";
    let offline = |mut all: Value| {
        for row in all.as_array_mut().unwrap() {
            if row["storage"] == "nas" {
                row["status"] = json!("unknown");
            }
        }
        Answer::Data(all)
    };
    let hostile = |mut all: Value| {
        all[8]["storage"] = json!("../../access");
        Answer::Data(all)
    };
    let resources = || cluster(now())["cluster/resources"].clone();
    for (path, answer, said) in [
        (
            nas,
            Answer::Status(596, "Connection timed out", String::new()),
            "596 Connection timed out; the node that it passed",
        ),
        (
            nas,
            Answer::Status(500, "Oops", json!({"data": null, "message": "storage 'nas' is not online\n"}).to_string()),
            "storage 'nas' is not online",
        ),
        (nas, Answer::Half, "no answer"),
        (nas, Answer::Hang, "hanging"),
        (nas, Answer::Body("<html>".into()), "can't be understood"),
        (nas, Answer::Body("{}".into()), "is it Proxmox VE"),
        (nas, Answer::Data(json!({"a": 1})), "is no list"),
        (nas, Answer::Data(json!([{"ctime": 1}])), "a volume without a name"),
        (nas, Answer::Redirect, "redirects aren't followed"),
        ("cluster/resources", offline(resources()), "the storage nas can't be used now"),
        ("cluster/resources", hostile(resources()), "whose name can't be one"),
        (
            "cluster/resources",
            Answer::Data(json!([{"type": "qemu", "vmid": "x", "node": "pve1"}])),
            "a guest without a number",
        ),
        ("cluster/status", Answer::Data(json!([])), "has no nodes"),
        (
            "cluster/status",
            Answer::Data(json!([{"type": "node", "name": "../../access", "online": 1}])),
            "a node without a name, or one that can't be",
        ),
        (
            "nodes/pve1/tasks",
            Answer::Status(403, "Permission check failed (/, Sys.Audit)", String::new()),
            "Permission check failed (/, Sys.Audit)",
        ),
    ] {
        let (problems, state) = looked(&pve, path, answer, "qemu/100");
        assert!(problems.contains(said) && ["unknown", "absent"].contains(&&*state), "{said}: {state}: {problems}");
    }
    let place = tempfile::tempdir().unwrap();
    let daemon = watching(place.path(), &section(&[pve.url()], &pve.fingerprint, "")).await;
    shows(&daemon, &[UP, &state("qemu/100", "ok")]).await;
    pve.say(nas, Answer::Hang);
    shows(&daemon, &[DOWN, &state("qemu/100", "unknown")]).await;
    pve.say(nas, Answer::Data(cluster(now())[nas].clone()));
    shows(&daemon, &[UP, &state("qemu/100", "ok")]).await;
    // What it says beside backups fails alone: the backups are known, and nothing is said of the rest.
    pve.say("cluster/ha/status/current", Answer::Status(599, "Too many redirections", String::new()));
    shows(&daemon, &[DOWN, &state("qemu/100", "ok")]).await;
    until("nothing stale is shown", || async {
        (!daemon.metrics().await.contains("firedrill_proxmox_")).then_some(())
    })
    .await;
    pve.say("cluster/ha/status/current", Answer::Data(json!([])));
    shows(&daemon, &[UP, &of("quorate", "", "1")]).await;
}

#[tokio::test]
async fn a_node_that_is_gone_is_not_the_cluster_and_a_cluster_that_is_gone_comes_back() {
    let now = now();
    let (first, second) = (Pve::start(cluster(now)).await, Pve::start(cluster(now)).await);
    let place = tempfile::tempdir().unwrap();
    // Both show the certificate of the first: the second is refused.
    let urls = [first.url(), second.url()];
    let daemon = watching(place.path(), &section(&urls, &first.fingerprint, "")).await;
    shows(&daemon, &[UP, &state("qemu/100", "ok")]).await;
    let (port, fingerprint) = (first.port, second.fingerprint.clone());
    drop(first);
    shows(&daemon, &[DOWN, &state("qemu/100", "unknown")]).await;
    let said =
        || async { page(&daemon).await.contains("its certificate isn't the one of the fingerprint").then_some(()) };
    until("the other certificate is refused and said", said).await;
    assert!(page(&daemon).await.to_uppercase().replace(':', "").contains(&fingerprint.to_uppercase()));
    assert!(daemon.process.stop().success());
    // With the second one's, whichever is there answers.
    let daemon = watching(place.path(), &section(&urls, &fingerprint, "")).await;
    shows(&daemon, &[UP, &state("qemu/100", "ok")]).await;
    drop(second);
    shows(&daemon, &[DOWN]).await;
    // It comes back with a new certificate of an authority that is trusted.
    let again = Pve::at(port, cluster(now)).await;
    assert!(daemon.process.stop().success());
    let authority = place.path().join("ca.pem");
    std::fs::write(&authority, &again.certificate).unwrap();
    let pinned = format!("fingerprint = \"{fingerprint}\"");
    let trusting = section(&urls, &fingerprint, "").replace(&pinned, &format!("ca_file = {authority:?}"));
    let daemon = watching(place.path(), &trusting).await;
    shows(&daemon, &[UP]).await;
    let wrong = section(&urls, &again.fingerprint, "").replace(TOKEN_SECRET, "00000000-0000-4000-8000-000000000000");
    assert!(daemon.process.stop().success());
    let daemon = watching(place.path(), &wrong).await;
    shows(&daemon, &[DOWN]).await;
    until("why is said", || async { page(&daemon).await.contains("is the token right").then_some(()) }).await;
    assert!(!daemon.process.log().contains("00000000-0000-4000"), "{}", daemon.process.log());
}
