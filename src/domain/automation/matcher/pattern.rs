//! Regular expressions of Go (RE2), as Alertmanager uses them, by those of Rust.
//!
//! The two languages look alike and differ in places. What Rust would understand differently is rewritten where it can
//! be said in its language, and refused otherwise; so is what Go refuses.
//!
//! | written | Go | Rust | here |
//! |---|---|---|---|
//! | `\d` `\w` `\s` `\b` | ASCII | Unicode | rewritten |
//! | `\<` `\>` | the character | start, end of a word | rewritten |
//! | `[a[b]` `[a&&b]` `[a--b]` `[a~~b]` | the characters | sets of sets | refused |
//! | `a{ 2 }` `a{02}` | the characters | repeated | refused |
//! | `a**` `(?x)` `(?u)` `(?R)` `\u0041` `\b{start}` `\p{letter}` | an error | something | refused |
//! | more than 1000 repetitions | an error | allowed | refused |
//! | `\Q…\E` `a{` `\C` `\012` | something | an error | refused |
//!
//! Source: Go's `regexp/syntax` (parse.go, perl_groups.go, doc.go).

use std::ops::Range;

use regex::bytes::Regex;
use regex_syntax::ast::{self, AssertionKind, Ast, ClassPerlKind, ClassSetItem, ClassUnicodeKind, Flag, Flags};
use regex_syntax::ast::{FlagsItemKind, GroupKind, HexLiteralKind, LiteralKind, RepetitionKind, RepetitionRange, Span};

/// Repetitions that Go allows, also of what is repeated itself.
const MOST_REPEATED: u32 = 1000;

/// Classes that both know by the same name and, but for the newest characters, with the same meaning.
const CLASSES: &str = "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp Cc Cf Co \
                       Latin Greek Cyrillic Arabic Hebrew Armenian Georgian Devanagari Thai Han Hiragana Katakana Hangul";

/// Why a text is no regular expression here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} can't be used as a regular expression: {reason}")]
pub struct PatternError {
    /// The expression.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A regular expression that must match the whole value.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Regex);

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, PatternError> {
        let error = |reason: String| PatternError { text: text.to_owned(), reason };
        let ast = ast::parse::Parser::new().parse(text).map_err(|found| error(found.kind().to_string()))?;
        let reader = Reader { text, rewritten: Vec::new(), repeated: vec![1] };
        let rewritten = ast::visit(&ast, reader).map_err(error)?;
        let whole = Regex::new(&format!("^(?:{rewritten})$"));
        whole.map(Self).map_err(|_| error("it is too large".to_owned()))
    }

    pub(super) fn fits(&self, value: &str) -> bool {
        self.0.is_match(value.as_bytes())
    }
}

/// Goes through an expression, refuses, and collects what is to be written differently.
struct Reader<'a> {
    text: &'a str,
    rewritten: Vec<(Range<usize>, &'static str)>,
    /// How often the open repetitions repeat together.
    repeated: Vec<u32>,
}

impl Reader<'_> {
    fn shown(&self, span: &Span) -> &str {
        &self.text[span.start.offset..span.end.offset]
    }

    fn rewrite(&mut self, span: &Span, by: &'static str) {
        self.rewritten.push((span.start.offset..span.end.offset, by));
    }

    fn unknown(&self, span: &Span) -> String {
        format!("Alertmanager's language has no {}", self.shown(span))
    }

    fn flags(&self, flags: &Flags) -> Result<(), String> {
        let strange = flags
            .items
            .iter()
            .find(|item| matches!(item.kind, FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace)));
        strange.map_or(Ok(()), |item| Err(format!("{} the flags are i, m, s and U", self.unknown(&item.span) + ";")))
    }

    fn literal(&self, literal: &ast::Literal) -> Result<(), String> {
        match literal.kind {
            LiteralKind::HexFixed(HexLiteralKind::X) | LiteralKind::HexBrace(HexLiteralKind::X) => Ok(()),
            LiteralKind::HexFixed(_) | LiteralKind::HexBrace(_) => Err(self.unknown(&literal.span) + "; write \\x{…}"),
            _ => Ok(()),
        }
    }

    fn assertion(&mut self, it: &ast::Assertion) -> Result<(), String> {
        match it.kind {
            AssertionKind::WordBoundary => self.rewrite(&it.span, r"(?-u:\b)"),
            AssertionKind::NotWordBoundary => self.rewrite(&it.span, r"(?-u:\B)"),
            AssertionKind::WordBoundaryStartAngle => self.rewrite(&it.span, "<"),
            AssertionKind::WordBoundaryEndAngle => self.rewrite(&it.span, ">"),
            AssertionKind::StartLine | AssertionKind::EndLine | AssertionKind::StartText | AssertionKind::EndText => {}
            _ => return Err(self.unknown(&it.span)),
        }
        Ok(())
    }

    fn perl(&mut self, class: &ast::ClassPerl) {
        let by = match (&class.kind, class.negated) {
            (ClassPerlKind::Digit, false) => "[0-9]",
            (ClassPerlKind::Digit, true) => "[^0-9]",
            (ClassPerlKind::Space, false) => r"[\t\n\x0C\r ]",
            (ClassPerlKind::Space, true) => r"[^\t\n\x0C\r ]",
            (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
            (ClassPerlKind::Word, true) => "[^0-9A-Za-z_]",
        };
        self.rewrite(&class.span, by);
    }

    fn unicode(&self, class: &ast::ClassUnicode) -> Result<(), String> {
        let known = match &class.kind {
            ClassUnicodeKind::OneLetter(letter) => CLASSES.split(' ').any(|it| it.chars().eq([*letter])),
            ClassUnicodeKind::Named(name) => CLASSES.split_ascii_whitespace().any(|it| it == name),
            ClassUnicodeKind::NamedValue { .. } => false,
        };
        let error =
            || format!("firedrill doesn't know that {} means the same in Alertmanager", self.shown(&class.span));
        if known { Ok(()) } else { Err(error()) }
    }

    fn repetition(&mut self, it: &ast::Repetition) -> Result<(), String> {
        let written = self.shown(&it.op.span).to_owned();
        if matches!(*it.ast, Ast::Repetition(_)) {
            return Err(format!("what is repeated already can't be repeated by {written} without a group"));
        }
        let RepetitionKind::Range(range) = &it.op.kind else {
            self.repeated.push(self.repeated.last().copied().unwrap_or(1));
            return Ok(());
        };
        // In Go, anything else in braces stands for itself.
        let counts = written.trim_end_matches('?').trim_matches(['{', '}']);
        let is_count = |it: &str| it == "0" || !it.starts_with('0') && it.bytes().all(|byte| byte.is_ascii_digit());
        let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
        if least.is_empty() || !is_count(least) || !is_count(most) {
            return Err(format!(
                "{written} is no repetition in Alertmanager; escape the brace, or write {{2}} or {{2,3}}"
            ));
        }
        let times = match range {
            RepetitionRange::Exactly(times) | RepetitionRange::AtLeast(times) => *times,
            RepetitionRange::Bounded(_, most) => *most,
        };
        let all = self.repeated.last().copied().unwrap_or(1).saturating_mul(times.max(1));
        if times > MOST_REPEATED || all > MOST_REPEATED {
            return Err(format!("{written} makes more than {MOST_REPEATED} repetitions"));
        }
        self.repeated.push(all);
        Ok(())
    }
}

impl ast::Visitor for Reader<'_> {
    type Output = String;
    type Err = String;

    fn finish(self) -> Result<String, String> {
        let mut text = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, by) in &self.rewritten {
            text.push_str(&self.text[at..range.start]);
            text.push_str(by);
            at = range.end;
        }
        Ok(text + &self.text[at..])
    }

    fn visit_pre(&mut self, it: &Ast) -> Result<(), String> {
        match it {
            Ast::Flags(set) => self.flags(&set.flags),
            Ast::Literal(literal) => self.literal(literal),
            Ast::Assertion(assertion) => self.assertion(assertion),
            Ast::ClassUnicode(class) => self.unicode(class),
            Ast::ClassPerl(class) => {
                self.perl(class);
                Ok(())
            }
            Ast::Repetition(repetition) => self.repetition(repetition),
            Ast::Group(group) => match &group.kind {
                GroupKind::CaptureName { starts_with_p: false, .. } => {
                    Err("older versions of Alertmanager have no (?<name>…); write (…)".to_owned())
                }
                GroupKind::CaptureName { name, .. } if name.name.contains(['.', '[', ']']) || !name.name.is_ascii() => {
                    Err(format!("{:?} is no name of a group", name.name))
                }
                GroupKind::NonCapturing(flags) => self.flags(flags),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn visit_post(&mut self, it: &Ast) -> Result<(), String> {
        if matches!(it, Ast::Repetition(_)) {
            self.repeated.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, it: &ClassSetItem) -> Result<(), String> {
        match it {
            ClassSetItem::Literal(literal) => self.literal(literal),
            ClassSetItem::Range(range) => self.literal(&range.start).and_then(|()| self.literal(&range.end)),
            ClassSetItem::Unicode(class) => self.unicode(class),
            ClassSetItem::Perl(class) => {
                self.perl(class);
                Ok(())
            }
            ClassSetItem::Bracketed(_) => Err(format!("[ within {} must be escaped: \\[", self.shown(it.span()))),
            ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) | ClassSetItem::Union(_) => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, it: &ast::ClassSetBinaryOp) -> Result<(), String> {
        Err(format!("the operator of {} isn't one in Alertmanager; escape its characters", self.shown(&it.span)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_languages_write_means_what_go_means() {
        for (pattern, value, fits) in [
            ("a.c", "abc", true),
            ("a.c", "xabc", false),
            ("a.c", "a\nc", false),
            ("(?s)a.c", "a\nc", true),
            ("a|bc", "bc", true),
            ("a|bc", "ac", false),
            (r"\d+", "12", true),
            (r"\d+", "٣", false),
            (r"\w+", "straße", false),
            (r"\W", "ß", true),
            (r"\s", "\u{a0}", false),
            (r"\s", "\u{b}", false),
            (r"[\s]", "\t", true),
            (r"[\D]", "x", true),
            (r"[^\w]", "-", true),
            (r"(?i)\w", "\u{212a}", true),
            (r"ß\bx", "ßx", true),
            (r"a\Bß", "aß", false),
            (r"\<a\>", "<a>", true),
            (r"\Aa\z", "a", true),
            ("[[:alpha:]]+", "ab", true),
            (r"\p{Greek}\pL", "αb", true),
            ("[]a]", "]", true),
            ("[a-c-e]+", "b-e", true),
            ("(?i)ABC", "abc", true),
            ("a{2,3}", "aa", true),
            ("", "", true),
            ("", "a", false),
            ("(?m)a$|^b", "b", true),
            (r"a\_b", "a_b", true),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().fits(value), fits, "{pattern} on {value:?}");
        }
    }

    #[test]
    fn what_go_refuses_or_means_otherwise_is_refused() {
        for pattern in [
            "(",
            "a)|(b",
            "*a",
            "a**",
            "a{2}{3}",
            "a{1001}",
            "(a{500}){3}",
            "a{ 2 }",
            "a{02}",
            "a{",
            "a{,2}",
            "[a[b]]",
            "[a&&b]",
            "[+--]",
            "[a~~b]",
            "(?x)a b",
            "(?u)a",
            "(?R)a",
            r"\u0041",
            r"\b{start}a",
            r"\p{letter}",
            r"\p{Alphabetic}",
            r"\p{sc=Greek}",
            r"\pC",
            r"\Qa\E",
            r"\C",
            r"\Z",
            r"\1",
            "(?=a)",
            "(?<a>b)",
            "(?P<a.b>c)",
            "[z-a]",
            r"\h",
            "[[:foo:]]",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
