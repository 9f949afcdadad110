//! The query of a URL, read strictly: every error names the parameter.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::super::error::ApiError;

/// A value is no longer than this.
const LONGEST: usize = 1024;

/// There are no more values than this.
const MOST: usize = 50;

/// Names and values, decoded.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query that may have these parameters.
    pub(super) fn parse(raw: Option<&str>, known: &[&str]) -> Result<Self, ApiError> {
        let mut pairs = Vec::new();
        for pair in raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).filter(|name| known.contains(&name.as_str())).ok_or_else(|| {
                let list = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!("a parameter of the query is unknown; there are: {list}");
                ApiError::new(axum::http::StatusCode::BAD_REQUEST, "unknown_parameter", message)
            })?;
            if pairs.len() == MOST {
                return Err(ApiError::bad(&name, &format!("the query has more than {MOST} values")));
            }
            let value = decoded(value).ok_or_else(|| ApiError::bad(&name, "is not UTF-8, percent-encoded"))?;
            if value.len() > LONGEST || value.chars().any(char::is_control) {
                return Err(ApiError::bad(&name, &format!("must have at most {LONGEST} bytes, none of them control")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { Err(ApiError::bad(name, "is given twice")) } else { Ok(first) }
    }

    /// A number within limits.
    pub(super) fn number(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<i64>().ok().filter(|number| digits && range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(ApiError::bad(name, &format!("must be a number from {} to {}", range.start(), range.end()))),
        }
    }

    /// A value with a type of its own.
    pub(super) fn parsed<T: FromStr<Err: ToString>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|error: T::Err| ApiError::bad(name, &error.to_string()));
        self.one(name)?.map(parse).transpose()
    }
}

/// One of several words.
pub(super) fn word<T: Copy>(
    name: &str,
    text: &str,
    all: &[T],
    word_of: impl Fn(T) -> &'static str,
) -> Result<T, ApiError> {
    all.iter().copied().find(|it| word_of(*it) == text).ok_or_else(|| {
        let words: Vec<&str> = all.iter().copied().map(word_of).collect();
        ApiError::bad(name, &format!("must be one of {}", words.join(", ")))
    })
}

/// Percent-decoded, with `+` for a blank. `None` when that is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                (digit()? << 4 | digit()?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<Query, ApiError> {
        Query::parse(Some(raw), &["a", "limit"])
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let query = parse("a=x%2Fy+z%C3%BC&&a=&limit=500").unwrap();
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["x/y zü", ""]);
        assert_eq!(query.number("limit", 1..=500).unwrap(), Some(500));
        assert_eq!(query.number("before", 1..=5).unwrap(), None);
        assert!(query.one("a").is_err());
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for bad in
            ["b=1", "a=%00", "a=%0a", "a=%ff", "a=%", "a=%1", "a=%+1", "%ff=1", &format!("a={}", "x".repeat(1025))]
        {
            assert_eq!(parse(bad).unwrap_err().status(), 400, "{bad}");
        }
        assert!(parse(&"a=1&".repeat(51)).is_err() && parse(&"a=1&".repeat(50)).is_ok());
        for bad in ["0", "501", "-1", "+5", "1e2", "", "99999999999999999999", "５"] {
            assert!(parse(&format!("limit={bad}")).unwrap().number("limit", 1..=500).is_err(), "{bad}");
        }
    }
}
