//! The newer parser: any name in quotes, values in quotes or without reserved characters.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::{Operator, Written};

/// Characters that stand for themselves only in quotes, beside white space.
const RESERVED: &str = "{}!=~,\\\"'`";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    Operator(Operator),
    /// A name or a value.
    Text(String),
}

pub(super) fn parse(text: &str) -> Result<Vec<Written>, String> {
    let mut tokens = tokens(text)?.into_iter().peekable();
    let opened = tokens.next_if_eq(&Token::Open).is_some();
    let mut found = Vec::new();
    while matches!(tokens.peek(), Some(Token::Text(_) | Token::Operator(_) | Token::Comma | Token::Open)) {
        found.push(matcher(&mut tokens)?);
        if tokens.next_if_eq(&Token::Comma).is_none() {
            break;
        }
    }
    let closed = tokens.next_if_eq(&Token::Close).is_some();
    match (opened, closed, tokens.next()) {
        (true, false, None) => Err("the closing brace is missing".to_owned()),
        (false, true, _) => Err("the opening brace is missing".to_owned()),
        (_, _, None) => Ok(found),
        (_, true, Some(_)) => Err("something follows the closing brace".to_owned()),
        (_, false, Some(_)) => Err("a comma is missing, or quotes around the value".to_owned()),
    }
}

fn matcher(tokens: &mut Peekable<IntoIter<Token>>) -> Result<Written, String> {
    let Some(Token::Text(label)) = tokens.next() else { return Err("a label name is missing".to_owned()) };
    if label.is_empty() {
        return Err("the label name is empty".to_owned());
    }
    let Some(Token::Operator(operator)) = tokens.next() else {
        return Err(format!("one of = != =~ !~ must follow {label:?}"));
    };
    let Some(Token::Text(value)) = tokens.next() else {
        return Err(format!("a value must follow {label:?} {}; an empty one is \"\"", operator.as_str()));
    };
    Ok(Written { label, operator, value })
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '{' => (Token::Open, 1),
            '}' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '=' | '!' => {
                let operator = Operator::ALL.into_iter().find(|it| rest.starts_with(it.as_str()));
                let operator = operator.ok_or("behind ! there must be = or ~")?;
                (Token::Operator(operator), operator.as_str().len())
            }
            '"' => {
                let length = quoted(rest).ok_or("a closing quote is missing")?;
                (Token::Text(unquoted(&rest[1..length - 1])?), length)
            }
            _ => {
                let length = rest.find(|it: char| it.is_whitespace() || RESERVED.contains(it)).unwrap_or(rest.len());
                if length == 0 {
                    return Err(format!("{first:?} must be in double quotes"));
                }
                (Token::Text(rest[..length].to_owned()), length)
            }
        };
        found.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

/// How long the text in quotes is that begins here.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    Some(end?.0 + 1)
}

/// What Go makes of a string literal. It may write single bytes; all together they must be UTF-8.
fn unquoted(text: &str) -> Result<String, String> {
    let wrong = |escape: &str| format!("\\{escape} is no escape");
    if text.contains('\n') {
        return Err("a line break must be written as \\n".to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let kind = escape.chars().next().unwrap_or(' ');
        let simple = match kind {
            'a' => 0x7,
            'b' => 0x8,
            'f' => 0xc,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0xb,
            '\\' | '"' => escape.as_bytes()[0],
            _ => 0,
        };
        if simple > 0 {
            bytes.push(simple);
            rest = &escape[1..];
            continue;
        }
        let (skipped, digits, base) = match kind {
            'x' => (1, 2, 16),
            'u' => (1, 4, 16),
            'U' => (1, 8, 16),
            '0'..='7' => (0, 3, 8),
            _ => return Err(wrong(&kind.to_string())),
        };
        let written = escape.get(skipped..skipped + digits).ok_or_else(|| wrong(escape))?;
        let is_number = written.chars().all(|it| it.is_digit(base));
        let number = u32::from_str_radix(written, base).ok().filter(|_| is_number).ok_or_else(|| wrong(escape))?;
        match kind {
            'u' | 'U' => {
                let character = char::from_u32(number).ok_or_else(|| wrong(escape))?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => bytes.push(u8::try_from(number).map_err(|_| wrong(escape))?),
        }
        rest = &escape[skipped + digits..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| "the escapes make no UTF-8".to_owned())
}
