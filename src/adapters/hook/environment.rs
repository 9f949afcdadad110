//! What a hook is told of its alert: variables that a shell can use.

use std::collections::BTreeMap;

use crate::domain::automation::alert::Labels;

/// A value in the environment is cut here; the kernel takes 128 KiB at most.
const MOST_VALUE: usize = 16 << 10;

/// Bytes of a name, the escapes counted.
const MOST_NAME: usize = 4 << 10;

/// All values together.
const MOST_ENVIRONMENT: usize = 256 << 10;

/// Begins every name that isn't the label's own.
const ESCAPED: &str = "U__";

/// Adds labels under names that a shell can use. What doesn't fit is left out.
pub(super) fn add(environment: &mut BTreeMap<String, String>, prefix: &str, labels: &Labels) {
    let mut size: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    for (label, value) in labels {
        let variable = format!("{prefix}{}", name(label));
        let value = cleaned(value);
        let with = size + variable.len() + value.len();
        if !label.is_empty() && variable.len() <= MOST_NAME && with <= MOST_ENVIRONMENT {
            size = with;
            environment.insert(variable, value);
        }
    }
}

/// The label's own name where a shell can use it, else the name that Prometheus escapes it to (`values` escaping of
/// `model.EscapeName`): `U__`, `_` doubled, other characters as `_HEX_`. No two labels have one name: a label that
/// begins with `U__` itself is escaped too, and so is one with a `:`, which Prometheus leaves in names of metrics.
pub(super) fn name(label: &str) -> String {
    let starts = label.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_');
    let usable = starts && label.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
    if usable && !label.starts_with(ESCAPED) {
        return label.to_owned();
    }
    let mut name = ESCAPED.to_owned();
    for (at, character) in label.char_indices() {
        match character {
            '_' => name.push_str("__"),
            _ if character.is_ascii_alphabetic() || (character.is_ascii_digit() && at > 0) => name.push(character),
            _ => name.push_str(&format!("_{:x}_", u32::from(character))),
        }
    }
    name
}

/// Without control characters, and not too long.
pub(super) fn cleaned(value: &str) -> String {
    let mut end = value.len().min(MOST_VALUE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value[..end].chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_prometheus() {
        for (label, variable) in [
            ("alertname", "alertname"),
            ("a_b", "a_b"),
            ("__name__", "__name__"),
            ("a-b", "U__a_2d_b"),
            ("my.label_name", "U__my_2e_label__name"),
            ("größe", "U__gr_f6__df_e"),
            ("1a2", "U___31_a2"),
            ("a:b", "U__a_3a_b"),
            ("日", "U___65e5_"),
            ("😀", "U___1f600_"),
            ("U__a_2d_b", "U__U____a__2d__b"),
        ] {
            assert_eq!(name(label), variable, "{label}");
        }
    }

    #[test]
    fn every_label_is_kept_under_a_name_of_its_own() {
        let pairs = ["a-b", "a_b", "a.b", "a b", "U__a_2d_b", "U__U____a__2d__b", "U__", "U_", "a:b"];
        let labels: Labels = pairs.iter().map(|it| ((*it).into(), format!("value of {it}").into())).collect();
        let mut environment = BTreeMap::new();
        add(&mut environment, "L_", &labels);
        assert_eq!(environment.len(), pairs.len());
        assert_eq!(environment["L_a_b"], "value of a_b");
        assert_eq!(environment["L_U__a_2d_b"], "value of a-b");
    }

    #[test]
    fn neither_names_nor_values_are_more_than_a_kernel_takes() {
        let long = "ö".repeat(100_000);
        let labels: Labels = (0..100).map(|it| (format!("l{it}").into(), long.as_str().into())).collect();
        let mut environment = BTreeMap::new();
        add(&mut environment, "L_", &labels);
        add(&mut environment, "L_", &Labels::from([(long.as_str().into(), "x".into())]));
        assert!(environment.values().all(|value| value.len() <= MOST_VALUE));
        let size: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!((MOST_ENVIRONMENT - MOST_VALUE..=MOST_ENVIRONMENT).contains(&size), "{size}");
    }
}
