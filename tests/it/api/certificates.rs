//! Client certificates: who shows one that the configured authority signed is known by it.

use super::*;
use crate::support::{Daemon, PATIENCE};

#[tokio::test]
async fn who_shows_a_certificate_sees_and_delivers_and_nothing_more() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (server, person) = (made("127.0.0.1"), made("alertmanager"));
    std::fs::write(path("cert.pem"), server.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), server.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("clients.pem"), person.cert.pem()).unwrap();
    let web = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  client_ca_file: clients.pem\n  client_auth_type: VerifyClientCertIfGiven\n";
    std::fs::write(path("web.yml"), web).unwrap();
    std::fs::create_dir(path("dump")).unwrap();
    let config = format!(
        "[web]\nconfig_file = {:?}\n[store]\nurl = \"sqlite://{}\"\n[verify]\nenabled = false\n[[vzdump]]\nname = \"pve\"\nroots = [{{ path = {:?} }}]\n",
        path("web.yml"),
        path("store.db").display(),
        path("dump"),
    );
    std::fs::write(path("c.toml"), config).unwrap();
    let daemon = Daemon::start(&["--config.file", path("c.toml").to_str().unwrap()]).await;
    client();
    let trusting = || {
        let root = reqwest::Certificate::from_pem(server.cert.pem().as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root]).timeout(PATIENCE)
    };
    let both = person.cert.pem() + &person.signing_key.serialize_pem();
    let known = trusting().identity(reqwest::Identity::from_pem(both.as_bytes()).unwrap()).build().unwrap();
    let stranger = trusting().build().unwrap();
    let url = |path: &str| format!("https://{}/api/v1/{path}", daemon.address);

    assert_eq!(answer(stranger.get(url("me"))).await.0, 401);
    let (status, me) = answer(known.get(url("me"))).await;
    assert_eq!((status, &me["role"], &me["may_deliver_alerts"]), (200, &"viewer".into(), &true.into()));
    let digits: String = {
        use sha2::Digest as _;
        sha2::Sha256::digest(person.cert.der()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    };
    assert_eq!(me["name"], format!("certificate-{digits}"));
    assert_eq!(answer(known.post(url("automation/pause"))).await.0, 415, "a browser sends it by itself");
    let json = known.post(url("automation/pause")).header("content-type", "application/json").body("{}");
    assert_eq!(answer(json).await.0, 403, "a viewer");
}
