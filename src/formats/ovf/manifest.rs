//! The manifest of a package: `SHA256(web-disk1.vmdk)= 0a1b…`, a line for each file but itself.
//!
//! Writers differ in blanks and ends of lines, and names may hold parentheses: the name ends with the last of them before the
//! last `=`.

use super::sums::Algorithm;
use crate::domain::finding::{Findings, Kind};

/// Most lines.
const MOST: usize = 20_000;

/// What the manifest says of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub name: String,
    pub algorithm: Algorithm,
    /// Lower-case digits.
    pub digits: String,
}

/// All that it says. A line of no known form is a warning: what it is about isn't checked then.
pub(super) fn parse(text: &[u8], findings: &mut Findings) -> Vec<Line> {
    let text = String::from_utf8_lossy(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
    let (mut lines, mut strange) = (Vec::new(), None);
    for (number, text) in (1..).zip(text.lines().take(MOST)) {
        match line(text.trim()) {
            Some(line) => lines.push(line),
            None if text.trim().is_empty() => {}
            None => {
                strange.get_or_insert(number);
            }
        }
    }
    if let Some(number) = strange {
        let text = format!("line {number} of the manifest (.mf) is no checksum of a known form: it was passed over");
        findings.say(Kind::OvfDoubtful, text);
    }
    lines
}

fn line(text: &str) -> Option<Line> {
    let (before, digits) = text.rsplit_once('=')?;
    let (algorithm, name) = before.trim_end().strip_suffix(')')?.split_once('(')?;
    let algorithm = Algorithm::of_name(algorithm.trim())?;
    let digits = digits.trim().to_ascii_lowercase();
    let fits = digits.len() == algorithm.digits() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| Line { name: name.to_owned(), algorithm, digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_line() {
        let sum = "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709";
        for text in [
            format!("SHA1(a (1).vmdk)= {sum}\n"),
            format!("\u{feff}SHA1 (a (1).vmdk) = {sum}\r\n\r\n"),
            format!("sha1(a (1).vmdk)={sum}"),
        ] {
            let mut findings = Findings::default();
            let lines = parse(text.as_bytes(), &mut findings);
            assert_eq!((lines.len(), &*lines[0].name), (1, "a (1).vmdk"), "{text}");
            assert_eq!(lines[0].digits, sum.to_lowercase());
            assert!(findings.into_vec().is_empty());
        }
        for text in ["SHA1(a)= 12", "MD4(a)= 00", "SHA256(a= 00", "x", &format!("SHA256(a)= {sum}")] {
            let mut findings = Findings::default();
            assert_eq!((parse(text.as_bytes(), &mut findings).len(), findings.into_vec().len()), (0, 1), "{text}");
        }
    }
}
