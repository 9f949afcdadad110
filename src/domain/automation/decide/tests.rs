use super::*;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

pub(crate) fn alert(labels: &[(&str, &str)]) -> KeptAlert {
    KeptAlert {
        id: 1,
        fingerprint: "472e32bf361f96cc".into(),
        starts_at: now(),
        receiver: "firedrill".into(),
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        annotations: Labels::new(),
        generator_url: "".into(),
        first_received: now(),
        last_received: now(),
        times: 1,
        resolved_at: None,
    }
}
