//! A server that answers as none should, and as some do: a small or wrong inventory must not come of it.

use std::time::{Duration, Instant};

use firedrill::domain::look::ErrorKind;

use super::stand_in::{Answer, StandIn, envelope, fault, host, object, page, reply, vm};
use super::{book, error, look, source_at};

const FIRST: &str = "RetrievePropertiesEx";
const NEXT: &str = "ContinueRetrievePropertiesEx";

/// What a look at such a server can't see, with the words that say why.
async fn fails(answer: impl Fn(usize) -> Answer + Send + 'static, kind: ErrorKind, words: &str) {
    let server = StandIn::new(answer);
    let (_, seen) = look(source_at(&server.url)).await;
    let error = error(&seen);
    assert!(error.kind == kind && error.message.contains(words), "{words}: {error:?}");
    assert!(seen.estate.esxi.is_none(), "nothing is told of what was not seen");
}

fn whole(body: String) -> Answer {
    Answer::Whole(200, "", body)
}

#[tokio::test]
async fn replies_that_no_server_should_send_are_refused_within_limits() {
    let began = Instant::now();
    let laughs: String = (1..30).map(|nth| format!("<!ENTITY l{nth} \"&l{0};&l{0};\">", nth - 1)).collect();
    let laughs = format!("<!DOCTYPE x [<!ENTITY l0 \"ha\">{laughs}]>{}", envelope("&l29;"));
    fails(move |_| whole(laughs.clone()), ErrorKind::Io, "document type").await;
    fails(|_| reply(&"<a>".repeat(100_000)), ErrorKind::Io, "100 deep").await;
    fails(|_| Answer::Endless("<a>", "some text"), ErrorKind::Io, "longer than 64 MiB").await;
    fails(|_| Answer::Endless("<a>", "<b/>"), ErrorKind::Io, "1000000 elements").await;
    fails(|_| Answer::Endless("<a ", "x"), ErrorKind::Io, "longer than 64 MiB").await;
    // Somebody else's words, in the envelope and in what it holds.
    let foreign = envelope("").replace("http://schemas.xmlsoap.org/soap/envelope/", "urn:else");
    fails(move |_| whole(foreign.clone()), ErrorKind::Io, "isn't of the API").await;
    let inner = "<RetrievePropertiesExResponse xmlns=\"urn:else\"><returnval/></RetrievePropertiesExResponse>";
    fails(|_| reply(inner), ErrorKind::Io, "the answer to what was asked").await;
    fails(|_| page(NEXT, &[], None), ErrorKind::Io, "the answer to what was asked").await;
    fails(|_| whole(envelope("<a>")), ErrorKind::Io, "no XML").await;
    fails(|_| reply(""), ErrorKind::Io, "the answer to what was asked").await;
    let html = "<!DOCTYPE html><html><body>502<br></body></html>";
    fails(|_| Answer::Whole(500, "", html.to_owned()), ErrorKind::Io, "answers 500").await;
    fails(|_| Answer::Whole(502, "", html.to_owned()), ErrorKind::Io, "answers 502").await;
    fails(|_| Answer::Whole(403, "", html.to_owned()), ErrorKind::PermissionDenied, "answers 403").await;
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
}

#[tokio::test]
async fn nobody_goes_where_a_server_sends_them() {
    let other = StandIn::new(|_| page(FIRST, &[host("h", "esx")], None));
    let location: &'static str = format!("Location: {}/sdk\r\n", other.url).leak();
    for status in [301, 302, 307, 308] {
        let server = StandIn::whose_every(move |_, _| Some(Answer::Whole(status, location, String::new())));
        let (_, seen) = look(source_at(&server.url)).await;
        assert!(error(&seen).message.contains(&format!("redirect ({status})")), "{:?}", error(&seen));
    }
    assert_eq!(other.calls("Login") + other.calls("RetrieveServiceContent"), 0, "the password stays here");
}

#[tokio::test]
async fn pages_are_put_together_and_one_that_never_comes_is_no_small_inventory() {
    let pages = |nth: usize| match nth {
        0 => page(FIRST, &[host("h1", "esx1"), vm("1", "a", &[])], Some("t&lt;1&gt;")),
        1 => page(NEXT, &[vm("2", "b", &[]), vm("1", "a", &[])], Some("t&lt;1&gt;")),
        // Removed while it was looked at.
        2 => page(
            NEXT,
            &[object("VirtualMachine", "3", &[("name", "c")], &[("snapshot", "ManagedObjectNotFound")])],
            Some("t3"),
        ),
        _ => page(NEXT, &[object("Datastore", "d", &[], &[])], None),
    };
    let server = StandIn::new(pages);
    let (_, seen) = look(source_at(&server.url)).await;
    let found = book(&seen);
    assert_eq!(found.vms.keys().map(|it| &**it).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((found.hosts.len(), found.datastores.len(), server.calls(NEXT)), (1, 1, 3));
    let cut = |nth| if nth == 0 { page(FIRST, &[host("h", "esx")], Some("t")) } else { fault("NoPermission") };
    fails(cut, ErrorKind::PermissionDenied, "role Read-only").await;
    let cut = |nth| if nth == 0 { page(FIRST, &[host("h", "esx")], Some("t")) } else { Answer::Cut };
    fails(cut, ErrorKind::Io, "no answer").await;
    // The same page for ever.
    fails(|nth| page(if nth == 0 { FIRST } else { NEXT }, &[], Some("t")), ErrorKind::Io, "too many pages").await;
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_is_begun_anew_from_the_first_page() {
    let ended = |nth: usize| match nth {
        0 => page(FIRST, &[host("h1", "esx1"), vm("old", "old", &[])], Some("t")),
        1 => fault("NotAuthenticated"),
        2 => page(FIRST, &[host("h1", "esx1")], Some("t")),
        // It may be said of properties, too.
        3 => page(NEXT, &[object("VirtualMachine", "1", &[], &[("name", "NotAuthenticated")])], None),
        4 => page(FIRST, &[host("h1", "esx1"), vm("1", "a", &[])], None),
        _ => fault("NotAuthenticated"),
    };
    let server = StandIn::new(ended);
    let (source, seen) = look(source_at(&server.url)).await;
    assert_eq!(book(&seen).vms.keys().map(|it| &**it).collect::<Vec<_>>(), ["a"]);
    assert_eq!(server.calls("Login"), 3);
    // A server that forgets everybody at once isn't asked for ever.
    let (source, seen) = look(source).await;
    assert!(error(&seen).message.contains("ended again and again"), "{:?}", error(&seen));
    assert_eq!(server.calls("Login"), 5);
    drop(source);
    assert_eq!(server.calls("Logout"), 1, "the last session is given back");
}

#[tokio::test]
async fn a_connection_that_is_cut_once_is_tried_again() {
    let server = StandIn::new(|nth| match nth {
        0 => Answer::Cut,
        1 => page(FIRST, &[host("h1", "esx1")], None),
        _ => Answer::Cut,
    });
    let (source, seen) = look(source_at(&server.url)).await;
    assert_eq!(book(&seen).hosts.len(), 1);
    let (_, seen) = look(source).await;
    assert_eq!(error(&seen).kind, ErrorKind::Io);
    assert_eq!(server.calls(FIRST), 4);
    // Of a page whose reply is lost nobody knows whether it comes again: all is asked anew.
    let server = StandIn::new(|nth| match nth {
        0 | 2 => page(FIRST, &[host("h1", "esx1"), vm("1", "a", &[])], Some("t")),
        1 => Answer::Cut,
        _ => page(NEXT, &[vm("2", "b", &[])], None),
    });
    let (_, seen) = look(source_at(&server.url)).await;
    assert_eq!((book(&seen).vms.len(), server.calls(FIRST), server.calls(NEXT)), (2, 2, 2));
    // Cut in the middle of a reply.
    fails(|_| Answer::Whole(200, "Content-Length: 9999\r\n", "<a>".into()), ErrorKind::Io, "").await;
    // Removed under us: the whole question is asked again.
    let server = StandIn::new(|nth| match nth {
        0 => fault("ManagedObjectNotFound"),
        _ => page(FIRST, &[host("h1", "esx1")], None),
    });
    let (_, seen) = look(source_at(&server.url)).await;
    assert_eq!((book(&seen).hosts.len(), server.calls("Login")), (1, 1));
}

#[tokio::test]
async fn silence_ends_with_the_time_of_the_scan() {
    let server = StandIn::new(|_| Answer::Silence(Duration::from_secs(30)));
    let began = Instant::now();
    let (_, seen) = look(source_at(&server.url)).await;
    assert_eq!(error(&seen).kind, ErrorKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_not_told_is_unknown_and_an_empty_house_is_none() {
    fails(|_| page(FIRST, &[vm("1", "a", &[])], None), ErrorKind::PermissionDenied, "no host at all").await;
    let nothing = "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"/>";
    fails(|_| reply(nothing), ErrorKind::PermissionDenied, "no host at all").await;
    let untold = ["config.instanceUuid", "runtime.question", "snapshot"].map(|path| (path, "NoPermission"));
    let known = [("name", "a"), ("runtime.connectionState", "connected"), ("runtime.powerState", "poweredOff")];
    let lost = [("name", "b"), ("runtime.connectionState", "orphaned"), ("runtime.powerState", "poweredOn")];
    let server = StandIn::new(move |_| {
        let machines = [
            host("h1", "esx1"),
            object("VirtualMachine", "1", &known, &untold),
            object("VirtualMachine", "2", &lost, &[]),
            object("VirtualMachine", "3", &[], &[("name", "NoPermission")]),
            object(
                "Datastore",
                "d1",
                &[(
                    "summary",
                    "<name>a%2fb%25</name><url>u</url><capacity>9</capacity><freeSpace>0</freeSpace><accessible>false</accessible><type>NFS</type>",
                )],
                &[],
            ),
            object("Datastore", "d2", &[], &[("summary", "NoPermission")]),
        ];
        page(FIRST, &machines, None)
    });
    let (_, seen) = look(source_at(&server.url)).await;
    let found = book(&seen);
    assert_eq!((found.unreadable, found.unread.len()), (5, 5), "{:?}", found.unread);
    let a = &found.vms["a"];
    assert_eq!((&*a.uuid, a.question, a.snapshots.is_none(), a.consolidation_needed), ("", None, true, None));
    let b = &found.vms["b"];
    assert_eq!((b.connected, b.power, b.question, b.snapshots.is_none()), (Some(false), None, None, true));
    assert!(found.vms.contains_key("3"), "one without a name has that of the server");
    let store = &found.datastores["a/b%"];
    assert_eq!((store.accessible, store.capacity, store.free), (Some(false), None, None), "old numbers are none");
    assert_eq!(found.datastores["d2"].accessible, None);
}

#[tokio::test]
async fn a_refused_password_is_not_tried_again_and_never_shown() {
    let echo = "<soapenv:Fault><faultcode>x</faultcode><faultstring>no: a-long-password</faultstring><detail><x xmlns=\"urn:vim25\" xsi:type=\"InvalidLogin\"/></detail></soapenv:Fault>";
    let server =
        StandIn::whose_every(move |method, _| (method == "Login").then(|| Answer::Whole(500, "", envelope(echo))));
    let source = super::source_as(&server.url, "a-long-password");
    let (source, seen) = look(source).await;
    let first = error(&seen).clone();
    assert!(first.kind == ErrorKind::PermissionDenied && first.message.contains("InvalidLogin"), "{first:?}");
    assert!(!first.message.contains("a-long-password"), "{first:?}");
    let (_, seen) = look(source).await;
    assert!(error(&seen).message.contains("tried again in 15 min"), "{:?}", error(&seen));
    assert_eq!(server.calls("Login"), 1, "five in a row would lock the account");
}
