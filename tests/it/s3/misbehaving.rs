//! A server that answers as no server should, and as some do: a small inventory must not come of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use firedrill::adapters::s3::{BucketPlace, Server};
use firedrill::domain::look::ErrorKind;
use firedrill::domain::proof::ArchiveId;
use firedrill::engine::ports::Archives as _;
use firedrill::engine::ports::objects::ObjectPlace as _;

use super::{SECRET, endpoint, look, source};

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
    let answer = match first.contains("versions") || first.contains("/backups/") {
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

fn listed(entries: &str, rest: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>backups</Name>{entries}{rest}</ListBucketResult>"
    );
    Some((200, String::new(), body))
}

fn object(key: &str) -> String {
    format!(
        "<Contents><Key>{key}</Key><LastModified>2026-11-26T08:00:00.000Z</LastModified><ETag>\"e\"</ETag><Size>7</Size></Contents>"
    )
}

fn place(url: &str) -> BucketPlace {
    BucketPlace::new(&Server::new(&endpoint(url, SECRET)).unwrap(), "s3://backups/dump".as_ref()).unwrap()
}

/// What a place in a bucket lists, one level deep.
async fn listing(answers: impl Fn(usize) -> Answer + Send + 'static) -> Result<Vec<String>, String> {
    let (url, _) = server(answers);
    let found = tokio::task::spawn_blocking(move || place(&url).list(1, &|_| false)).await.unwrap();
    let found = found.map_err(|error| format!("{:?} {error}", error.kind))?;
    Ok(found.files.iter().map(|(path, _)| path.to_string()).collect())
}

#[tokio::test]
async fn a_place_in_a_bucket_is_seen_whole_or_not_at_all() {
    let token = |at: usize| format!("<NextContinuationToken>t{at}</NextContinuationToken>");
    // A token says that there is more, whatever else is said.
    let whole = listing(move |nth| match nth {
        0 => listed(&object("dump/a.sql"), &token(0)),
        _ => listed(&object("dump/b.sql"), ""),
    });
    assert_eq!(whole.await.unwrap(), ["a.sql", "b.sql"]);
    let fails = |wanted: &'static str, result: Result<Vec<String>, String>| {
        let error = result.expect_err(wanted);
        assert!(error.contains(wanted), "{wanted}: {error}");
    };
    fails("NotFound nothing lies below", listing(|_| listed("", "")).await);
    fails(
        "AccessDenied",
        listing(|nth| {
            if nth == 0 {
                listed(&object("dump/a"), "<NextContinuationToken>t</NextContinuationToken>")
            } else {
                error(403, "AccessDenied")
            }
        })
        .await,
    );
    fails("and not where", listing(|_| listed(&object("dump/a"), "<IsTruncated>true</IsTruncated>")).await);
    fails("what wasn't asked for", listing(|_| listed(&object("other/a"), "")).await);
    fails(
        "lacks its size",
        listing(|_| {
            listed("<Contents><Key>dump/a</Key><LastModified>2026-11-26T08:00:00Z</LastModified></Contents>", "")
        })
        .await,
    );
    // Pages for ever.
    fails("is it the right prefix", listing(move |nth| listed("", &token(nth))).await);
}

#[tokio::test]
async fn parts_of_objects_are_those_that_were_asked_for() {
    let (url, _) = server(|_| Some((200, String::new(), "0123456789".to_owned())));
    let parts = tokio::task::spawn_blocking(move || {
        let place = place(&url);
        (place.part("a", 0, 3), place.part("a", 4, 3))
    });
    let (beginning, middle) = parts.await.unwrap();
    assert_eq!(beginning.unwrap(), b"012");
    assert!(middle.unwrap_err().to_string().contains("doesn't know of parts"));
}

/// Reads an object of a place to its end.
async fn read(url: String) -> Result<String, String> {
    let reading = tokio::task::spawn_blocking(move || {
        let (root, file) = ("s3://backups/dump".into(), "a.sql.zst".into());
        let archive = ArchiveId { source: "pve".parse().unwrap(), root, file };
        let mut text = String::new();
        place(&url).open(&archive)?.read_to_string(&mut text)?;
        Ok::<_, std::io::Error>(text)
    });
    reading.await.unwrap().map_err(|error| format!("{error:#} {:?}", std::error::Error::source(&error)))
}

#[tokio::test]
async fn what_the_server_says_of_an_object_is_compared_with_what_it_sends() {
    // CRC-32 of `intact` in Base64, from Python's zlib.
    let with = |body: &'static str| {
        move |_: usize| Some((200, "ETag: \"e\"\r\nx-amz-checksum-crc32: DMstgA==\r\n".to_owned(), body.to_owned()))
    };
    assert_eq!(read(server(with("intact")).0).await.as_deref(), Ok("intact"));
    read(server(with("rotten")).0).await.unwrap_err();
}

/// A server that hangs up in the middle is asked for the rest, of the same object.
#[tokio::test]
async fn a_transfer_that_breaks_off_is_taken_up_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for answer in [
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123",
            "HTTP/1.1 206 Part\r\nETag: \"e\"\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\nConnection: close\r\n\r\n456789",
        ] {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
            heads.push(head.to_ascii_lowercase());
            let _ = (&stream).write_all(answer.as_bytes());
        }
        heads
    });
    assert_eq!(read(url).await.as_deref(), Ok("0123456789"));
    let heads = serving.join().unwrap();
    assert!(heads[1].contains("range: bytes=4-\r\n") && heads[1].contains("if-match: \"e\""), "{}", heads[1]);
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
