//! A server that answers as no server should, and as some do: a small inventory must not come of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use firedrill::domain::look::ErrorKind;

use super::{look, source};

const VERSIONING: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";

fn page(entries: &str, rest: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>tfstate</Name>{entries}{rest}</ListVersionsResult>"
    )
}

fn version(key: &str) -> String {
    format!(
        "<Version><Key>{key}</Key><LastModified>2026-11-26T08:00:00.000Z</LastModified><ETag>\"e\"</ETag><Size>7</Size><VersionId>v</VersionId><IsLatest>true</IsLatest></Version>"
    )
}

/// Answers with status, further headers and body; `None` hangs up.
type Answer = Option<(u16, String, String)>;

/// A server whose nth listing answers so; every other question is about versioning. How often it was asked to list.
fn server(answers: impl Fn(usize) -> Answer + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(stream, &answers, &counted);
        }
    });
    (url, asked)
}

fn serve(stream: TcpStream, answers: &impl Fn(usize) -> Answer, asked: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() || first.is_empty() {
        return;
    }
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        line.clear();
    }
    let answer = match first.contains("versions") {
        true => answers(asked.fetch_add(1, Ordering::SeqCst)),
        false => Some((200, String::new(), VERSIONING.to_owned())),
    };
    if let Some((status, headers, body)) = answer {
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}"
        );
    }
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said so</Message></Error>");
    Some((status, String::new(), body))
}

fn more() -> Answer {
    let rest = "<IsTruncated>true</IsTruncated><NextKeyMarker>a.tfstate</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>";
    Some((200, String::new(), page(&version("a.tfstate"), rest)))
}

/// What a look at such a server can't see, with the word that says why.
async fn fails(answers: impl Fn(usize) -> Answer + Send + 'static, kind: ErrorKind, word: &str) {
    let (url, _) = server(answers);
    let (_, seen) = look(source(&url, "")).await;
    let error = seen.places[0].listing.as_ref().expect_err(word);
    assert!(error.kind == kind && error.to_string().contains(word), "{word}: {:?} {error}", error.kind);
    assert!(seen.estate.states.is_none(), "nothing is told of what was not seen");
}

#[tokio::test]
async fn a_listing_that_is_cut_half_way_is_no_small_inventory() {
    fails(
        |nth| if nth == 0 { more() } else { error(403, "AccessDenied") },
        ErrorKind::PermissionDenied,
        "AccessDenied",
    )
    .await;
    fails(|nth| if nth == 0 { more() } else { None }, ErrorKind::Io, "listing the versions").await;
    fails(
        |nth| if nth == 0 { more() } else { error(400, "ExpiredToken") },
        ErrorKind::PermissionDenied,
        "ExpiredToken",
    )
    .await;
    fails(|_| error(403, "RequestTimeTooSkewed"), ErrorKind::PermissionDenied, "the clocks of this machine").await;
    fails(|_| error(404, "NoSuchBucket"), ErrorKind::NotFound, "NoSuchBucket").await;
    fails(|_| error(503, "SlowDown"), ErrorKind::Io, "SlowDown").await;
    // That there is more, and not where; and the same place again and again.
    fails(
        |_| Some((200, String::new(), page(&version("a.tfstate"), "<IsTruncated>true</IsTruncated>"))),
        ErrorKind::Io,
        "and not where",
    )
    .await;
    fails(|_| more(), ErrorKind::Io, "and not where").await;
    fails(|_| Some((200, String::new(), "<html>".to_owned())), ErrorKind::Io, "listing the versions").await;
    fails(
        |_| Some((200, String::new(), page("<Version><VersionId>v</VersionId></Version>", ""))),
        ErrorKind::Io,
        "lacks its key",
    )
    .await;
}

/// What is signed for one host isn't carried to another.
#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let (elsewhere, asked) = server(|_| Some((200, String::new(), page(&version("a.tfstate"), ""))));
    let answers = move |_| {
        let body = "<?xml version=\"1.0\"?><Error><Code>TemporaryRedirect</Code><Message>go there</Message></Error>";
        Some((307, format!("Location: {elsewhere}/tfstate?versions\r\n"), body.to_owned()))
    };
    fails(answers, ErrorKind::Io, "the bucket is elsewhere").await;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn slowing_down_is_tried_again() {
    let (url, asked) = server(|nth| match nth {
        0 => error(503, "SlowDown"),
        1 => error(500, "InternalError"),
        _ => Some((200, String::new(), page(&version("a.tfstate"), ""))),
    });
    let (_, seen) = look(source(&url, "")).await;
    assert_eq!(seen.places[0].listing.as_ref().unwrap().attempts.len(), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
