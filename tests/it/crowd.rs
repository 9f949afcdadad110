//! Clients that open very many connections and ask nothing, or ask and take no answer: others are answered all the same.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Daemon, Running, until};

/// How many there are of each sort: the silent ones, and those that ask and never read.
const CROWD: [usize; 2] = [2_000, 500];

/// Where the daemon has 256 descriptors.
const SMALL_CROWD: [usize; 2] = [400, 100];

/// Where the crowd comes from, and where it doesn't.
const CROWDED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

/// Within this a scrape is answered, however many there are: as long as Prometheus waits for one. Without turns nobody is answered
/// at all, so a machine that is busy with other tests may take its time.
const ELSEWHERE_LIMIT: Duration = Duration::from_secs(10);
const CROWDED_LIMIT: Duration = Duration::from_secs(10);

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

async fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// How many of a crowd were connected at least once.
type Arrived = Arc<AtomicUsize>;

/// Opens a connection, says as much as `first`, and opens it again when it is closed.
async fn silent(to: SocketAddr, first: &'static [u8], arrived: Arrived) {
    let mut counted = false;
    loop {
        let Ok(mut stream) = connect(CROWDED, to).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.write_all(first).await;
        if !std::mem::replace(&mut counted, true) {
            arrived.fetch_add(1, Ordering::SeqCst);
        }
        let _ = stream.read(&mut [0; 1024]).await;
    }
}

/// Asks without end and never reads.
async fn pipelining(to: SocketAddr, arrived: Arrived) {
    let requests = REQUEST.repeat(100);
    let mut counted = false;
    loop {
        if let Ok(mut stream) = connect(CROWDED, to).await {
            if !std::mem::replace(&mut counted, true) {
                arrived.fetch_add(1, Ordering::SeqCst);
            }
            while stream.write_all(&requests).await.is_ok() {}
        } else {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    stream.write_all(LAST_REQUEST).await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Ok(_) => {}
        // TLS without its last words: the length says whether it is whole.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error),
    }
    let text = String::from_utf8_lossy(&answer);
    let whole = text.starts_with("HTTP/1.1 200") && text.contains("firedrill_build_info{");
    if whole { Ok(()) } else { Err(std::io::Error::other(format!("not an answer: {text:.200}"))) }
}

async fn scrape(from: Ipv4Addr, to: SocketAddr, tls: Option<&TlsConnector>) -> std::io::Result<()> {
    let stream = connect(from, to).await?;
    match tls {
        None => ask(stream).await,
        Some(tls) => ask(tls.connect(ServerName::from(std::net::IpAddr::from(ELSEWHERE)), stream).await?).await,
    }
}

/// Scrapes again and again while the crowd is there; each must be answered in time.
async fn everybody_is_answered(daemon: &Daemon, tls: Option<&TlsConnector>, after: &str) {
    let mut slowest = [Duration::ZERO; 2];
    for round in 0..10 {
        for (index, (from, limit)) in [(ELSEWHERE, ELSEWHERE_LIMIT), (CROWDED, CROWDED_LIMIT)].into_iter().enumerate() {
            let begun = Instant::now();
            let mut refused = Vec::new();
            let answered = tokio::time::timeout(limit, async {
                loop {
                    match scrape(from, daemon.address, tls).await {
                        // Among neighbours that open and open it may be the one that has said nothing yet.
                        Err(error) if from == CROWDED => {
                            refused.push(error.to_string());
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        answered => break answered,
                    }
                }
            })
            .await;
            assert!(
                matches!(answered, Ok(Ok(()))),
                "{after}: round {round} from {from}: {answered:?} after {:?}, {refused:?}; {slowest:?}\n{}",
                begun.elapsed(),
                daemon.process.log()
            );
            slowest[index] = slowest[index].max(begun.elapsed());
        }
    }
}

fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

fn config(place: &Path, web: &str) -> std::path::PathBuf {
    let dump = place.join("dump");
    std::fs::create_dir_all(&dump).unwrap();
    let file = place.join("firedrill.toml");
    let text = format!(
        "[web]\n{web}\n[verify]\nenabled = false\n[[vzdump]]\nname = \"pve\"\nscan_interval = \"1s\"\nroots = [{{ path = {dump:?} }}]\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

async fn gather(
    crowd: &mut JoinSet<()>,
    count: usize,
    member: impl Fn(Arrived) -> futures_util::future::BoxFuture<'static, ()>,
) {
    let arrived = Arrived::default();
    for _ in 0..count {
        crowd.spawn(member(arrived.clone()));
    }
    until("the crowd has arrived", || async { (arrived.load(Ordering::SeqCst) == count).then_some(()) }).await;
}

/// One crowd at a time: two of them would measure each other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn a_crowd_delays_nobody(
    daemon: &Daemon,
    [silent_ones, deaf_ones]: [usize; 2],
    tls: Option<&TlsConnector>,
    first: &'static [u8],
) {
    let _alone = ALONE.lock().await;
    raise_limit();
    let to = daemon.address;
    let mut crowd = JoinSet::new();
    gather(&mut crowd, silent_ones, |arrived| Box::pin(silent(to, first, arrived))).await;
    everybody_is_answered(daemon, tls, "silent connections").await;
    gather(&mut crowd, deaf_ones, |arrived| Box::pin(pipelining(to, arrived))).await;
    everybody_is_answered(daemon, tls, "more that pipeline").await;
    crowd.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_and_of_deaf_connections_delay_nobody() {
    let place = tempfile::tempdir().unwrap();
    let file = config(place.path(), "header_timeout = \"2s\"");
    let daemon = Daemon::start(&["--config.file", file.to_str().unwrap()]).await;
    daemon.ready().await;
    a_crowd_delays_nobody(&daemon, CROWD, None, b"").await;
    let metrics = daemon.metrics().await;
    let silent = metrics.lines().find(|line| line.contains("dropped_total{reason=\"no_request\"}")).unwrap();
    assert!(!silent.ends_with(" 0"), "{silent}");
    let log = daemon.process.log();
    let lines = log.lines().filter(|line| line.contains("connections were closed")).count();
    assert!((1..=3).contains(&lines), "one line a minute: {log}");
}

/// With fewer descriptors than connections somebody has to go, and it is never who asks.
#[tokio::test(flavor = "multi_thread")]
async fn with_few_descriptors_those_that_say_nothing_give_way() {
    let place = tempfile::tempdir().unwrap();
    let file = config(place.path(), "");
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", std::env::var("PATH").unwrap());
    command.args(["-c", "ulimit -n 256; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_firedrill"), "serve"]);
    command.args(["--web.listen-address", "127.0.0.1:0", "--config.file", file.to_str().unwrap()]);
    command.stdout(Stdio::null());
    let daemon = Daemon::listening(Running::start(command)).await;
    daemon.ready().await;
    a_crowd_delays_nobody(&daemon, SMALL_CROWD, None, b"").await;
    let value = |metrics: &str, series: &str| -> f64 {
        metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap().trim().parse().unwrap()
    };
    let metrics = daemon.metrics().await;
    assert!(value(&metrics, "firedrill_http_connections_dropped_total{reason=\"made_room\"}") > 100.0);
    // Scans had the descriptors that they need all the time.
    assert_eq!(value(&metrics, "firedrill_source_up{source=\"pve\",kind=\"vzdump\"}"), 1.0);
    assert_eq!(value(&metrics, "firedrill_source_scan_errors_total{source=\"pve\",error_kind=\"io\"}"), 0.0);
    assert!(daemon.process.log().contains("connections were closed unanswered"), "{}", daemon.process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_are_never_ended_delay_nobody() {
    let place = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(place.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(place.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let web = place.path().join("web.yml");
    std::fs::write(&web, "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n").unwrap();
    let file = config(place.path(), &format!("config_file = {web:?}"));
    let daemon = Daemon::start(&["--config.file", file.to_str().unwrap()]).await;
    crate::support::client();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    let tls: TlsConnector =
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()).into();
    until("it is ready", || async { scrape(ELSEWHERE, daemon.address, Some(&tls)).await.ok() }).await;
    a_crowd_delays_nobody(&daemon, CROWD, Some(&tls), hello()).await;
}

/// The first words of a client that says no more, as the library says them.
fn hello() -> &'static [u8] {
    use tokio_rustls::rustls::ClientConnection;
    let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::from(std::net::IpAddr::from(ELSEWHERE));
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut words = Vec::new();
    connection.write_tls(&mut words).unwrap();
    words.leak()
}
