//! Tests of credentials, and of who may deliver alerts.

use super::*;

fn of(values: &[&str]) -> Option<Credentials> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(header::AUTHORIZATION, value.parse().unwrap());
    }
    credentials(&headers)
}

#[test]
fn credentials_of_rfc_7617_and_6750() {
    let both = Some(Credentials::Password("Aladdin".to_owned(), "open sesame".to_owned()));
    assert_eq!(of(&["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]), both);
    assert_eq!(of(&["basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]), both);
    for scheme in ["Bearer", "bearer", "Token", "TOKEN"] {
        assert_eq!(of(&[&format!("{scheme} fdt_x")]), Some(Credentials::Token("fdt_x".to_owned())));
    }
    for bad in ["Basic", "Basic !!!", "Digest x", "", "Basic QWxhZGRpbg=="] {
        assert_eq!(of(&[bad]), Some(Credentials::Other), "{bad}");
    }
    assert_eq!(of(&["Bearer a", "Bearer b"]), Some(Credentials::Other), "two senders are none");
    assert_eq!(of(&[]), None);
}

fn gate(access: Access) -> Gate {
    let users = ["alice", "bob"].map(|user| (user.to_owned(), bcrypt::hash("secret", 4).unwrap()));
    Gate::new(HashMap::from(users), access, Arc::new(Still))
}

fn told(value: &str) -> Told {
    Told { credentials: of(&[value]), certificate: None }
}

#[tokio::test]
async fn roles_of_users_and_certificates() {
    let gate = gate(Access { roles: BTreeMap::from([("alice".to_owned(), Role::Operator)]), ..Access::default() });
    let basic = |user: &str, password: &str| told(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    let role = |caller| match caller {
        Caller::Known(identity) => Some((identity.role, identity.may_deliver_alerts)),
        _ => None,
    };
    assert_eq!(role(gate.caller(basic("alice", "secret")).await), Some((Role::Operator, false)));
    assert_eq!(role(gate.caller(basic("bob", "secret")).await), Some((Role::Viewer, false)));
    assert_eq!(role(gate.caller(basic("bob", "wrong")).await), None);
    let certificate = Some(ClientCertificate { name: "certificate-00".into() });
    let shown = Told { credentials: None, certificate };
    assert_eq!(role(gate.caller(shown).await), Some((Role::Viewer, true)));
}

#[tokio::test]
async fn the_token_for_alerts_opens_that_door_only() {
    let gate = gate(Access { webhook_token: Some("0123456789abcdef".to_owned()), ..Access::default() });
    let known = |caller: &Caller| matches!(caller, Caller::Known(it) if it.may_deliver_alerts);
    assert!(known(&gate.deliverer(told("Bearer 0123456789abcdef")).await));
    for wrong in ["Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Bearer ", "Basic 0123456789abcdef"] {
        assert!(matches!(gate.deliverer(told(wrong)).await, Caller::Wrong), "{wrong}");
    }
    assert!(matches!(gate.caller(told("Bearer 0123456789abcdef")).await, Caller::Wrong));
    let open = gate.deliverer(Told { credentials: None, certificate: None }).await;
    assert!(matches!(open, Caller::Nobody));
}

struct Still;

impl Clock for Still {
    fn now(&self) -> jiff::Timestamp {
        "2026-11-21T08:00:00Z".parse().unwrap()
    }
}
