//! The web server: compression, TLS, passwords, limits.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::support::{Daemon, PATIENCE, client, until};

fn raw(daemon: &Daemon, request: &str) -> String {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A configuration over an empty directory, with this `[web]` section.
async fn with_web(place: &Path, web: &str) -> Daemon {
    let config = place.join("firedrill.toml");
    let dump = place.join("dump");
    std::fs::create_dir_all(&dump).unwrap();
    std::fs::write(
        &config,
        format!(
            "[web]\n{web}\n[verify]\nenabled = false\n[[vzdump]]\nname = \"pve\"\nroots = [{{ path = {dump:?} }}]\n"
        ),
    )
    .unwrap();
    Daemon::start(&["--config.file", config.to_str().unwrap()]).await
}

#[tokio::test]
async fn gzip_for_who_asks() {
    let place = tempfile::tempdir().unwrap();
    let daemon = with_web(place.path(), "").await;
    daemon.ready().await;
    let answer = client().get(daemon.url("/metrics")).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let zipped = answer.bytes().await.unwrap();
    // The real gzip agrees.
    let file = place.path().join("metrics.gz");
    std::fs::write(&file, &zipped).unwrap();
    let output = std::process::Command::new("gzip").arg("-dc").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("firedrill_build_info{"));
}

#[tokio::test]
async fn who_asks_and_never_reads_is_cut_off() {
    let place = tempfile::tempdir().unwrap();
    let daemon = Daemon::on_demo_estate(&place.path().join("estate")).await;
    let mut deaf = TcpStream::connect(daemon.address).unwrap();
    deaf.set_write_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    let begun = std::time::Instant::now();
    let ended = loop {
        assert!(begun.elapsed() < PATIENCE, "it holds its place");
        match deaf.write(&b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100)) {
            Ok(_) => {}
            // Full on both sides: it is not read either.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => break error.kind(),
        }
    };
    assert!(
        matches!(ended, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe),
        "the server hangs up: {ended}"
    );
}

#[tokio::test]
async fn a_slow_header_and_a_large_body_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let daemon = with_web(place.path(), "header_timeout = \"1s\"").await;
    let mut slow = TcpStream::connect(daemon.address).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).expect("the server hangs up");
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    let mut silent = TcpStream::connect(daemon.address).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent.read(&mut [0; 16]).expect("the server hangs up"), 0, "who says nothing is hung up on as well");
    let large = raw(&daemon, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n");
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    let huge = raw(&daemon, &format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)));
    assert!(!huge.contains("200 OK"));
    assert!(raw(&daemon, "GARBAGE\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert!(raw(&daemon, "GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").contains("200 OK"));
}

#[tokio::test]
async fn idle_connections_do_not_lock_others_out_for_long() {
    let place = tempfile::tempdir().unwrap();
    let daemon = with_web(place.path(), "max_connections = 2\nheader_timeout = \"1s\"").await;
    let _idle: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(daemon.address).unwrap()).collect();
    let url = daemon.url("/-/healthy");
    let answer = client().get(url).timeout(PATIENCE).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn twenty_scrapers_at_once_lose_nothing() {
    let place = tempfile::tempdir().unwrap();
    let daemon = Daemon::on_demo_estate(&place.path().join("estate")).await;
    let all = (0..20).map(|_| tokio::spawn(client().get(daemon.url("/metrics")).send()));
    for answer in all.collect::<Vec<_>>() {
        let text = answer.await.unwrap().unwrap().text().await.unwrap();
        assert!(text.contains("firedrill_build_info{") && text.ends_with('\n'));
    }
}

struct Certificate {
    pem: String,
}

/// A certificate for 127.0.0.1 with its key, written into `place`.
fn certificate(place: &Path) -> Certificate {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(place.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(place.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    Certificate { pem: made.cert.pem() }
}

fn trusting(certificate: &Certificate) -> reqwest::Client {
    client();
    let root = reqwest::Certificate::from_pem(certificate.pem.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([root]).pool_max_idle_per_host(0).timeout(PATIENCE).build().unwrap()
}

#[tokio::test]
async fn tls_and_passwords_by_the_web_config_file() {
    let place = tempfile::tempdir().unwrap();
    let first = certificate(place.path());
    let web = place.path().join("web.yml");
    let hash = bcrypt::hash("secret", 6).unwrap();
    let text = format!(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\nbasic_auth_users:\n  prometheus: {hash}\n"
    );
    std::fs::write(&web, text).unwrap();
    let daemon = with_web(place.path(), &format!("config_file = {web:?}")).await;
    let url = format!("https://{}/metrics", daemon.address);

    let stranger = trusting(&first).get(&url).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    assert!(stranger.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    let wrong = trusting(&first).get(&url).basic_auth("prometheus", Some("wrong")).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let right = trusting(&first).get(&url).basic_auth("prometheus", Some("secret")).send().await.unwrap();
    assert_eq!(right.status(), 200);
    assert!(
        client().get(format!("http://{}/", daemon.address)).timeout(Duration::from_secs(5)).send().await.is_err(),
        "plain"
    );
    assert!(!daemon.process.log().contains("secret"));

    // A renewed certificate is taken up without a restart.
    let second = certificate(place.path());
    until("the new certificate is served", || async {
        let answer = trusting(&second).get(&url).basic_auth("prometheus", Some("secret")).send().await;
        answer.ok().filter(|answer| answer.status() == 200)
    })
    .await;
    // A file that is half written opens no door.
    std::fs::write(&web, "# soon\n").unwrap();
    until("the open door is noticed", || async { daemon.process.log().contains("until a restart").then_some(()) })
        .await;
    assert_eq!(trusting(&second).get(&url).send().await.unwrap().status(), 401);
    // What is wrong now keeps what worked.
    std::fs::write(&web, "nonsense: [").unwrap();
    until("the wrong file is noticed", || async { daemon.process.log().contains("stays in force").then_some(()) })
        .await;
    let still = trusting(&second).get(&url).basic_auth("prometheus", Some("secret")).send().await.unwrap();
    assert_eq!(still.status(), 200);
}

#[tokio::test]
async fn a_bad_web_config_file_stops_the_start() {
    let place = tempfile::tempdir().unwrap();
    let web = place.path().join("web.yml");
    std::fs::write(&web, "basic_auth_users:\n  prometheus: secret\n").unwrap();
    let output = crate::support::run(&[
        "serve",
        "--demo",
        place.path().join("estate").to_str().unwrap(),
        "--web.config.file",
        web.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(2));
    let text = crate::support::stderr(&output);
    assert!(text.contains("basic_auth_users.prometheus") && !text.contains("secret\n"), "{text}");
}
