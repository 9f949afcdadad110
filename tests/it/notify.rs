//! Notifications against stand-ins of the other sides: HTTP servers that misbehave, a real SMTP server, syslog sockets; and
//! from the daemon to the receiver.

use std::collections::VecDeque;
use std::io::Read as _;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use firedrill::adapters::machine::clock::SystemClock;
use firedrill::adapters::messengers::telegram::{Settings, Telegram};
use firedrill::domain::notice::dedup::Why;
use firedrill::domain::notice::routes::{Recipient, Routes};
use firedrill::domain::notice::{Message, Notice, Part, Phase, Topic, Urgency};
use firedrill::domain::secret::Secret;
use firedrill::engine::ports::Clock as _;
use firedrill::engine::ports::notices::{
    Claim, Claimed, FailedTry, Messenger as _, NoticeStore, Routing, Sent, Taken, Tried,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::store::Where;
use crate::support::{Daemon, client, firedrill, free_port, stderr, stdout, until};

const TOKEN: &str = "12345:very-secret-token";

fn now() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

fn notice(key: &str) -> Notice {
    Notice {
        key: key.into(),
        phase: Phase::Problem,
        severity: Urgency::Warning,
        topic: Topic::Backup,
        source: Some("cluster".parse().unwrap()),
        item: Some("qemu/100".parse().unwrap()),
        environment: None,
        title: format!("{key} is late & <b>").into(),
        body: "the newest is old".into(),
        link: None,
        at: now(),
        proposal: None,
        receivers: Vec::new(),
    }
}

fn message() -> Message {
    Message { notice: notice("a"), why: Why::First, reply_to: None, parts: Vec::new() }
}

/// What a stand-in heard.
#[derive(Debug, Clone)]
pub struct Heard {
    pub path: String,
    headers: HeaderMap,
    pub body: String,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An HTTP server that answers as it was told, then `{"ok":true,…}`. A status of 0 hangs.
#[derive(Clone, Default)]
pub struct StandIn {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl StandIn {
    pub async fn start(answers: &[(u16, &str)]) -> (Self, String) {
        let it = Self::default();
        it.answers.lock().unwrap().extend(answers.iter().map(|(status, body)| (*status, (*body).to_owned())));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(it.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (it, url)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

async fn answer(State(it): State<StandIn>, uri: Uri, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let body = String::from_utf8_lossy(&body).into_owned();
    it.heard.lock().unwrap().push(Heard { path: uri.path().to_owned(), headers, body });
    let next = it.answers.lock().unwrap().pop_front();
    match next {
        Some((0, _)) => std::future::pending().await,
        Some((status, body)) => (StatusCode::from_u16(status).unwrap(), body),
        None => (StatusCode::OK, r#"{"ok":true,"result":{"message_id":77}}"#.to_owned()),
    }
}

async fn telegram(answers: &[(u16, &str)]) -> (StandIn, Telegram) {
    // Makes sure that TLS has its provider.
    let _ = client();
    let (stand_in, api_url) = StandIn::start(answers).await;
    let settings = Settings {
        api_url,
        token: Secret::from(TOKEN.to_owned()),
        chat: "-100123".into(),
        thread: Some(5),
        approvals: true,
    };
    (stand_in, Telegram::new(settings).unwrap())
}

#[tokio::test]
async fn telegram_is_told_in_html_and_in_plain_text_when_that_is_refused() {
    let refused = r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: x"}"#;
    let (heard, telegram) = telegram(&[(400, refused)]).await;
    let asks = Message { notice: Notice { proposal: Some(9), ..notice("a") }, reply_to: Some("5".into()), ..message() };
    assert!(matches!(telegram.send(&asks).await, Sent::Ok { remote_id: Some(id), .. } if &*id == "77"));
    let [html, plain] = &heard.heard()[..] else { panic!("{:?}", heard.heard()) };
    assert_eq!(html.path, format!("/bot{TOKEN}/sendMessage"));
    assert_eq!(
        html.json()["text"],
        "<b>WARNING</b>: <code>a is late &amp; &lt;b&gt;</code>\n<pre>the newest is old</pre>"
    );
    assert_eq!((&html.json()["chat_id"], &html.json()["message_thread_id"]), (&json!(-100123), &json!(5)));
    // Of the question above it, whatever has this number by the time it is pressed.
    let seal = &blake3::hash(asks.notice.title.as_bytes()).to_hex()[..16];
    assert_eq!(html.json()["reply_markup"]["inline_keyboard"][0][1]["callback_data"], format!("fd:d:9:{seal}"));
    assert_eq!(html.json()["reply_parameters"]["message_id"], 5);
    assert_eq!(plain.json()["text"], "WARNING: a is late & <b>\nthe newest is old");
    assert!(plain.json().get("parse_mode").is_none());
    let kinds: Vec<Value> = plain.json()["entities"].as_array().unwrap().iter().map(|it| it["type"].clone()).collect();
    assert_eq!(kinds, ["bold", "code", "pre"]);
}

#[tokio::test]
async fn of_a_long_text_telegram_gets_each_part_once_however_often_it_is_tried() {
    let limited = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":7}}"#;
    let ok = r#"{"ok":true,"result":{"message_id":77}}"#;
    let (heard, telegram) = telegram(&[(200, ok), (429, limited), (429, limited)]).await;
    let lines: Vec<String> = (0..900).map(|it| format!("line {it}")).collect();
    let long = Message { notice: Notice { body: lines.join("\n").into(), ..notice("a") }, ..message() };
    for _ in 0..2 {
        assert!(matches!(telegram.send(&long).await, Sent::RetryLater { .. }));
    }
    assert!(matches!(telegram.send(&long).await, Sent::Ok { remote_id: Some(id), .. } if &*id == "77"));
    let texts: Vec<String> = heard.heard().iter().map(|it| it.json()["text"].as_str().unwrap().to_owned()).collect();
    let with = |line: &str| texts.iter().filter(|text| text.contains(line)).count();
    // Two parts: the second is taken at the third try.
    assert_eq!((texts.len(), with("line 0\n"), with("line 899")), (4, 1, 3));
    // Another message is another one, and so is the same one later.
    assert!(matches!(telegram.send(&long).await, Sent::Ok { .. }));
    assert!(heard.heard().iter().filter(|it| it.json()["text"].as_str().unwrap().contains("line 0\n")).count() == 2);
}

#[tokio::test]
async fn answers_of_telegram_are_classified_and_no_error_shows_the_token() {
    let limited = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":7}}"#;
    let blocked = r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#;
    let (_, telegram) =
        telegram(&[(500, "oops"), (429, limited), (403, blocked), (200, "<html>12345:very-secret-token")]).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(telegram.send(&message()).await);
    }
    assert!(matches!(&all[0], Sent::Unfit { .. }), "{all:?}");
    assert!(
        matches!(&all[1], Sent::RetryLater { after: Some(after), .. } if *after == Duration::from_secs(7)),
        "{all:?}"
    );
    assert!(matches!(&all[2], Sent::Refused { why } if why.contains("blocked")), "{all:?}");
    assert!(matches!(&all[3], Sent::Refused { why } if why.contains("page for people")), "{all:?}");
    let nobody = Settings {
        api_url: format!("http://127.0.0.1:{}", free_port()),
        token: Secret::from(TOKEN.to_owned()),
        chat: "1".into(),
        approvals: false,
        thread: None,
    };
    all.push(Telegram::new(nobody).unwrap().send(&message()).await);
    assert!(matches!(&all[4], Sent::RetryLater { unsure: false, .. }), "{all:?}");
    assert!(!format!("{all:?}").contains("secret"), "{all:?}");
}

#[tokio::test]
async fn what_a_person_mends_is_told_from_what_is_wrong_with_a_message() {
    let said = |text: &str| format!(r#"{{"ok":false,"description":"{text}"}}"#);
    // An answer and whether it is about the receiver; else about the message.
    let answers = [
        (401, said("Unauthorized"), true),
        (403, said("Forbidden: bot was kicked from the group chat"), true),
        (404, said("Not Found"), true),
        (400, said("Bad Request: chat not found"), true),
        (400, said("Bad Request: need administrator rights in the channel chat"), true),
        (407, "<html>Proxy Authentication Required</html>".to_owned(), true),
        (511, "<html>Log in to the network".to_owned(), true),
        (302, String::new(), true),
        (200, "<!DOCTYPE html><title>Log in</title>".to_owned(), true),
        (400, said("Bad Request: message is too long"), false),
        (413, said("Request Entity Too Large"), false),
        (500, said("Internal Server Error"), false),
    ];
    for (status, body, about_the_receiver) in answers {
        let (_, telegram) = telegram(&[(status, &body)]).await;
        let sent = telegram.send(&message()).await;
        assert_eq!(matches!(sent, Sent::Refused { .. }), about_the_receiver, "{status} {body}: {sent:?}");
        assert_eq!(matches!(sent, Sent::Unfit { .. }), !about_the_receiver, "{status} {body}: {sent:?}");
        assert!(!format!("{sent:?}").contains("very-secret"), "{sent:?}");
    }
}

#[tokio::test]
async fn telegram_is_asked_whether_the_token_and_the_chat_are_good() {
    let (heard, good) = telegram(&[]).await;
    assert!(matches!(good.check().await, Some(Sent::Ok { .. })));
    let paths: Vec<String> = heard.heard().iter().map(|it| it.path.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(paths, ["getMe", "getChat"]);
    let revoked = r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#;
    let (_, bad) = telegram(&[(401, revoked)]).await;
    assert!(matches!(bad.check().await, Some(Sent::Refused { .. })));
    let gone = r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#;
    let (_, bad) = telegram(&[(200, r#"{"ok":true}"#), (400, gone)]).await;
    assert!(matches!(bad.check().await, Some(Sent::Refused { .. })));
}

#[tokio::test]
async fn a_topic_that_takes_nothing_falls_back_to_the_chat() {
    for why in ["TOPIC_CLOSED", "message thread not found", "TOPIC_DELETED"] {
        let refused = format!(r#"{{"ok":false,"error_code":400,"description":"Bad Request: {why}"}}"#);
        let (heard, telegram) = telegram(&[(400, &refused)]).await;
        let sent = telegram.send(&message()).await;
        assert!(matches!(sent, Sent::Ok { .. }), "{why}: {sent:?}");
        let topics: Vec<Value> = heard.heard().iter().map(|it| it.json()["message_thread_id"].clone()).collect();
        assert_eq!(topics, [json!(5), Value::Null], "{why}");
    }
}

#[tokio::test]
async fn a_question_for_approval_is_made_of_text_alone() {
    let (heard, telegram) = telegram(&[]).await;
    let hostile = Notice {
        proposal: Some(9),
        title: "Approve? run /x\u{202e}gpj\u{1b}[2J".into(),
        body: "Because of @channel /stop <a href=\"https://evil.example\">\u{2066}\r\nnext".into(),
        link: Some("https://example.org/\u{202e}moc".into()),
        ..notice("a")
    };
    telegram.send(&Message { notice: hostile, ..message() }).await;
    let heard = heard.heard();
    assert_eq!(
        heard[0].json()["text"],
        "<b>WARNING</b>: <code>Approve? run /x\\u{202e}gpj\\u{1b}[2J</code>\n<pre>Because of @channel /stop \
         &lt;a href=\"https://evil.example\"&gt;\\u{2066}\nnext</pre>"
    );
    assert!(heard[0].body.contains("fd:a:9"));
}

/// Everything that answers may quote: the whole address, parts of it, and what a login looks like on its way.
#[tokio::test]
async fn what_an_answer_quotes_of_a_secret_is_shown_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let quoted = "no hook B02SECRET at /services/T01AB/B02SECRET/aBcDeFgHiJkLmN (aBcDeFgHiJ..), key=s3cr3t+k%2Fy, s3cr3t k/y, \
                  Authorization: Basic Ym9iOnBAc3N3MHJkLTE=";
    let (hook, url) = StandIn::start(&[(500, quoted), (404, quoted)]).await;
    let address = url.replace("http://", "http://bob:p%40ssw0rd-1@");
    let config = configuration(
        place.path(),
        &format!(
            "[[notify.receivers]]\nname = \"chat\"\ntype = \"slack\"\nurl = \"{address}/services/T01AB/B02SECRET/aBcDeFgHiJkLmN?key=s3cr3t%20k%2Fy\"\n"
        ),
    );
    let secrets = ["B02SECRET", "aBcDeFg", "s3cr3t", "p@ssw0rd", "p%40ssw0rd", "Ym9iOnBA"];
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    let list = || firedrill().args(["notify", "list", "--config.file"]).arg(&config).output().unwrap();
    until("it was refused twice", || async { stdout(&list()).contains("404").then_some(()) }).await;
    let metrics = daemon.metrics().await;
    assert!(metrics.contains("firedrill_receiver_up{receiver=\"chat\"} 0"), "{metrics}");
    let log = daemon.process.log();
    assert!(log.contains("it answered 500") && hook.heard().len() >= 2, "{log}");
    assert!(daemon.process.stop().success());
    let (listed, mut store) = (list(), String::new());
    for entry in std::fs::read_dir(place.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("s.db") {
            store += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
        }
    }
    assert!(store.contains("it answered 404"));
    for secret in secrets {
        for text in [&log, &metrics, &stdout(&listed), &stderr(&listed), &store] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn a_secret_of_digits_in_the_environment_is_not_shown() {
    let place = tempfile::tempdir().unwrap();
    let config = configuration(place.path(), "");
    for (name, value) in [
        ("FIREDRILL_WEBHOOK__TOKEN", "9876543210987654321"),
        ("FIREDRILL_WEBHOOK", "9876543210987654321"),
        ("FIREDRILL_STORE__URL", "9876543210987654321"),
        ("FIREDRILL_STORE__URL", "[9876543210987654321]"),
        ("FIREDRILL_STORE", "\"9876543210987654321\""),
        ("FIREDRILL_NOTIFY", "9876543210987654321"),
        ("FIREDRILL_NOTIFY__RECEIVERS", "[{name=\"a\",type=\"slack\",url=9876543210987654321}]"),
        ("FIREDRILL_NOTIFY__RECEIVERS", "[{name=\"a\",type=\"smtp\",password=9876543210987654321}]"),
        ("FIREDRILL_NOTIFY__RECEIVERS", "9876543210987654321"),
    ] {
        let output =
            firedrill().args(["check-config", "--config.file"]).arg(&config).env(name, value).output().unwrap();
        let said = stdout(&output) + &stderr(&output);
        assert!(!output.status.success() && !said.contains("98765432109"), "{name}: {said}");
    }
}

#[tokio::test]
async fn a_group_that_moved_is_followed_and_long_texts_are_split() {
    let moved = r#"{"ok":false,"error_code":400,"description":"upgraded","parameters":{"migrate_to_chat_id":-1009}}"#;
    let (heard, telegram) = telegram(&[(400, moved)]).await;
    let long = Message { notice: Notice { body: "line & more\n".repeat(700).into(), ..notice("a") }, ..message() };
    assert!(matches!(telegram.send(&long).await, Sent::Ok { .. }));
    let heard = heard.heard();
    let chats: Vec<i64> = heard.iter().map(|it| it.json()["chat_id"].as_i64().unwrap()).collect();
    assert_eq!(chats, [-100123, -1009, -1009, -1009]);
}

/// So many hours ago.
fn at(hours: i64) -> Timestamp {
    SystemClock.now() - jiff::SignedDuration::from_hours(hours)
}

pub fn configuration(directory: &std::path::Path, receivers: &str) -> std::path::PathBuf {
    std::fs::create_dir_all(directory.join("dumps")).unwrap();
    let path = directory.join("firedrill.toml");
    let text = format!(
        "[store]\nurl = \"sqlite://{0}/s.db\"\n[verify]\nenabled = false\n[[dump]]\nname = \"db\"\nexpected = [\"shop\"]\n\
         time_zone = \"UTC\"\nscan_interval = \"1s\"\nroots = [{{ path = \"{0}/dumps\" }}]\npatterns = [{{ pattern = \"{{db}}_{{time}}.sql\" }}]\n\
         [notify]\ndigest_wait = \"0s\"\n{receivers}",
        directory.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn from_a_missing_backup_to_the_receivers_across_restarts() {
    let place = tempfile::tempdir().unwrap();
    let (slack, slack_url) = StandIn::start(&[(500, "rollup_error"), (429, "rate_limited")]).await;
    let (hook, hook_url) = StandIn::start(&[]).await;
    let (hanging, hanging_url) = StandIn::start(&[(0, ""), (0, ""), (0, ""), (0, "")]).await;
    let config = configuration(
        place.path(),
        &format!(
            "[[notify.receivers]]\nname = \"hanging\"\ntype = \"slack\"\nurl = \"{hanging_url}/secret-path\"\n\
             [[notify.receivers]]\nname = \"chat\"\ntype = \"slack\"\nurl = \"{slack_url}/secret-path\"\n\
             [[notify.receivers]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{hook_url}/secret-path\"\nsecret = \"signing-secret\"\n"
        ),
    );
    let arguments = ["--config.file", config.to_str().unwrap()];
    let daemon = Daemon::start(&arguments).await;
    until("the hook is told", || async { hook.heard().first().cloned() }).await;
    let told = hook.heard()[0].clone();
    assert_eq!(
        (&told.json()["title"], &told.json()["severity"]),
        (&json!("CRITICAL: dump/shop of db is missing"), &json!("critical"))
    );
    assert!(told.headers["x-firedrill-signature"].to_str().unwrap().starts_with("v1="));
    assert!(told.headers.contains_key("x-firedrill-timestamp"));
    until("the chat is told at the third try", || async { slack.heard().get(2).cloned() }).await;
    assert!(!hanging.heard().is_empty());
    let metrics = until("the metrics show it", || async {
        let text = daemon.metrics().await;
        let all = [
            r#"firedrill_notifications_total{receiver="chat",result="sent"} 1"#,
            r#"firedrill_notifications_total{receiver="chat",result="retried"} 2"#,
            r#"firedrill_notifications_queued{receiver="hanging"} 1"#,
            r#"firedrill_receiver_up{receiver="hook"} 1"#,
        ];
        all.iter().all(|line| text.contains(line)).then_some(text)
    })
    .await;
    let log = daemon.process.log();
    for secret in ["secret-path", "signing-secret"] {
        assert!(!metrics.contains(secret) && !log.contains(secret), "{log}");
    }
    assert!(daemon.process.stop().success());
    // It gets well while nobody watches; the end is told, the beginning not again, and what hung is not lost.
    let dump = place.path().join("dumps").join(format!("shop_{}.sql", at(3).strftime("%Y-%m-%d_%H-%M-%S")));
    std::fs::write(&dump, "-- a dump").unwrap();
    // A file that was just written is one that is being written.
    let file = std::fs::File::options().write(true).open(&dump).unwrap();
    file.set_modified(at(2).into()).unwrap();
    let daemon = Daemon::start(&arguments).await;
    until("the end is told", || async { hook.heard().get(1).cloned() }).await;
    assert_eq!(hook.heard()[1].json()["title"], "RECOVERED: dump/shop of db is ok again");
    until("the chat too", || async { slack.heard().get(3).cloned() }).await;
    drop(daemon);
    assert_eq!((hook.heard().len(), slack.heard().len()), (2, 4));
    let listed = firedrill().args(["notify", "list", "--config.file"]).arg(&config).output().unwrap();
    let text = stdout(&listed);
    assert!(text.contains("chat  sent [first], 3 tries: dump/shop of db is missing"), "{text}{}", stderr(&listed));
}

#[tokio::test]
async fn a_test_message_says_what_came_of_it() {
    let place = tempfile::tempdir().unwrap();
    let (hook, url) = StandIn::start(&[(404, "no_service"), (200, "ok")]).await;
    let config = configuration(
        place.path(),
        &format!("[[notify.receivers]]\nname = \"chat\"\ntype = \"slack\"\nurl = \"{url}/secret-path\"\n"),
    );
    let test = |receiver: &'static str| {
        let config = config.clone();
        tokio::task::spawn_blocking(move || {
            firedrill().args(["notify", "test", receiver, "--config.file"]).arg(config).output().unwrap()
        })
    };
    let refused = test("chat").await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("no_service") && !stderr(&refused).contains("secret-path"),
        "{}",
        stderr(&refused)
    );
    let taken = test("chat").await.unwrap();
    assert_eq!((taken.status.code(), &*stdout(&taken)), (Some(0), "chat: ok\n"));
    assert_eq!(hook.heard()[1].json()["text"], "INFO: `this is a test of firedrill`");
    let unknown = test("nobody").await.unwrap();
    assert!(stderr(&unknown).contains("there are: chat"), "{}", stderr(&unknown));
}

/// A Python that has aiosmtpd: that of the Debian package, or of whoever runs the tests.
pub fn python() -> &'static str {
    let has = |python: &&&str| {
        let found = Command::new(python).args(["-c", "import aiosmtpd"]).output();
        found.is_ok_and(|output| output.status.success())
    };
    ["/usr/bin/python3", "python3"].iter().find(has).expect("aiosmtpd (Debian: python3-aiosmtpd)")
}

/// The server prints what it gets; it knows no "nobody".
const MAIL_SERVER: &str = r#"
import sys
from aiosmtpd.handlers import Debugging
from aiosmtpd.main import main

class Picky(Debugging):
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

main(["-n", "-c", "__main__.Picky", "-l", sys.argv[1]])
"#;

/// A real SMTP server.
pub struct MailServer {
    process: std::process::Child,
    pub port: u16,
    lines: Arc<Mutex<String>>,
}

impl MailServer {
    pub async fn start() -> Self {
        use std::io::BufRead as _;

        let port = free_port();
        let mut process = Command::new(python())
            .args(["-u", "-c", MAIL_SERVER, &format!("127.0.0.1:{port}")])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let lines: Arc<Mutex<String>> = Arc::default();
        let (output, sink) = (std::io::BufReader::new(process.stdout.take().unwrap()), lines.clone());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| *sink.lock().unwrap() += &(line + "\n"))
        });
        until("the mail server listens", || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok() })
            .await;
        Self { process, port, lines }
    }

    pub fn text(&self) -> String {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn mail_arrives_at_a_real_server() {
    let server = MailServer::start().await;
    let port = server.port;
    let place = tempfile::tempdir().unwrap();
    let config = configuration(
        place.path(),
        &format!(
            "[[notify.receivers]]\nname = \"mail\"\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             from = \"firedrill@example.org\"\nto = [\"a@example.org\", \"b@example.org\"]\n"
        ),
    );
    let sent = firedrill().args(["notify", "test", "mail", "--config.file"]).arg(&config).output().unwrap();
    assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
    let mail = until("the mail is there", || async {
        let text = server.text();
        text.contains("END MESSAGE").then_some(text)
    })
    .await;
    for part in [
        "Subject: INFO: this is a test of firedrill",
        "Auto-Submitted: auto-generated",
        "References: <",
        "multipart/alternative",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
}

#[tokio::test]
async fn an_address_that_is_refused_keeps_no_mail_from_the_others() {
    let server = MailServer::start().await;
    let port = server.port;
    let place = tempfile::tempdir().unwrap();
    let receiver = |name: &str, to: &str| {
        format!(
            "[[notify.receivers]]\nname = \"{name}\"\ntype = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             from = \"firedrill@example.org\"\nto = [{to}]\n"
        )
    };
    let all =
        receiver("both", "\"a@example.org\", \"nobody@example.org\"") + &receiver("none", "\"nobody@example.org\"");
    let config = configuration(place.path(), &all);
    let test = |name: &str| firedrill().args(["notify", "test", name, "--config.file"]).arg(&config).output().unwrap();
    let sent = test("both");
    assert_eq!(
        (sent.status.code(), &*stdout(&sent)),
        (Some(0), "both: taken for 1 of 2; refused: nobody@example.org: permanent error (550): 5.1.1 no such user\n"),
        "{}",
        stderr(&sent)
    );
    until("the mail is there", || async { server.text().contains("END MESSAGE").then_some(()) }).await;
    let refused = test("none");
    assert!(refused.status.code() == Some(2) && stderr(&refused).contains("no such user"), "{}", stderr(&refused));
}

#[tokio::test]
async fn syslog_takes_it_over_every_transport() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("log");
    let unix = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let receiver = |name: &str, address: &str| {
        format!(
            "[[notify.receivers]]\nname = \"{name}\"\ntype = \"syslog\"\nprotocol = \"{name}\"\naddress = \"{address}\"\nfacility = \"local0\"\n"
        )
    };
    let all = receiver("unix", socket.to_str().unwrap())
        + &receiver("udp", &udp.local_addr().unwrap().to_string())
        + &receiver("tcp", &tcp.local_addr().unwrap().to_string());
    let config = configuration(place.path(), &all);
    for name in ["unix", "udp", "tcp"] {
        let sent = firedrill().args(["notify", "test", name, "--config.file"]).arg(&config).output().unwrap();
        assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
        let mut buffer = vec![0; 4096];
        let length = match name {
            "unix" => unix.recv(&mut buffer).unwrap(),
            "udp" => udp.recv(&mut buffer).unwrap(),
            _ => tcp.accept().unwrap().0.read(&mut buffer).unwrap(),
        };
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let line = if name == "tcp" {
            let (count, line) = text.split_once(' ').unwrap();
            assert_eq!(count.parse::<usize>().unwrap(), line.len());
            line.to_owned()
        } else {
            text
        };
        assert!(line.starts_with("<134>1 2") && line.contains("] INFO: this is a test of firedrill: "), "{line}");
    }
}

/// What the notifier notes of failures, and reads again after a restart.
async fn failures_are_kept(place: Where) {
    let store = place.open().await;
    let recipient = Recipient { name: "a".into(), quiet: None };
    let hour = Duration::from_secs(3600);
    let plan = Routing {
        routes: Routes { recipients: vec![recipient], routes: Vec::new() },
        repeat: hour,
        wait: Duration::ZERO,
        too_old: hour,
    };
    let next = async |after: u64| {
        let now = now() + Duration::from_secs(after);
        while store.route(&plan, now).await.unwrap().notices > 0 {}
        let claim = Claim { owner: "me".into(), now, lease: now + Duration::from_secs(60), above: 7, alone: false };
        match store.claim("a", &claim).await.unwrap() {
            Claimed::Some(some) => some,
            Claimed::Nothing(_) => Vec::new(),
        }
    };
    let failure = |after: u64, again: Option<u64>| FailedTry {
        again: again.map(|again| now() + Duration::from_secs(again)),
        why: "no".into(),
        unsure: false,
        parts: Vec::new(),
        unfit: 0,
        at: now() + Duration::from_secs(after),
    };
    let alert = Notice { topic: Topic::Alert, ..notice("alert/1") };
    NoticeStore::post(&store, std::slice::from_ref(&alert)).await.unwrap();
    let some = next(0).await;
    let part = Part { to: "x@y.org".into(), taken: true, said: "é".into() };
    let partly = FailedTry { parts: vec![part.clone()], unfit: 1, unsure: true, ..failure(1, Some(10)) };
    store.failed(&some, "me", &partly).await.unwrap();
    assert!(next(9).await.is_empty());
    let again = next(10).await;
    assert_eq!((&again[0].parts, again[0].unfit, again[0].tries), (&vec![part.clone()], 1, 2));
    // Nothing new is decided: what was known stays.
    store.failed(&again, "me", &failure(11, Some(20))).await.unwrap();
    let again = next(20).await;
    assert_eq!((&again[0].parts, again[0].unfit), (&vec![part], 1));
    store.failed(&again, "me", &failure(20, None)).await.unwrap();
    assert!(store.last_tries().await.unwrap().is_empty());
    let later = now() + hour + Duration::from_secs(20);
    assert_eq!(store.offer_again(hour, later - Duration::from_secs(1)).await.unwrap(), 0);
    assert_eq!(store.offer_again(hour, later).await.unwrap(), 1);
    let offered = next(3620).await;
    assert_eq!((&*offered[0].notice.key, offered[0].why, offered[0].notice.at), ("alert/1", Why::First, later));
    let taken = Taken { remote_id: None, note: Some("1 of 2".into()), at: later };
    store.sent(&offered, "me", &taken).await.unwrap();
    assert_eq!(store.last_tries().await.unwrap(), [Tried { receiver: "a".into(), worked: true }]);
    assert_eq!(store.last_deliveries(1).await.unwrap()[0].last_error.as_deref(), Some("1 of 2"));
    // Its end is dropped: then the next beginning is news.
    let at = |after: u64| now() + Duration::from_secs(after);
    NoticeStore::post(&store, &[Notice { phase: Phase::Recovered, at: at(3630), ..alert.clone() }]).await.unwrap();
    let over = next(3630).await;
    assert_eq!(over[0].why, Why::Recovered);
    store.failed(&over, "me", &failure(3631, None)).await.unwrap();
    NoticeStore::post(&store, &[Notice { at: at(3640), ..alert }]).await.unwrap();
    assert_eq!(next(3640).await[0].why, Why::First);
    assert_eq!(store.last_tries().await.unwrap(), [Tried { receiver: "a".into(), worked: false }]);
}

#[tokio::test]
async fn failures_are_kept_by_sqlite() {
    failures_are_kept(Where::sqlite()).await;
}

#[tokio::test]
async fn failures_are_kept_by_postgresql() {
    failures_are_kept(Where::postgres()).await;
}

/// Two daemons on one store.
async fn nothing_is_sent_twice(place: Where) {
    let stores = [place.open().await, place.open().await];
    let all: Vec<Notice> = (0..60).map(|index| notice(&format!("item {index}"))).collect();
    NoticeStore::post(&stores[0], &all).await.unwrap();
    let recipient = |name: &str| Recipient { name: name.into(), quiet: None };
    let plan = Routing {
        routes: Routes { recipients: vec![recipient("a"), recipient("b")], routes: Vec::new() },
        repeat: Duration::from_secs(3600),
        wait: Duration::ZERO,
        too_old: Duration::from_secs(3600),
    };
    let work = |index: usize| {
        let (store, plan) = (stores[index].clone(), plan.clone());
        async move {
            while store.route(&plan, now()).await.unwrap().notices > 0 {}
            let owner: Arc<str> = format!("daemon {index}").into();
            let claim = Claim {
                owner: owner.clone(),
                now: now(),
                lease: now() + Duration::from_secs(60),
                above: 7,
                alone: false,
            };
            let (mut sent, mut idle) = (Vec::new(), 0);
            while idle < 20 {
                let mut busy = false;
                for receiver in ["a", "b"] {
                    match store.claim(receiver, &claim).await.unwrap() {
                        Claimed::Some(some) => {
                            busy = true;
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            store.sent(&some, &owner, &Taken { remote_id: None, note: None, at: now() }).await.unwrap();
                            sent.extend(some.iter().map(|it| it.id));
                        }
                        Claimed::Nothing(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
                idle = if busy { 0 } else { idle + 1 };
            }
            sent
        }
    };
    let (first, second) = tokio::join!(tokio::spawn(work(0)), tokio::spawn(work(1)));
    let mut sent = [first.unwrap(), second.unwrap()].concat();
    sent.sort_unstable();
    let count = sent.len();
    sent.dedup();
    assert_eq!((count, sent.len()), (120, 120));
    assert!(stores[0].queues(now()).await.unwrap().is_empty());
    assert_eq!(stores[1].stories("item").await.unwrap().len(), 60);
    assert_eq!(stores[0].forget_notices(now() + Duration::from_secs(1)).await.unwrap(), 0);
    // All of it is known now: none of it is news.
    NoticeStore::post(&stores[0], &all).await.unwrap();
    let routed = stores[1].route(&plan, now()).await.unwrap();
    assert_eq!((routed.queued, routed.suppressed.len()), (0, 120));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_on_sqlite_send_nothing_twice() {
    nothing_is_sent_twice(Where::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_on_postgresql_send_nothing_twice() {
    nothing_is_sent_twice(Where::postgres()).await;
}
