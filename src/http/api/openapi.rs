//! What the OpenAPI document says beside its paths.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};
use utoipa::{Modify, OpenApi as _};

use super::super::error::ErrorBody;

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
    components(schemas(ErrorBody)),
    modifiers(&Schemes)
)]
struct Document;

/// The document without its paths: those come from the list of routes.
pub(super) fn base() -> OpenApi {
    Document::openapi()
}
