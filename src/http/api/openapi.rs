//! The OpenAPI document.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi as _};

use super::super::error::ErrorBody;

type Responses = BTreeMap<String, RefOr<Response>>;

fn errors(of: &[(&str, &str)]) -> Responses {
    let response = |what: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        RefOr::T(ResponseBuilder::new().description(what).content("application/json", content).build())
    };
    of.iter().map(|(status, what)| ((*status).to_owned(), response(what))).collect()
}

macro_rules! failures {
    ($(#[$doc:meta])* $name:ident: $($status:literal $what:literal),+) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> Responses {
                errors(&[$(($status, $what)),+])
            }
        }
    };
}

failures!(
    /// What every request may come to.
    Failures:
    "400" "a value that can't be used, or an unknown parameter",
    "401" "no credentials, or wrong, expired or revoked ones",
    "403" "this needs another role, or comes from a page of another origin",
    "413" "the body is too large",
    "503" "the store can't be used; see the header Retry-After"
);

failures!(
    /// Where there is one of many.
    NotFound:
    "404" "there is none of this number"
);

failures!(
    /// What changes something, sent with basic auth or a client certificate.
    Writes:
    "415" "with basic auth or a client certificate: Content-Type is not application/json"
);

failures!(
    /// What decides on a proposal.
    Decisions:
    "409" "too late: the action waits for nobody any more; error.state says where it stands",
    "415" "with basic auth or a client certificate: Content-Type is not application/json"
);

/// Ways to say who one is.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        for (name, scheme) in [("bearer", HttpAuthScheme::Bearer), ("basic", HttpAuthScheme::Basic)] {
            components.add_security_scheme(name, SecurityScheme::Http(Http::new(scheme)));
        }
        let none: [&str; 0] = [];
        document.security = Some(["bearer", "basic"].map(|name| SecurityRequirement::new(name, none)).to_vec());
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "firedrill",
        description = "What is known of the backups, what the automation did, does and asks to be allowed. GET needs the role viewer, POST operator. Lists come newest first, in parts: pass next of one as before for the following one. Every error has the same shape."
    ),
    paths(
        super::actions::list,
        super::actions::one,
        super::actions::approve,
        super::actions::deny,
        super::alerts::list,
        super::audit::list,
        super::automation::status,
        super::automation::pause,
        super::automation::resume,
        super::items::list,
        super::me::me,
        super::sources::list,
    ),
    components(schemas(ErrorBody)),
    modifiers(&Schemes)
)]
struct Document;

/// The document.
pub(super) fn openapi() -> OpenApi {
    Document::openapi()
}

static TEXT: LazyLock<String> = LazyLock::new(|| openapi().to_pretty_json().unwrap_or_default());

pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], TEXT.as_str())
}
