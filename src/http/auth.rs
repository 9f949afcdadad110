//! Who may pass: users of the web config file, API tokens, client certificates, and the token for alerts.

mod cross_site;
mod identity;
mod passwords;
mod tokens;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use self::identity::{Asks, Caller, Means, refusal};
pub(super) use self::identity::{Identity, Operator, Viewer};
use self::passwords::Passwords;
use self::tokens::TokenCheck;
use super::error::ApiError;
use crate::domain::access::Role;
use crate::engine::ports::tokens::TokenStore;
use crate::engine::ports::{Clock, StoreError};

/// Asks for a user name and password.
const BASIC: &str = "Basic realm=\"firedrill\", charset=\"UTF-8\"";

/// Who may do what, beside the users of the web config file.
#[derive(Default)]
pub struct Access {
    /// Roles of users; the others are viewers.
    pub roles: BTreeMap<String, Role>,
    /// The API tokens.
    pub tokens: Option<Arc<dyn TokenStore>>,
    /// The token that lets alerts in.
    pub webhook_token: Option<String>,
    /// Users that may deliver alerts.
    pub webhook_users: HashSet<String>,
}

/// A client certificate that was verified by the TLS handshake.
#[derive(Debug, Clone)]
pub(super) struct ClientCertificate {
    /// Its fingerprint, shortened, is its name.
    pub(super) name: Arc<str>,
}

/// Who may pass.
pub struct Gate {
    passwords: Passwords,
    roles: BTreeMap<String, Role>,
    tokens: Option<TokenCheck>,
    /// BLAKE3: of the same length whatever the token's is, for a comparison that tells nothing by its time.
    webhook_token: Option<[u8; 32]>,
    webhook_users: HashSet<String>,
}

impl Gate {
    /// A gate for users with their bcrypt hashes, and for whom `access` names.
    pub fn new(users: HashMap<String, String>, access: Access, clock: Arc<dyn Clock>) -> Self {
        Self {
            passwords: Passwords::new(users),
            roles: access.roles,
            tokens: access.tokens.map(|store| TokenCheck::new(store, clock)),
            webhook_token: access.webhook_token.map(|token| blake3::hash(token.as_bytes()).into()),
            webhook_users: access.webhook_users,
        }
    }

    /// Replaces the users, after the file changed.
    pub fn set_users(&self, users: HashMap<String, String>) {
        self.passwords.set_users(users);
    }

    /// Whether everybody may see the pages and the metrics.
    pub fn is_open(&self) -> bool {
        !self.passwords.has_users()
    }

    fn asks(&self) -> Asks {
        Asks { passwords: self.passwords.has_users() }
    }

    /// Who asks.
    async fn caller(&self, told: Told) -> Caller {
        match told.credentials {
            Some(Credentials::Token(token)) => self.bearer(&token).await,
            Some(Credentials::Password(user, password)) => self.user(&user, &password).await,
            Some(Credentials::Other) => Caller::Wrong,
            None => match told.certificate {
                Some(ClientCertificate { name }) => Caller::Known(Identity {
                    name,
                    role: Role::Viewer,
                    means: Means::Certificate,
                    may_deliver_alerts: true,
                }),
                None => Caller::Nobody,
            },
        }
    }

    async fn bearer(&self, token: &str) -> Caller {
        let Some(tokens) = &self.tokens else { return Caller::Wrong };
        match tokens.check(token).await {
            Ok(Some(token)) => Caller::Known(Identity {
                name: token.name,
                role: token.role,
                means: Means::Token,
                may_deliver_alerts: token.role >= Role::Operator,
            }),
            Ok(None) => Caller::Wrong,
            Err(StoreError { message }) => Caller::Unchecked(StoreError { message }),
        }
    }

    async fn user(&self, user: &str, password: &str) -> Caller {
        if !self.passwords.admits(user, password).await {
            return Caller::Wrong;
        }
        Caller::Known(Identity {
            name: user.into(),
            role: self.roles.get(user).copied().unwrap_or(Role::Viewer),
            means: Means::Password,
            may_deliver_alerts: self.webhook_users.contains(user),
        })
    }

    /// Who delivers alerts: like [`caller`](Self::caller), and whoever has the token for that.
    async fn deliverer(&self, told: Told) -> Caller {
        if let Some(Credentials::Token(token)) = &told.credentials {
            let given: [u8; 32] = blake3::hash(token.as_bytes()).into();
            if self.webhook_token.is_some_and(|right| bool::from(right.ct_eq(&given))) {
                // It opens this one door: no other asks for it.
                return Caller::Known(Identity {
                    name: "webhook".into(),
                    role: Role::Viewer,
                    means: Means::Webhook,
                    may_deliver_alerts: true,
                });
            }
        }
        self.caller(told).await
    }
}

/// Lets see who may see pages and metrics: everybody, or where there are users these and every token.
pub(super) async fn pages(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if gate.is_open() {
        return next.run(request).await;
    }
    // A certificate is what the connection needs already; users were configured to be asked on top of it.
    let told = Told { certificate: None, ..Told::by(&request) };
    match gate.caller(told).await {
        Caller::Known(_) => next.run(request).await,
        Caller::Unchecked(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        _ => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, BASIC)], "Unauthorized\n").into_response(),
    }
}

/// Finds out who asks the API; its handlers say whom they want.
pub(super) async fn identify(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let caller = gate.caller(Told::by(&request)).await;
    if let Err(error) = honest(&caller, &request) {
        return error.into_response();
    }
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(gate.asks());
    next.run(request).await
}

/// Lets in who may deliver alerts, and tells the handler who it is.
pub(super) async fn deliver(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    const ADVICE: &str = "set webhook.token or webhook.token_file and let Alertmanager send it (authorization: {credentials: …}), or use an API token made by `firedrill token create NAME --role operator`, a user of the web config file that webhook.users lists, or a client certificate";
    let caller = gate.deliverer(Told::by(&request)).await;
    let identity = match &caller {
        Caller::Known(identity) if identity.may_deliver_alerts => identity.clone(),
        Caller::Known(identity) => {
            let message = format!("{} may not deliver alerts; {ADVICE}", identity.name);
            return ApiError::new(StatusCode::FORBIDDEN, "forbidden", message).into_response();
        }
        _ => return refusal(&caller, gate.asks(), ADVICE).into_response(),
    };
    if let Err(error) = honest(&caller, &request) {
        return error.into_response();
    }
    request.extensions_mut().insert(identity);
    next.run(request).await
}

fn honest(caller: &Caller, request: &Request) -> Result<(), ApiError> {
    match caller {
        Caller::Known(identity) if identity.means.is_ambient() => {
            cross_site::check(request.method(), request.headers())
        }
        _ => Ok(()),
    }
}

/// What a request says of who sends it.
#[derive(Debug, PartialEq, Eq)]
enum Credentials {
    /// `Authorization: Bearer …` (RFC 6750), or `Token …`.
    Token(String),
    /// User and password of `Authorization: Basic …` (RFC 7617).
    Password(String, String),
    /// Something that can't be understood.
    Other,
}

/// Everything by which a request says who sends it.
struct Told {
    credentials: Option<Credentials>,
    certificate: Option<ClientCertificate>,
}

impl Told {
    fn by(request: &Request) -> Self {
        let certificate = request.extensions().get().cloned();
        Self { credentials: credentials(request.headers()), certificate }
    }
}

fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let first = all.next()?;
    let understand = || {
        let (scheme, rest) = first.to_str().ok()?.split_once(' ')?;
        if ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Some(Credentials::Token(rest.trim().to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Credentials::Password(user.to_owned(), password.to_owned()))
    };
    // Two of them would be two senders.
    Some(understand().filter(|_| all.next().is_none()).unwrap_or(Credentials::Other))
}

#[cfg(test)]
mod tests;
