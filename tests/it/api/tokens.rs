//! Tokens of the real binary: made, used, listed, revoked.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::support::{Daemon, stderr, stdout};

/// A configuration with a store of its own over the demo estate's directory.
fn configuration(place: &Path) -> String {
    let (config, store, dump) = (place.join("c.toml"), place.join("store.db"), place.join("dump"));
    std::fs::create_dir_all(&dump).unwrap();
    let text = format!(
        "[store]\nurl = \"sqlite://{}\"\n[verify]\nenabled = false\n[[vzdump]]\nname = \"pve\"\nexpected = [\"qemu/100\", \"lxc/200\", \"qemu/300\"]\nroots = [{{ path = {dump:?} }}]\n",
        store.display()
    );
    std::fs::write(&config, text).unwrap();
    config.to_str().unwrap().to_owned()
}

fn token(config: &str, arguments: &[&str]) -> std::process::Output {
    run(&[&["token"], arguments, &["--config.file", config]].concat())
}

#[tokio::test]
async fn a_token_is_shown_once_and_revoked_for_good() {
    let place = tempfile::tempdir().unwrap();
    let config = configuration(place.path());
    let made = token(&config, &["create", "alice", "--role", "viewer"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let text = stdout(&made).trim().to_owned();
    assert!(text.starts_with("fdt_") && text.len() == 47);
    let again = token(&config, &["create", "alice", "--role", "admin"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(token(&config, &["create", "gone", "--role", "admin", "--expires", "1ms"]).status.success());
    assert_eq!(token(&config, &["create", "x y", "--role", "viewer"]).status.code(), Some(2));
    assert_eq!(token(&config, &["create", "x", "--role", "king"]).status.code(), Some(2));

    let daemon = Daemon::start(&["--config.file", &config]).await;
    daemon.ready().await;
    let ask = |token: &str, path: &str| client().get(daemon.url(path)).bearer_auth(token);
    let (status, me) = answer(ask(&text, "/api/v1/me")).await;
    assert_eq!((status, &me["name"], &me["role"]), (200, &"alice".into(), &"viewer".into()));
    // One that is made while the daemon runs.
    let second = stdout(&token(&config, &["create", "bob", "--role", "operator"])).trim().to_owned();
    assert_eq!(answer(ask(&second, "/api/v1/me")).await.1["role"], "operator");

    let (_, sources) = answer(ask(&text, "/api/v1/sources")).await;
    assert_eq!((&sources["items"][0]["name"], &sources["items"][0]["items"]), (&"pve".into(), &3.into()));
    let (_, part) = answer(ask(&text, "/api/v1/items?limit=2")).await;
    assert_eq!((&part["items"][0]["item"], &part["items"][0]["state"]), (&"qemu/100".into(), &"missing".into()));
    let rest = format!("/api/v1/items?limit=2&before={}", part["next"]);
    let (_, rest) = answer(ask(&text, &rest)).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));

    let listed = stdout(&token(&config, &["list"]));
    assert!(listed.contains("alice") && listed.contains("expired") && !listed.contains("fdt_"), "{listed}");
    assert!(token(&config, &["revoke", "alice"]).status.success());
    assert_eq!(token(&config, &["revoke", "alice"]).status.code(), Some(2));
    let begun = Instant::now();
    while ask(&text, "/api/v1/me").send().await.unwrap().status() != 401 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it still counts");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(answer(ask(&second, "/api/v1/me")).await.0, 200);
    let kept = std::fs::read(place.path().join("store.db")).unwrap();
    let wal = std::fs::read(place.path().join("store.db-wal")).unwrap_or_default();
    for bytes in [kept, wal, daemon.process.log().into_bytes()] {
        assert!(!String::from_utf8_lossy(&bytes).contains(&second), "the token is written nowhere");
    }
}
