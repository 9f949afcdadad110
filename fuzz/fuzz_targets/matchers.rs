//! Any text as the matchers of a rule: what is read means the same when it is printed and read again.

#![no_main]

use firedrill::formats::matchers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Ok(found) = matchers::parse(input) else { return };
    assert!(!found.is_empty());
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    let again = matchers::parse(&format!("{{{}}}", texts.join(", "))).expect("what is printed can be read");
    assert_eq!(found, again, "{input:?}");
    for (one, other) in found.iter().zip(&again) {
        assert_eq!(one.holds(input), other.holds(input));
    }
});
