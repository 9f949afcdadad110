//! What requests may come to beside success, as the document says it.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

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
    /// What asks for something about a source or an item.
    Asks:
    "404" "there is no such source, or no such item of it",
    "415" "with basic auth or a client certificate: Content-Type is not application/json"
);

failures!(
    /// What is said to an operation.
    Words:
    "409" "that changes nothing as the operation stands",
    "415" "with basic auth or a client certificate: Content-Type is not application/json"
);

failures!(
    /// What decides on a proposal.
    Decisions:
    "409" "too late: the action waits for nobody any more; error.state says where it stands",
    "415" "with basic auth or a client certificate: Content-Type is not application/json"
);
