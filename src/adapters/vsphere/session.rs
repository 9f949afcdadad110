//! A session: who we are, until the server forgets it. Made when it is needed, again when it is gone, given back at the end.
//!
//! ```text
//!   nobody ── login ──► known ── NotAuthenticated ──► nobody, and at once again
//!     │                   └── dropped, or idle for long ── logout ──► nobody
//!     └── InvalidLogin ──► refused: not tried again for a while
//! ```
//! A host locks an account after some wrong passwords, for everybody who uses it. A daemon that tries every two minutes would
//! lock it for good.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::account::Account;
use super::client::Client;
use super::failure::Failure;
use super::xml::{Element, escaped};

/// After a password was refused: as long as ESXi locks an account, where nobody set it up otherwise.
const PAUSE: Duration = Duration::from_secs(15 * 60);

/// A server ends sessions that are idle for half an hour. One that would be idle for longer than this is given back.
const LONGEST_IDLE: Duration = Duration::from_secs(15 * 60);

/// Who ends doesn't wait for the logout any longer.
const LOGOUT: Duration = Duration::from_secs(2);

/// So often it is begun anew within one look: the session was ended, or something was removed under us.
const AGAIN: u32 = 2;

/// An object of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) of: Box<str>,
    pub(super) id: Box<str>,
}

impl Reference {
    pub(super) fn read(element: &Element) -> Option<Self> {
        let id = element.text.trim();
        (!id.is_empty() && !element.of.is_empty()).then(|| Self { of: element.of.clone(), id: id.into() })
    }

    /// As an element of this name.
    pub(super) fn element(&self, name: &str) -> String {
        format!("<{name} type=\"{}\">{}</{name}>", escaped(&self.of), escaped(&self.id))
    }
}

/// Where things are on this server; the names differ from one to the other.
#[derive(Debug)]
pub(super) struct Content {
    /// The topmost folder.
    pub(super) root: Reference,
    /// What tells properties.
    pub(super) collector: Reference,
    /// What makes views; not every server has it.
    pub(super) views: Option<Reference>,
    sessions: Reference,
}

impl Content {
    fn read(reply: &Element) -> Result<Self, Failure> {
        let content = reply.child("returnval").ok_or(Failure::Lacks("where things are"))?;
        let of = |name: &str| content.child(name).and_then(Reference::read);
        Ok(Self {
            root: of("rootFolder").ok_or(Failure::Lacks("its topmost folder"))?,
            collector: of("propertyCollector").ok_or(Failure::Lacks("what tells properties"))?,
            views: of("viewManager"),
            sessions: of("sessionManager").ok_or(Failure::Lacks("what sessions are asked of"))?,
        })
    }
}

/// The body of a call.
pub(super) fn body(method: &str, this: &Reference, arguments: &str) -> String {
    format!("<{method} xmlns=\"urn:vim25\">{}{arguments}</{method}>", this.element("_this"))
}

/// A session with a server.
pub(super) struct Session {
    client: Client,
    account: Account,
    /// While it is known there.
    content: Option<Arc<Content>>,
    refused: Option<Instant>,
}

impl Session {
    /// Connects nowhere yet.
    pub(super) fn new(client: Client, account: Account) -> Self {
        Self { client, account, content: None, refused: None }
    }

    /// Who asks.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Does some work as somebody known, all within `limit`, and anew from its beginning where that may help: when the session ended, and
    /// with it what the work was in the middle of; when something was removed under it; once when the connection was cut. A
    /// single call isn't repeated: of a page whose reply was lost nobody knows whether the next one is sent then.
    pub(super) fn run<T>(
        &mut self,
        limit: Duration,
        mut work: impl FnMut(&mut Client, &Content) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.client.limit(limit);
        let (mut tries, mut was_cut) = (0, false);
        loop {
            match self.login().and_then(|content| work(&mut self.client, &content)) {
                Err(failure) if failure.is_of_the_connection() && !was_cut => {
                    was_cut = true;
                    continue;
                }
                Err(failure) if failure.is_fault("NotAuthenticated") && tries < AGAIN => self.forget(),
                Err(failure) if failure.is_fault("ManagedObjectNotFound") && tries < AGAIN => {
                    // The second time another server may stand there, where things are elsewhere.
                    if tries > 0 {
                        self.forget();
                    }
                }
                done => return done,
            }
            tries += 1;
        }
    }

    fn login(&mut self) -> Result<Arc<Content>, Failure> {
        if let Some(content) = &self.content {
            return Ok(content.clone());
        }
        if let Some(left) = self.refused.and_then(|at| PAUSE.checked_sub(at.elapsed())) {
            return Err(Failure::NotAskedAgain(left));
        }
        // Who is known already may not log in.
        self.client.forget();
        let instance = Reference { of: "ServiceInstance".into(), id: "ServiceInstance".into() };
        let asked = body("RetrieveServiceContent", &instance, "");
        let content = Content::read(&self.client.call("RetrieveServiceContent", &asked)?)?;
        let Account { user, password } = &self.account;
        let (user, password) = (escaped(user), escaped(password.expose()));
        let arguments = format!("<userName>{user}</userName><password>{password}</password>");
        let done = self.client.call("Login", &body("Login", &content.sessions, &arguments));
        self.refused = matches!(&done, Err(failure) if failure.is_fault("InvalidLogin")).then(Instant::now);
        done?;
        let content = Arc::new(content);
        self.content = Some(content.clone());
        Ok(content)
    }

    fn forget(&mut self) {
        self.content = None;
        self.client.forget();
    }

    /// Nothing is asked for this time.
    pub(super) fn rest_for(&mut self, pause: Duration) {
        if pause > LONGEST_IDLE {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(content) = self.content.take() {
            self.client.send_off(&body("Logout", &content.sessions, ""), LOGOUT);
            self.client.forget();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.give_back();
    }
}
