//! Mail against a real SMTP server, with STARTTLS, TLS, logins, and addresses that it refuses or takes later.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::notify::{configuration, python};
use crate::support::{Daemon, firedrill, free_port, stderr, stdout, until};

/// Prints what happens, one JSON object per line. It knows no "nobody", and takes what is for "grey" at the third time.
const SERVER: &str = r#"
import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

options = json.loads(sys.argv[1])

def say(**what):
    print(json.dumps(what), flush=True)

def protected(server):
    return server.transport.get_extra_info("cipher") is not None

class Handler:
    asked = {}

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        say(what="ehlo", name=hostname, tls=protected(server))
        session.host_name = hostname
        return [options["ehlo"]] if options.get("ehlo") else responses

    async def handle_MAIL(self, server, session, envelope, address, given):
        if options.get("mail"):
            return options["mail"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, given):
        say(what="rcpt", to=address)
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        if address.startswith("grey@"):
            self.asked[address] = self.asked.get(address, 0) + 1
            if self.asked[address] < 3:
                return "450 4.2.0 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        text = envelope.content.decode()
        say(what="mail", to=envelope.rcpt_tos, text=text, tls=protected(server), login=session.authenticated)
        return options.get("data") or "250 2.0.0 taken"

def authenticator(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"bob", b"tiger-in-the-tank")
    say(what="auth", mechanism=mechanism, good=good, tls=protected(server))
    return AuthResult(success=good, handled=False)

async def main():
    context = None
    if options["tls"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options["cert"], options["key"])
    starttls = options["tls"] == "starttls"
    def made():
        return SMTP(Handler(), hostname="mail.test", tls_context=context if starttls else None, require_starttls=starttls,
                    authenticator=authenticator, auth_required=options.get("auth", False), auth_require_tls=starttls,
                    auth_exclude_mechanism=options.get("without", []))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(made, "127.0.0.1", options["port"], ssl=context if options["tls"] == "tls" else None)
    say(what="ready")
    await server.serve_forever()

asyncio.run(main())
"#;

/// A real SMTP server that ends with its handle.
struct Server {
    process: std::process::Child,
    port: u16,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    async fn start(mut options: Value) -> Self {
        use std::io::BufRead as _;

        let port = free_port();
        options["port"] = port.into();
        let mut process = Command::new(python())
            .args(["-u", "-c", SERVER, &options.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (output, sink) = (std::io::BufReader::new(process.stdout.take().unwrap()), events.clone());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                sink.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let it = Self { process, port, events };
        until("the mail server listens", || async { (!it.all("ready").is_empty()).then_some(()) }).await;
        it
    }

    /// What happened of this sort.
    fn all(&self, what: &str) -> Vec<Value> {
        self.events.lock().unwrap().iter().filter(|it| it["what"] == what).cloned().collect()
    }

    /// The same when there are so many: what it printed is read a little later.
    async fn after(&self, what: &str, count: usize) -> Vec<Value> {
        until("the server has printed it", || async { Some(self.all(what)).filter(|all| all.len() >= count) }).await
    }

    /// A receiver that goes to this server.
    fn receiver(&self, more: &str, to: &str) -> String {
        format!(
            "[[notify.receivers]]\nname = \"mail\"\ntype = \"smtp\"\nport = {}\nfrom = \"firedrill@example.org\"\nto = [{to}]\n{more}\n",
            self.port
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `firedrill notify test mail`: its exit code and all that it printed.
fn test(place: &std::path::Path, receiver: &str) -> (Option<i32>, String) {
    let config = configuration(place, receiver);
    let output = firedrill().args(["notify", "test", "mail", "--config.file"]).arg(config).output().unwrap();
    (output.status.code(), stdout(&output) + &stderr(&output))
}

/// An authority of our own in `ca.pem`, and a certificate for localhost that it signed.
fn certificates(place: &std::path::Path) -> (String, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let path = |name: &str| place.join(name).display().to_string();
    std::fs::write(path("ca.pem"), authority.pem()).unwrap();
    std::fs::write(path("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    (path("cert.pem"), path("key.pem"))
}

const THREE: &str = "\"a@example.org\", \"b@example.org\", \"c@example.org\"";

#[tokio::test]
async fn encrypted_and_logged_in_at_a_real_server() {
    let place = tempfile::tempdir().unwrap();
    let (cert, key) = certificates(place.path());
    let ca = format!("ca_file = {:?}\n", place.path().join("ca.pem"));
    for (tls, without) in [("starttls", "LOGIN"), ("tls", "LOGIN"), ("starttls", "PLAIN")] {
        let options = json!({ "tls": tls, "cert": cert, "key": key, "auth": true, "without": [without] });
        let server = Server::start(options).await;
        let keys = |host: &str, password: &str, more: &str| {
            format!(
                "host = \"{host}\"\ntls = \"{tls}\"\nuser = \"bob\"\npassword = \"{password}\"\nhello = \"bk1.example.org\"\n{more}"
            )
        };
        let tried = |keys: String| test(place.path(), &server.receiver(&keys, THREE));
        // Neither the authority that signed it nor the name of the server may be anybody's.
        for (keys, said) in [
            (keys("localhost", "tiger-in-the-tank", ""), "UnknownIssuer"),
            (keys("127.0.0.1", "tiger-in-the-tank", &ca), "not valid for name"),
        ] {
            let (code, text) = tried(keys);
            assert!(code == Some(2) && text.contains(said) && text.contains("somebody mends it"), "{tls}: {text}");
        }
        assert_eq!((server.all("auth").len(), server.all("mail").len()), (0, 0));
        let (code, text) = tried(keys("localhost", "wrong-password", &ca));
        assert!(code == Some(2) && text.contains("535") && text.contains("somebody mends it"), "{tls}: {text}");
        assert!(!text.contains("wrong-password"), "{text}");
        // Three addresses, and one login.
        assert_eq!(server.after("auth", 1).await.len(), 1);
        let (code, text) = tried(keys("localhost", "tiger-in-the-tank", &ca));
        assert_eq!((code, &*text), (Some(0), "mail: 250 2.0.0 taken\n"), "{tls}");
        let (mails, auths) = (server.after("mail", 1).await, server.all("auth"));
        assert_eq!((mails.len(), auths.len()), (1, 2), "{tls}");
        assert!(auths.iter().all(|it| it["tls"] == true && it["mechanism"] != without), "{auths:?}");
        assert_eq!(mails[0]["to"], json!(["a@example.org", "b@example.org", "c@example.org"]));
        assert!(mails[0]["tls"] == true && mails[0]["login"] == true, "{:?}", mails[0]);
        let id = mails[0]["text"].as_str().unwrap().lines().find(|line| line.starts_with("Message-ID: ")).unwrap();
        assert!(id.ends_with("@bk1.example.org>"), "{id}");
        assert!(server.all("ehlo").iter().all(|it| it["name"] == "bk1.example.org"), "{:?}", server.all("ehlo"));
    }
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_where_tls_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(json!({ "tls": "none" })).await;
    let keys = "host = \"localhost\"\nuser = \"bob\"\npassword = \"tiger-in-the-tank\"";
    let (code, text) = test(place.path(), &server.receiver(keys, THREE));
    assert!(code == Some(2) && text.contains("STARTTLS"), "{text}");
    assert_eq!((server.all("auth").len(), server.all("mail").len()), (0, 0));
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let place = tempfile::tempdir().unwrap();
    let keys = "host = \"localhost\"\ntls = \"none\"";
    for (options, said, asked) in [
        (json!({ "tls": "none", "ehlo": "504 5.5.2 say your full name" }), "somebody mends it", 0),
        (json!({ "tls": "none", "mail": "550 5.7.1 not from there" }), "somebody mends it", 0),
        (json!({ "tls": "none", "mail": "451 4.3.0 not now" }), "may later", 0),
        (json!({ "tls": "none", "data": "554 5.6.0 not such words" }), "won't: mail: ", 3),
        (json!({ "tls": "none", "data": "452 4.3.1 disk is full" }), "may later", 3),
    ] {
        let server = Server::start(options.clone()).await;
        let (code, text) = test(place.path(), &server.receiver(keys, THREE));
        assert!(code == Some(2) && text.contains(said), "{options}: {text}");
        // One conversation, whatever was refused.
        let counts = (server.after("ehlo", 1).await.len(), server.after("rcpt", asked).await.len());
        assert_eq!(counts, (1, asked), "{options}");
    }
}

#[tokio::test]
async fn each_address_is_refused_by_itself_and_nobody_gets_it_twice() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(json!({ "tls": "none" })).await;
    let to = "\"a@example.org\", \"grey@example.org\", \"nobody@example.org\"";
    let config = configuration(place.path(), &server.receiver("host = \"localhost\"\ntls = \"none\"", to));
    let arguments = ["--config.file", config.to_str().unwrap()];
    let daemon = Daemon::start(&arguments).await;
    until("one of three has it", || async { server.all("mail").first().cloned() }).await;
    let listed = || {
        let output = firedrill().args(["notify", "list", "--config.file"]).arg(&config).output().unwrap();
        stdout(&output)
    };
    until("it is noted", || async { listed().contains("taken for 1 of 3 so far").then_some(()) }).await;
    assert!(daemon.metrics().await.contains("firedrill_receiver_up{receiver=\"mail\"} 1"));
    // A restart forgets nobody who has it.
    assert!(daemon.process.stop().success());
    let daemon = Daemon::start(&arguments).await;
    until("the second has it", || async { server.all("mail").get(1).cloned() }).await;
    let line = until("it is noted", || async {
        let text = listed();
        text.lines().find(|line| line.contains("mail  sent")).map(str::to_owned)
    })
    .await;
    assert!(
        line.contains("taken for 2 of 3; refused: nobody@example.org: ") && line.contains("no such user"),
        "{line}"
    );
    drop(daemon);
    let mut got: Vec<String> = server.all("mail").iter().map(|it| it["to"].to_string()).collect();
    got.sort();
    assert_eq!(got, [r#"["a@example.org"]"#, r#"["grey@example.org"]"#]);
    let asked = |to: &str| server.all("rcpt").iter().filter(|it| it["to"] == to).count();
    assert_eq!((asked("a@example.org"), asked("grey@example.org"), asked("nobody@example.org")), (1, 3, 1));
}

#[tokio::test]
async fn a_wrong_password_is_known_before_anything_is_to_be_told() {
    let place = tempfile::tempdir().unwrap();
    let (cert, key) = certificates(place.path());
    let server = Server::start(json!({ "tls": "tls", "cert": cert, "key": key, "auth": true })).await;
    // Nothing is missing, so there is nothing to tell.
    let keys = format!(
        "host = \"localhost\"\ntls = \"tls\"\nuser = \"bob\"\npassword = \"wrong-password\"\nca_file = {:?}",
        place.path().join("ca.pem")
    );
    let text = server.receiver(&keys, THREE);
    let config = configuration(place.path(), &text);
    let quiet = std::fs::read_to_string(&config).unwrap().replace("[notify]\n", "[notify]\nbackups = false\n");
    std::fs::write(&config, quiet).unwrap();
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    until("the metrics say so", || async {
        daemon.metrics().await.contains("firedrill_receiver_up{receiver=\"mail\"} 0").then_some(())
    })
    .await;
    assert!(!daemon.process.log().contains("wrong-password"));
    assert_eq!((server.after("auth", 1).await.len(), server.all("mail").len()), (1, 0));
}
