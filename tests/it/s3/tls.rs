//! A server behind TLS with a certificate that only `ca_file` knows, and keys from the environment.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

/// Takes TLS off before the server at `url`; its address, and the certificate in PEM.
pub(crate) async fn before(url: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let target = url.trim_start_matches("http://").to_owned();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((from, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let (Ok(mut from), Ok(mut to)) = (acceptor.accept(from).await, TcpStream::connect(&target).await)
                else {
                    return;
                };
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (url, made.cert.pem())
}

#[tokio::test]
async fn a_certificate_of_its_own_and_keys_of_the_environment_are_used() {
    let server = S3::weed().await;
    server.boto(&format!("{BUCKET}put('prod.tfstate', state(7))\n"));
    let (url, certificate) = before(&server.url).await;
    let place = tempfile::tempdir().unwrap();
    let (ca, file) = (place.path().join("ca.pem"), place.path().join("firedrill.toml"));
    std::fs::write(&ca, certificate).unwrap();
    let section = |name: &str, more: &str| {
        format!(
            "[[s3]]\nname = \"{name}\"\nendpoint = \"{url}\"\nscan_interval = \"1s\"\nstates = [{{ bucket = \"tfstate\" }}]\n{more}\n"
        )
    };
    let text = section("trusted", &format!("ca_file = {ca:?}")) + &section("unknown", "");
    let store = format!("[store]\nurl = \"sqlite://{}/firedrill.db\"\n", place.path().display());
    std::fs::write(&file, store + &text).unwrap();
    let start = |secret: &str| {
        let mut command = firedrill();
        command
            .args(["serve", "--web.listen-address", "127.0.0.1:0", "--config.file"])
            .arg(&file)
            .stdout(Stdio::null());
        command.env("AWS_ACCESS_KEY_ID", ACCESS).env("AWS_SECRET_ACCESS_KEY", secret);
        Daemon::listening(Running::start(command))
    };
    let daemon = start(SECRET).await;
    shows(
        &daemon,
        &[
            "firedrill_tfstate_serial{source=\"trusted\",item=\"tfstate/prod\"} 7",
            "firedrill_source_up{source=\"unknown\",kind=\"s3\"} 0",
        ],
    )
    .await;
    let said = || async { daemon.process.log().contains("UnknownIssuer").then_some(()) };
    until("the certificate is not trusted", said).await;
    assert!(daemon.process.stop().success());
    // Keys that expired, or another's.
    let daemon = start("another secret").await;
    let said = || async { daemon.process.log().contains("SignatureDoesNotMatch").then_some(()) };
    until("the keys are refused", said).await;
    shows(&daemon, &["firedrill_source_up{source=\"trusted\",kind=\"s3\"} 0"]).await;
}
