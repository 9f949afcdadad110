//! Who asks, and what handlers demand of them.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use super::super::error::ApiError;
use crate::domain::access::Role;
use crate::engine::ports::StoreError;

/// How somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Means {
    /// By an API token.
    Token,
    /// By a user name and its password.
    Password,
    /// By a client certificate that was verified.
    Certificate,
    /// By the token that is configured for alerts, and for nothing else.
    Webhook,
}

impl Means {
    /// Whether a browser sends it by itself, on behalf of whichever page asks it to.
    pub(super) const fn is_ambient(self) -> bool {
        matches!(self, Self::Password | Self::Certificate)
    }
}

/// Who asks. Handlers find it among the extensions of the request.
#[derive(Debug, Clone)]
pub(in crate::http) struct Identity {
    /// Name of the token or user.
    pub(in crate::http) name: Arc<str>,
    /// What they may do.
    pub(in crate::http) role: Role,
    /// How they are known.
    pub(in crate::http) means: Means,
    /// Whether they may deliver alerts.
    pub(in crate::http) may_deliver_alerts: bool,
}

impl Identity {
    /// As the audit trail names them.
    pub(in crate::http) fn actor(&self) -> Arc<str> {
        format!("api:{}", self.name).into()
    }
}

/// What is known of who asks.
#[derive(Debug, Clone)]
pub(in crate::http) enum Caller {
    /// Somebody.
    Known(Identity),
    /// They said nothing of themselves.
    Nobody,
    /// What they said is wrong.
    Wrong,
    /// It can't be told.
    Unchecked(StoreError),
}

/// Which ways of saying who one is exist here, for the challenge of a 401.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asks {
    /// There are users with passwords.
    pub(super) passwords: bool,
}

/// Sends away whoever isn't known.
pub(super) fn refusal(caller: &Caller, asks: Asks, advice: &str) -> ApiError {
    let what = match caller {
        Caller::Unchecked(error) => return error.clone().into(),
        Caller::Wrong => "the credentials are wrong, expired or revoked",
        Caller::Nobody | Caller::Known(_) => "this needs credentials",
    };
    let error = ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", format!("{what}; {advice}"));
    let bearer = match caller {
        Caller::Wrong => "Bearer realm=\"firedrill\", error=\"invalid_token\"",
        _ => "Bearer realm=\"firedrill\"",
    };
    let error = error.with(header::WWW_AUTHENTICATE, bearer);
    if asks.passwords { error.with(header::WWW_AUTHENTICATE, super::BASIC) } else { error }
}

const ADVICE: &str =
    "send Authorization: Bearer TOKEN, made by firedrill token create, or basic auth of a user of the web config file";

fn demand(parts: &Parts, role: Role) -> Result<Identity, ApiError> {
    let caller = parts.extensions.get::<Caller>().unwrap_or(&Caller::Nobody);
    let asks = parts.extensions.get::<Asks>().copied().unwrap_or(Asks { passwords: false });
    let Caller::Known(identity) = caller else { return Err(refusal(caller, asks, ADVICE)) };
    if identity.role < role {
        let message = format!("this needs the role {role}; {} is {}", identity.name, identity.role);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    Ok(identity.clone())
}

/// Somebody who may see.
#[derive(Debug)]
pub(in crate::http) struct Viewer(pub(in crate::http) Identity);

/// Somebody who may decide.
#[derive(Debug)]
pub(in crate::http) struct Operator(pub(in crate::http) Identity);

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        demand(parts, Role::Viewer).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        demand(parts, Role::Operator).map(Self)
    }
}
