//! One call of the API and its reply, within limits of time and size.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::{RequestBuilder, Response, Url};

use super::failure::Failure;
use super::xml::{self, Element, MOST_BYTES, Space, XmlError};
use crate::adapters::machine::trust::{Pinned, Trust};
use crate::adapters::machine::waiter::Waiter;
use crate::domain::printable::printable;

/// A server that doesn't take a connection in this time isn't there.
const CONNECT: Duration = Duration::from_secs(5);

/// A call with its whole reply takes no longer.
const CALL: Duration = Duration::from_secs(60);

/// The oldest version whose words are used; a server takes those of all before its own.
const VERSION: HeaderValue = HeaderValue::from_static("\"urn:vim25/6.5\"");

/// What the session is called in cookies.
const SESSION: &str = "vmware_soap_session=";

/// A cookie that is longer is none of a session. In bytes.
const LONGEST_COOKIE: usize = 1024;

/// Where a server is.
#[derive(Debug, Clone)]
pub struct Server {
    /// `https://HOST`, with or without `/sdk`.
    pub url: Url,
    /// Which certificates are trusted.
    pub trust: Trust,
}

/// Speaks to one server.
pub(super) struct Client {
    http: reqwest::Client,
    pinned: Option<Arc<Pinned>>,
    waiter: Waiter,
    sdk: Url,
    /// The session, as a header.
    cookie: Option<HeaderValue>,
    /// All calls end before this.
    deadline: Instant,
}

impl Client {
    /// Connects nowhere yet.
    pub(super) fn new(server: &Server) -> anyhow::Result<Self> {
        let (http, pinned) = server.trust.client()?;
        let http = http.connect_timeout(CONNECT);
        let mut sdk = server.url.clone();
        if sdk.path() == "/" {
            sdk.set_path("/sdk");
        }
        let http = http.build().context("the HTTP client can't be made")?;
        Ok(Self { http, pinned, waiter: Waiter::new("vsphere")?, sdk, cookie: None, deadline: Instant::now() })
    }

    /// All calls from now on end within this time together.
    pub(super) fn limit(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
    }

    /// Forgets the session.
    pub(super) fn forget(&mut self) {
        self.cookie = None;
    }

    /// Calls a method. What is asked stands in `body`: one element whose name is the method's. The element of the reply.
    pub(super) fn call(&mut self, method: &str, body: &str) -> Result<Element, Failure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::Timeout);
        }
        let request = self.request(body).timeout(left.min(CALL));
        // The timer of a request begins when it is sent, and needs the runtime around it.
        let answer = self.waiter.wait(async { request.send().await });
        let answer = answer.map_err(|error| self.no_answer(&error))?;
        let status = answer.status().as_u16();
        if (300..400).contains(&status) {
            return Err(Failure::Redirect(status));
        }
        // A fault comes with 500.
        if status != 200 && status != 500 {
            return Err(Failure::Status(status));
        }
        self.keep_session(&answer);
        let reply = Reply { waiter: &self.waiter, answer, chunk: Bytes::new(), left: MOST_BYTES };
        let envelope = match xml::read(BufReader::new(reply)) {
            Err(XmlError::Malformed(_) | XmlError::Declares) if status == 500 => return Err(Failure::Status(status)),
            read => read?,
        };
        opened(envelope, method, status)
    }

    /// Sends it and waits so long at most; whether it was done nobody knows.
    pub(super) fn send_off(&self, body: &str, limit: Duration) {
        let request = self.request(body).timeout(limit);
        self.waiter.wait_for(limit, async move {
            // Whoever ends doesn't mind.
            let _ = request.send().await;
        });
    }

    fn request(&self, body: &str) -> RequestBuilder {
        let envelope = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><s:Body>{body}</s:Body></s:Envelope>"
        );
        let request = self.http.post(self.sdk.clone()).header(CONTENT_TYPE, "text/xml; charset=\"utf-8\"");
        let request = request.header(HeaderName::from_static("soapaction"), VERSION).body(envelope);
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    /// The session is whatever the server called it last.
    fn keep_session(&mut self, answer: &Response) {
        for header in answer.headers().get_all(SET_COOKIE) {
            let pair = header.to_str().ok().and_then(|text| text.split(';').next()).unwrap_or_default().trim();
            if pair.starts_with(SESSION)
                && pair.len() <= LONGEST_COOKIE
                && let Ok(mut cookie) = HeaderValue::from_str(pair)
            {
                cookie.set_sensitive(true);
                self.cookie = Some(cookie);
            }
        }
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failure {
        if let Some(thumbprint) = self.pinned.as_ref().and_then(|it| it.refused()) {
            return Failure::OtherCertificate(thumbprint.to_string());
        }
        match root_cause(error) {
            _ if error.is_timeout() => Failure::Timeout,
            // As rustls begins what it says of one; its error is hidden in others that don't show it.
            why if why.starts_with("invalid peer certificate") => Failure::Untrusted(why),
            why => Failure::NoAnswer(why),
        }
    }
}

/// What is in the envelope: the reply to a method, or a fault.
pub(super) fn opened(envelope: Element, method: &str, status: u16) -> Result<Element, Failure> {
    if &*envelope.name != "Envelope" || envelope.space != Space::Soap {
        return Err(Failure::Status(status));
    }
    let body = envelope.into_child(Space::Soap, "Body").ok_or(Failure::Lacks("its body"))?;
    if let Some(fault) = body.child_in(Space::Soap, "Fault") {
        return Err(fault_of(fault));
    }
    body.into_child(Space::Vim, &format!("{method}Response")).ok_or(Failure::Lacks("the answer to what was asked"))
}

/// A fault by its type; where it has none by the name of its element.
fn fault_of(fault: &Element) -> Failure {
    let part = |name: &str| fault.children.iter().find(|it| &*it.name == name);
    let detail = part("detail").and_then(|it| it.children.first());
    let name = detail.map_or("", |it| if it.sort.is_empty() { it.name.trim_end_matches("Fault") } else { &it.sort });
    let name = if name.is_empty() { "a fault without a name" } else { name };
    let words = part("faultstring").map_or("", |it| it.text.trim());
    Failure::Fault { name: printable(name.as_bytes()), words: words.to_owned() }
}

/// A reply as it streams in, no more of it than [`MOST_BYTES`].
struct Reply<'a> {
    waiter: &'a Waiter,
    answer: Response,
    chunk: Bytes,
    left: u64,
}

impl Read for Reply<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let next = self.waiter.wait(async { self.answer.chunk().await }).map_err(|error| {
                let kind = if error.is_timeout() { io::ErrorKind::TimedOut } else { io::ErrorKind::ConnectionReset };
                io::Error::new(kind, root_cause(&error))
            })?;
            let Some(next) = next else { return Ok(0) };
            let left = self.left.checked_sub(next.len() as u64);
            self.left = left.ok_or(io::ErrorKind::FileTooLarge)?;
            self.chunk = next;
        }
        let taken = self.chunk.split_to(self.chunk.len().min(buffer.len()));
        buffer[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

/// What the layers above only wrap.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}
