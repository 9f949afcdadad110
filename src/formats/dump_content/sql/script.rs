//! A dump of SQL as it streams by: which comment lines are comments, and not within a text, a function or rows.
//!
//! Nothing is understood of a statement but where it ends. What is within quotes, within the rows behind
//! `COPY … FROM stdin;` or between `DELIMITER ;;` and `DELIMITER ;` can't begin or end a dump, and is no message of a
//! program, whatever is written there.

use memchr::{memchr, memchr_iter, memchr2};

use super::message;

/// So much of a line or of a statement is kept.
const KEPT: usize = 200;

/// So much is kept of a `COPY`, to count its columns: 1,600 of them with long names.
const KEPT_COPY: usize = 256 << 10;

/// First line of newer dumps of MariaDB, in both of its forms: an old client must not read on, since the rest could make
/// it run programs. It has no end of its own.
pub(super) const SANDBOX: [&[u8]; 2] =
    [b"/*M!999999\\- enable the sandbox mode */", b"/*!999999\\- enable the sandbox mode */"];

/// What begins a line of mysqldump and pg_dump that is never a line of an `INSERT`.
const NEVER_IN_INSERT: [&[u8]; 7] =
    [b"UNLOCK TABLES", b"LOCK TABLES", b"DROP ", b"CREATE ", b"INSERT ", b"ALTER TABLE", b"SELECT pg_catalog."];

/// The rules of which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    Postgres,
    MySql,
    Sqlite,
}

/// What is told of a script while it passes by. The answer to a comment: whether it begins or ends a dump, so that a
/// statement before it doesn't go on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// A whole line that is a comment.
    Comment {
        line: &'a [u8],
        /// Whether it has its line feed, or the text ends in it.
        whole: bool,
        /// The beginning of the statement that is open there; empty if none is.
        open: &'a [u8],
    },
    /// A statement that ended.
    Statement {
        /// Its beginning.
        text: &'a [u8],
        /// Whether it is an `INSERT` that swallowed what must come behind its end.
        swallowed: bool,
    },
    /// A line of a program's messages.
    Message {
        line: &'a [u8],
        /// Whether it lies within a statement.
        within: bool,
    },
    /// A row of another number of columns than the table has.
    Row(&'a [u8]),
}

/// What is open at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest<'a> {
    Nothing,
    /// The beginning of a statement that has no end.
    Statement(&'a [u8]),
    /// A text, rows, a function or a comment.
    Within(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    /// After `-`, `--` (MySQL wants a blank then), `/`, `/*`, and `$`.
    Dash,
    Dashes,
    Slash,
    SlashStar,
    Dollar,
    /// After `/*M`.
    SlashStarM,
    /// In a comment to the end of the line; whether it began the line.
    Comment(bool),
    /// In a comment of so many levels; after which of its bytes.
    Block(u32, u8),
    /// Within these quotes; whether a backslash has a meaning, and whether there was one.
    Quote(u8, bool, bool),
    /// In a dollar-quoted text; how much of its end was seen.
    Dollars(usize),
    /// In a line that is a command of the client.
    Command,
    /// After a colon, which may follow the name of a program.
    Colon,
    /// In a line that is a message; whether within a statement.
    Aside(bool),
    /// In rows of `COPY`.
    Rows,
    /// Between other delimiters.
    Routine,
}

/// The state of a script.
pub(super) struct Script {
    rules: Rules,
    state: State,
    /// Last byte of code.
    before: u8,
    /// Whether nothing of the line was seen yet.
    line_start: bool,
    /// Whether a statement has begun.
    open: bool,
    /// Whether the statement that ended was a `COPY`: its rows begin in the next line.
    rows_follow: bool,
    /// The line, or the tag of a dollar-quoted text.
    line: Vec<u8>,
    statement: Vec<u8>,
    /// Last bytes of the statement without blanks.
    end: u128,
    /// Whether the statement is an `INSERT` that swallowed something.
    swallowed: bool,
    /// Columns of the table whose rows are read; `None` where that isn't known.
    columns: Option<usize>,
    tabs: usize,
    /// Statements, rows and comments that ended, without empty ones.
    pub(super) lines: u64,
    pairs: Pairs,
}

/// Characters of two bytes of which the second may look like a backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pairs {
    None,
    /// As in GBK and Big5.
    Chinese,
    /// As in Shift JIS, where some of the higher bytes stand for themselves.
    Japanese,
}

impl Pairs {
    /// What `/*!40101 SET NAMES … */` says.
    fn of(statement: &[u8]) -> Option<Self> {
        let mut words = statement.split(u8::is_ascii_whitespace).skip_while(|word| *word != b"NAMES");
        words.next()?;
        Some(match words.next()? {
            b"gbk" | b"gb18030" | b"big5" => Self::Chinese,
            b"sjis" | b"cp932" => Self::Japanese,
            _ => Self::None,
        })
    }

    fn is_first(self, byte: u8) -> bool {
        match self {
            Self::None => false,
            Self::Chinese => byte >= 0x81,
            Self::Japanese => matches!(byte, 0x81..=0x9f | 0xe0..=0xfc),
        }
    }
}

impl Script {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Code,
            before: b'\n',
            line_start: true,
            open: false,
            rows_follow: false,
            line: Vec::new(),
            statement: Vec::new(),
            end: 0,
            swallowed: false,
            columns: None,
            tabs: 0,
            lines: 0,
            pairs: Pairs::None,
        }
    }

    /// The next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8], said: &mut impl FnMut(Said<'_>) -> bool) {
        while let Some(byte) = bytes.first().copied() {
            let used = match self.state {
                State::Code => self.code(bytes, said),
                State::Dash => self.second(byte, b'-', State::Dashes),
                State::Slash => self.second(byte, b'*', State::SlashStar),
                State::Dashes => self.dashes(byte),
                State::SlashStar | State::SlashStarM => self.slash_star(byte),
                State::Dollar => self.dollar(byte),
                State::Colon => self.colon(byte),
                State::Comment(_) | State::Command | State::Aside(_) | State::Rows | State::Routine => {
                    self.line_end(bytes, said)
                }
                State::Block(depth, last) => self.block(byte, depth, last),
                State::Quote(quote, escapes, escaped) => self.quote(bytes, quote, escapes, escaped),
                State::Dollars(seen) => self.dollars(bytes, seen),
            };
            bytes = &bytes[used..];
        }
    }

    /// The end of the text.
    pub(super) fn finish(&mut self, said: &mut impl FnMut(Said<'_>) -> bool) -> Rest<'_> {
        if self.rules == Rules::MySql && self.state == State::Dashes {
            self.dashes(b'\n');
        }
        match self.state {
            State::Comment(whole) => self.comment(whole, false, said),
            State::Aside(within) => {
                said(Said::Message { line: self.line.trim_ascii_end(), within });
            }
            State::Code if self.rows_follow => return Rest::Within("the rows of a table"),
            State::Code | State::Command | State::Colon => {}
            // Half a comment, or a sign of a statement.
            State::Dash | State::Dashes | State::Slash | State::SlashStar | State::SlashStarM | State::Dollar => {}
            State::Block(..) => return Rest::Within("a comment"),
            State::Quote(..) => return Rest::Within("a quoted text"),
            State::Dollars(_) => return Rest::Within("a function"),
            State::Rows => return Rest::Within("the rows of a table"),
            // A last line without its line feed.
            State::Routine if self.ends_routine() => {}
            State::Routine => return Rest::Within("a routine"),
        }
        self.close_line();
        if self.open { Rest::Statement(&self.statement) } else { Rest::Nothing }
    }

    /// A comment line has ended, or the text in it.
    fn comment(&mut self, is_line: bool, whole: bool, said: &mut impl FnMut(Said<'_>) -> bool) {
        if !is_line {
            return;
        }
        let open = if self.open { self.statement.trim_ascii_end() } else { b"" };
        self.swallowed |= is_insert(open);
        if said(Said::Comment { line: self.line.trim_ascii_end(), whole, open }) {
            self.open = false;
        }
    }

    /// Bytes of statements, as many as mean nothing, and one that does.
    fn code(&mut self, bytes: &[u8], said: &mut impl FnMut(Said<'_>) -> bool) -> usize {
        let byte = bytes[0];
        if self.line_start && byte == b'\\' && !self.open && self.rules == Rules::Postgres {
            (self.state, self.line_start) = (State::Command, false);
            self.line.clear();
            return 0;
        }
        if !is_special(byte) {
            // At the beginning of a line its first bytes decide what it is.
            let run = bytes.iter().take_while(|byte| !is_special(**byte)).count();
            self.keep(&bytes[..run]);
            return run;
        }
        match byte {
            b'\n' => self.line_feed(),
            b':' => self.state = State::Colon,
            b';' => {
                self.end_statement(said);
                self.before = b';';
            }
            b'-' => self.state = State::Dash,
            b'/' => self.state = State::Slash,
            b'#' if self.rules == Rules::MySql => self.begin_comment(self.line_start, b"#"),
            b'$' if self.rules == Rules::Postgres && !is_name(self.before) => {
                self.line.clear();
                self.line.push(b'$');
                self.keep(b"$");
                self.state = State::Dollar;
            }
            b'\'' | b'"' => self.begin_quote(byte),
            b'`' if self.rules != Rules::Postgres => self.begin_quote(byte),
            b'[' if self.rules == Rules::Sqlite => self.begin_quote(b']'),
            _ => self.keep(&bytes[..1]),
        }
        1
    }

    /// Notes bytes of a statement.
    fn keep(&mut self, bytes: &[u8]) {
        if !self.open {
            if bytes.trim_ascii().is_empty() {
                self.line_start &= bytes.is_empty();
                return;
            }
            (self.open, self.end, self.swallowed) = (true, 0, false);
            self.statement.clear();
        } else if self.line_start && is_insert(&self.statement) {
            self.swallowed |= NEVER_IN_INSERT.iter().any(|word| bytes.starts_with(word));
        }
        let bytes = if self.statement.is_empty() { bytes.trim_ascii_start() } else { bytes };
        let start = if self.statement.is_empty() { bytes } else { &self.statement };
        let most = if start.starts_with(b"COPY ") { KEPT_COPY } else { KEPT };
        let room = most.saturating_sub(self.statement.len()).min(bytes.len());
        self.statement.extend_from_slice(&bytes[..room]);
        for byte in &bytes[bytes.len().saturating_sub(32)..] {
            if !byte.is_ascii_whitespace() {
                self.end = self.end << 8 | u128::from(*byte);
            }
        }
        self.before = *bytes.last().unwrap_or(&self.before);
        self.line_start = false;
    }

    fn line_feed(&mut self) {
        (self.before, self.line_start) = (b'\n', true);
        if self.rows_follow {
            (self.state, self.rows_follow) = (State::Rows, false);
            self.line.clear();
            self.tabs = 0;
            return;
        }
        self.close_line();
        let statement = self.statement.trim_ascii_end();
        if self.open && self.rules == Rules::MySql && delimiter(statement).is_some() {
            self.open = false;
            if delimiter(statement) != Some(b";") {
                self.state = State::Routine;
                self.line.clear();
            }
        }
    }

    /// What the client of MySQL takes for whole at the end of its line, without a semicolon.
    fn close_line(&mut self) {
        let statement = self.statement.trim_ascii();
        let alone = || statement.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"use "));
        if self.open && self.rules == Rules::MySql && (SANDBOX.contains(&statement) || alone()) {
            self.open = false;
        }
    }

    fn end_statement(&mut self, said: &mut impl FnMut(Said<'_>) -> bool) {
        self.line_start = false;
        if self.rules == Rules::MySql && self.open && delimiter(&self.statement).is_some() {
            self.statement.push(b';');
            return;
        }
        if !self.open {
            return;
        }
        self.rows_follow = self.rules == Rules::Postgres
            && self.statement.starts_with(b"COPY ")
            && self.end & ((1 << 72) - 1) == u128::from_be_bytes(*b"\0\0\0\0\0\0\0FROMstdin");
        let text = self.statement.trim_ascii_end();
        if self.rules == Rules::MySql && text.starts_with(b"/*!") {
            self.pairs = Pairs::of(text).unwrap_or(self.pairs);
        }
        if self.rows_follow {
            self.columns = columns(text);
        }
        self.lines += 1;
        said(Said::Statement { text, swallowed: self.swallowed });
        self.open = false;
    }

    /// After a colon: the name of a program before it and a blank behind it begin a message, on a line of its own or
    /// in the middle of what was being written.
    fn colon(&mut self, byte: u8) -> usize {
        self.state = State::Code;
        let statement: &[u8] = if self.open { self.statement.trim_ascii() } else { b"" };
        let alone = !statement.iter().any(u8::is_ascii_whitespace) && statement.len() < KEPT;
        let program = message::program(self.end).filter(|_| self.open);
        let Some(name) = program.or_else(|| message::word(statement)).filter(|_| byte == b' ') else {
            self.keep(b":");
            return 0;
        };
        self.line.clear();
        self.line.extend_from_slice(name);
        self.line.push(b':');
        self.open &= !alone;
        self.state = State::Aside(!alone);
        0
    }

    /// After a byte that begins a comment if another follows.
    fn second(&mut self, byte: u8, wanted: u8, then: State) -> usize {
        let first: &[u8] = if wanted == b'-' { b"-" } else { b"/" };
        if byte != wanted {
            self.state = State::Code;
            self.keep(first);
            return 0;
        }
        self.state = then;
        if then == State::Dashes && self.rules != Rules::MySql {
            self.begin_comment(self.line_start, b"--");
        }
        1
    }

    /// In MySQL a blank must follow the two dashes.
    fn dashes(&mut self, byte: u8) -> usize {
        if byte.is_ascii_whitespace() {
            self.begin_comment(self.line_start, b"--");
        } else {
            self.state = State::Code;
            self.keep(b"--");
        }
        0
    }

    fn begin_comment(&mut self, whole: bool, with: &[u8]) {
        self.state = State::Comment(whole);
        self.line.clear();
        self.line.extend_from_slice(with);
    }

    /// In MySQL a comment that begins with `!` or `M!` is none.
    fn slash_star(&mut self, byte: u8) -> usize {
        if self.rules == Rules::MySql && byte == b'!' {
            self.state = State::Code;
            self.swallowed |= self.open && is_insert(&self.statement);
            self.keep(b"/*");
            return 0;
        }
        if self.rules == Rules::MySql && byte == b'M' && self.state == State::SlashStar {
            self.state = State::SlashStarM;
            return 1;
        }
        self.state = State::Block(1, 0);
        0
    }

    fn block(&mut self, byte: u8, depth: u32, last: u8) -> usize {
        self.state = match (last, byte) {
            (b'*', b'/') if depth == 1 => {
                self.before = b' ';
                State::Code
            }
            (b'*', b'/') => State::Block(depth - 1, 0),
            (b'/', b'*') if self.rules == Rules::Postgres => State::Block(depth.saturating_add(1), 0),
            _ => State::Block(depth, byte),
        };
        self.line_start = byte == b'\n';
        1
    }

    fn begin_quote(&mut self, quote: u8) {
        let escapes = match self.rules {
            Rules::MySql => quote != b'`',
            Rules::Postgres => quote == b'\'' && matches!(self.before, b'E' | b'e'),
            Rules::Sqlite => false,
        };
        self.keep(&[quote]);
        self.state = State::Quote(quote, escapes, false);
    }

    fn quote(&mut self, bytes: &[u8], quote: u8, escapes: bool, escaped: bool) -> usize {
        if escaped {
            self.state = State::Quote(quote, escapes, false);
            return 1;
        }
        if self.pairs != Pairs::None {
            let skip = usize::from(self.pairs.is_first(bytes[0]));
            self.state = State::Quote(quote, escapes, skip == 1 || (escapes && bytes[0] == b'\\'));
            if skip == 0 && bytes[0] == quote {
                (self.state, self.before) = (State::Code, quote);
            }
            return 1;
        }
        let found = if escapes { memchr2(quote, b'\\', bytes) } else { memchr(quote, bytes) };
        let Some(at) = found else { return bytes.len() };
        if bytes[at] == quote {
            self.state = State::Code;
            self.before = quote;
        } else {
            self.state = State::Quote(quote, escapes, true);
        }
        at + 1
    }

    /// The tag of a dollar-quoted text, perhaps.
    fn dollar(&mut self, byte: u8) -> usize {
        let first = self.line.len() == 1;
        if byte == b'$' {
            self.line.push(byte);
            self.state = State::Dollars(0);
            return 1;
        }
        if self.line.len() < KEPT && is_name(byte) && !(first && byte.is_ascii_digit()) {
            self.line.push(byte);
            return 1;
        }
        self.state = State::Code;
        self.before = b'$';
        0
    }

    fn dollars(&mut self, bytes: &[u8], seen: usize) -> usize {
        if seen == 0 {
            let Some(at) = memchr(b'$', bytes) else { return bytes.len() };
            self.state = State::Dollars(1);
            return at + 1;
        }
        if bytes[0] != self.line[seen] {
            self.state = State::Dollars(0);
            return 0;
        }
        self.state = if seen + 1 == self.line.len() { State::Code } else { State::Dollars(seen + 1) };
        self.before = b' ';
        1
    }

    /// Lines that are looked at as a whole.
    fn line_end(&mut self, bytes: &[u8], said: &mut impl FnMut(Said<'_>) -> bool) -> usize {
        let end = memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = KEPT.saturating_sub(self.line.len()).min(part.len());
        self.line.extend_from_slice(&part[..room]);
        if self.state == State::Rows && self.columns.is_some() {
            self.tabs += memchr_iter(b'\t', part).count();
        }
        let Some(end) = end else { return bytes.len() };
        match self.state {
            State::Comment(is_line) => {
                self.state = State::Code;
                self.comment(is_line, true, said);
            }
            State::Aside(within) => {
                self.state = State::Code;
                said(Said::Message { line: self.line.trim_ascii_end(), within });
            }
            State::Rows if self.line.trim_ascii_end() != b"\\." => {
                if self.columns.is_some_and(|columns| columns != self.tabs + 1) {
                    said(Said::Row(&self.line));
                }
                self.tabs = 0;
            }
            State::Routine if !self.ends_routine() => {}
            _ => self.state = State::Code,
        }
        self.lines += u64::from(!self.line.is_empty());
        self.line.clear();
        if self.state == State::Code {
            (self.before, self.line_start) = (b'\n', true);
        }
        end + 1
    }

    fn ends_routine(&self) -> bool {
        delimiter(self.line.trim_ascii()) == Some(b";")
    }
}

/// The argument of `DELIMITER`.
fn delimiter(line: &[u8]) -> Option<&[u8]> {
    let (word, rest) = line.split_at_checked(10)?;
    word.eq_ignore_ascii_case(b"delimiter ").then(|| rest.trim_ascii())
}

fn is_insert(statement: &[u8]) -> bool {
    statement.starts_with(b"INSERT ") || statement.starts_with(b"REPLACE ")
}

/// The number of columns of `COPY table (a, b) FROM stdin`, whose quoted names were left out.
fn columns(copy: &[u8]) -> Option<usize> {
    let list = &copy[memchr(b'(', copy).filter(|_| copy.len() < KEPT_COPY)?..];
    Some(memchr_iter(b',', list).count() + 1)
}

/// Bytes that may have a meaning outside of quotes and comments.
fn is_special(byte: u8) -> bool {
    matches!(byte, b'\n' | b';' | b':' | b'-' | b'/' | b'#' | b'$' | b'\'' | b'"' | b'`' | b'[' | b'\\')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
