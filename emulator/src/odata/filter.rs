//! `$filter` as a pure function: text to expression, expression and row to true or false.
//!
//! Known are `eq ne gt ge lt le`, `and or not`, parentheses, `contains startswith endswith`, strings, numbers, dates, GUIDs,
//! `true false null`. Anything else is an error that names it: a filter that is ignored would hide a client's mistake.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// One row of a table: columns by name.
pub(crate) type Row = Map<String, Value>;

/// Expressions may nest so deep; beyond, recursion would cost the connection's small stack.
const MAX_DEPTH: usize = 60;

/// A filter that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    /// One of them; a list, for a long one must not recurse.
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    Compare(Operand, Comparison, Operand),
    Test(Test, Operand, Operand),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Column(String),
    Literal(Value),
    /// A date or a date and time, without quotes.
    Date(String),
    /// `contains(…) eq true`
    Filter(Box<Filter>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Contains,
    StartsWith,
    EndsWith,
}

impl Filter {
    /// Reads a filter. With `substringof`, the Entity API's function of that name is known too.
    ///
    /// # Errors
    /// A sentence that names what was not understood.
    pub fn parse(text: &str, substringof: bool) -> Result<Self, String> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
            substringof,
        };
        let filter = parser.or()?;
        match parser.next() {
            None => Ok(filter),
            Some(rest) => Err(format!(
                "Syntax error: '{}' was not expected.",
                rest.shown()
            )),
        }
    }

    /// The columns that it names.
    pub fn columns<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Or(all) | Self::And(all) => all.iter().for_each(|one| one.columns(found)),
            Self::Not(inner) => inner.columns(found),
            Self::Compare(a, _, b) | Self::Test(_, a, b) => {
                for operand in [a, b] {
                    match operand {
                        Operand::Column(name) => found.push(name),
                        Operand::Filter(inner) => inner.columns(found),
                        Operand::Literal(_) | Operand::Date(_) => {}
                    }
                }
            }
        }
    }

    /// Whether a row passes.
    ///
    /// # Errors
    /// Where values of different kinds are compared, such as a number and a string.
    pub fn matches(&self, row: &Row) -> Result<bool, String> {
        Ok(match self {
            Self::Or(all) => any(all, row, true)?,
            Self::And(all) => !any(all, row, false)?,
            Self::Not(inner) => !inner.matches(row)?,
            Self::Compare(a, comparison, b) => compare(a, *comparison, b, row)?,
            Self::Test(test, whole, part) => match (whole.value(row)?, part.value(row)?) {
                (Value::Null, _) | (_, Value::Null) => false,
                (Value::String(whole), Value::String(part)) => {
                    let (whole, part) = (whole.to_lowercase(), part.to_lowercase());
                    match test {
                        Test::Contains => whole.contains(&part),
                        Test::StartsWith => whole.starts_with(&part),
                        Test::EndsWith => whole.ends_with(&part),
                    }
                }
                _ => return Err("No function signature for text functions matches a value that is not a string.".into()),
            },
        })
    }
}

/// Whether one of them comes to this; those behind it are not looked at.
fn any(all: &[Filter], row: &Row, wanted: bool) -> Result<bool, String> {
    for one in all {
        if one.matches(row)? == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Operand {
    fn value(&self, row: &Row) -> Result<Value, String> {
        Ok(match self {
            Self::Column(name) => row.get(name).cloned().unwrap_or(Value::Null),
            Self::Literal(value) => value.clone(),
            Self::Date(text) => Value::String(text.clone()),
            Self::Filter(inner) => Value::Bool(inner.matches(row)?),
        })
    }
}

fn compare(a: &Operand, comparison: Comparison, b: &Operand, row: &Row) -> Result<bool, String> {
    let dates = matches!(a, Operand::Date(_)) || matches!(b, Operand::Date(_));
    let (a, b) = (a.value(row)?, b.value(row)?);
    let order = match (&a, &b) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Null, _) | (_, Value::Null) => None,
        _ if dates => Some(moment(&a)?.cmp(&moment(&b)?)),
        _ => Some(ordered(&a, &b).ok_or_else(|| {
            format!(
                "A binary operator with incompatible types was detected: {} and {}.",
                kind(&a),
                kind(&b)
            )
        })?),
    };
    Ok(match (comparison, order) {
        (Comparison::Eq, order) => order == Some(Ordering::Equal),
        (Comparison::Ne, order) => order != Some(Ordering::Equal),
        (_, None) => false,
        // Null is neither above nor below null.
        (Comparison::Ge | Comparison::Le, Some(_)) if a.is_null() => false,
        (Comparison::Gt, Some(order)) => order == Ordering::Greater,
        (Comparison::Ge, Some(order)) => order != Ordering::Less,
        (Comparison::Lt, Some(order)) => order == Ordering::Less,
        (Comparison::Le, Some(order)) => order != Ordering::Greater,
    })
}

/// How two values of one kind stand to each other; strings without regard to case, as SQL Server compares them.
pub(super) fn ordered(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(a.to_lowercase().cmp(&b.to_lowercase())),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// A date or time in a form that can be compared as text: no zone, no fraction, midnight where no time is stated.
fn moment(value: &Value) -> Result<String, String> {
    let text = value.as_str().filter(|text| is_date(text)).ok_or_else(|| {
        format!(
            "A binary operator with incompatible types was detected: a date and {}.",
            kind(value)
        )
    })?;
    Ok(match text.get(10..19) {
        Some(time) => format!("{}T{}", &text[..10], &time[1..]),
        None => format!("{}T00:00:00", &text[..10]),
    })
}

fn is_date(text: &str) -> bool {
    let shape = |text: &str, pattern: &str| {
        text.bytes().zip(pattern.bytes()).all(|(c, p)| match p {
            b'0' => c.is_ascii_digit(),
            b'T' => matches!(c, b'T' | b't' | b' '),
            _ => c == p,
        })
    };
    text.is_ascii()
        && match text.len() {
            10 => shape(text, "0000-00-00"),
            19.. => shape(text, "0000-00-00T00:00:00"),
            _ => false,
        }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Text(String),
    Word(String),
}

impl Token {
    fn shown(&self) -> &str {
        match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Text(text) | Self::Word(text) => text,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, used) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '\'' => string(rest)?,
            _ => {
                let end = |c: char| c.is_whitespace() || "(),'".contains(c);
                let length = rest.find(end).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
        };
        tokens.push(token);
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

/// A quoted string, a quote in it doubled, and its length with quotes.
fn string(text: &str) -> Result<(Token, usize), String> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            value.push(c);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            value.push('\'');
        } else {
            return Ok((Token::Text(value), at + 1));
        }
    }
    Err(format!("There is an unterminated string literal: {text}"))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    substringof: bool,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// Takes a keyword; OData's are in lower case.
    fn took(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) -> Result<(), String> {
        match self.next() {
            Some(found) if found == *token => Ok(()),
            Some(found) => Err(format!(
                "Syntax error: '{}' was expected and '{}' found.",
                token.shown(),
                found.shown()
            )),
            None => Err(format!(
                "Syntax error: '{}' was expected at the end.",
                token.shown()
            )),
        }
    }

    fn or(&mut self) -> Result<Filter, String> {
        let mut all = vec![self.and()?];
        while self.took("or") {
            all.push(self.and()?);
        }
        Ok(one_or(all, Filter::Or))
    }

    fn and(&mut self) -> Result<Filter, String> {
        let mut all = vec![self.not()?];
        while self.took("and") {
            all.push(self.not()?);
        }
        Ok(one_or(all, Filter::And))
    }

    fn not(&mut self) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("The filter is nested too deeply.".into());
        }
        let filter = if self.took("not") {
            Filter::Not(Box::new(self.not()?))
        } else if self.tokens.get(self.at) == Some(&Token::Open) {
            self.at += 1;
            let inner = self.or()?;
            self.expect(&Token::Close)?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self) -> Result<Filter, String> {
        let left = self.operand()?;
        let comparison = match self.tokens.get(self.at) {
            Some(Token::Word(word)) if !matches!(word.as_str(), "and" | "or") => {
                known_comparison(word)?
            }
            _ => {
                return match left {
                    Operand::Filter(test) => Ok(*test),
                    _ => Err("Syntax error: a comparison such as 'eq' was expected.".into()),
                };
            }
        };
        self.at += 1;
        Ok(Filter::Compare(left, comparison, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Operand::Literal(Value::String(text))),
            Some(Token::Word(word)) if self.tokens.get(self.at) == Some(&Token::Open) => {
                self.function(&word)
            }
            Some(Token::Word(word)) => literal_or_column(&word),
            Some(other) => Err(format!(
                "Syntax error: '{}' was not expected.",
                other.shown()
            )),
            None => Err("Syntax error: the filter ends too early.".into()),
        }
    }

    fn function(&mut self, name: &str) -> Result<Operand, String> {
        let test = match name {
            "contains" => Test::Contains,
            "startswith" => Test::StartsWith,
            "endswith" => Test::EndsWith,
            "substringof" if self.substringof => Test::Contains,
            _ => return Err(format!("An unknown function with name '{name}' was found.")),
        };
        self.expect(&Token::Open)?;
        let first = self.operand()?;
        self.expect(&Token::Comma)?;
        let second = self.operand()?;
        self.expect(&Token::Close)?;
        let (whole, part) = match name {
            "substringof" => (second, first),
            _ => (first, second),
        };
        Ok(Operand::Filter(Box::new(Filter::Test(test, whole, part))))
    }
}

fn one_or(mut all: Vec<Filter>, joined: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match all.len() {
        1 => all.remove(0),
        _ => joined(all),
    }
}

fn known_comparison(word: &str) -> Result<Comparison, String> {
    Ok(match word {
        "eq" => Comparison::Eq,
        "ne" => Comparison::Ne,
        "gt" => Comparison::Gt,
        "ge" => Comparison::Ge,
        "lt" => Comparison::Lt,
        "le" => Comparison::Le,
        _ => return Err(format!("Syntax error: '{word}' is not an operator.")),
    })
}

fn literal_or_column(word: &str) -> Result<Operand, String> {
    let literal = |value: Value| Ok(Operand::Literal(value));
    match word {
        "null" => return literal(Value::Null),
        "true" | "false" => return literal(Value::Bool(word == "true")),
        _ => {}
    }
    if is_date(word) {
        return Ok(Operand::Date(word.to_owned()));
    }
    if let Ok(whole) = word.parse::<i64>() {
        return literal(Value::Number(whole.into()));
    }
    let begins_as_number = word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let number = word.parse().ok().and_then(Number::from_f64);
    if let (true, Some(number)) = (begins_as_number, number) {
        return literal(Value::Number(number));
    }
    if is_guid(word) {
        return literal(Value::String(word.to_owned()));
    }
    let name = |c: char| c.is_alphanumeric() || c == '_';
    if !begins_as_number && word.chars().all(name) {
        return Ok(Operand::Column(word.to_owned()));
    }
    Err(format!("Syntax error: '{word}' is not understood."))
}

fn is_guid(word: &str) -> bool {
    word.len() == 36
        && word.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row() -> Row {
        let row = json!({
            "id": 7, "price": 0.5, "name": "O'Brien Supply", "note": null, "active": true,
            "due": "2026-01-31T00:00:00", "uid": "5bc2e4ce-0c0a-4394-a066-29b5835424da",
        });
        row.as_object().unwrap().clone()
    }

    fn passes(text: &str) -> Result<bool, String> {
        Filter::parse(text, false)?.matches(&row())
    }

    #[test]
    fn what_is_understood_selects_rows() {
        for (text, expected) in [
            ("id eq 7", true),
            ("id ne 7", false),
            ("7 le id", true),
            ("id gt 6.5 and id lt 7.5", true),
            ("price ge 0.5 and not (price gt 0.5)", true),
            ("id eq 8 or id eq 9 or name eq 'o''brien supply'", true),
            // `and` binds closer than `or`.
            ("id eq 7 or id eq 8 and id eq 9", true),
            ("(id eq 7 or id eq 8) and id eq 9", false),
            ("not id eq 8", true),
            ("not not id eq 7", true),
            ("contains(name,'brien')", true),
            ("startswith(name, 'O''B') and endswith(name,'SUPPLY')", true),
            ("not endswith(name,'Inc')", true),
            ("contains(name,'x') eq false", true),
            ("contains(note,'x')", false),
            ("note eq null", true),
            ("note ne null", false),
            ("null eq null", true),
            ("note gt 1 or note le 1", false),
            ("note ne 'x'", true),
            ("active eq true", true),
            ("due ge 2026-01-31", true),
            ("due lt 2026-01-31T00:00:00.000Z", false),
            ("due gt 2025-12-28T23:59:59Z", true),
            ("uid eq 5BC2E4CE-0C0A-4394-A066-29B5835424DA", true),
            ("name eq 'a, b (c) and d'", false),
            ("id eq -1", false),
        ] {
            assert_eq!(passes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, named) in [
            ("", "ends too early"),
            ("id", "'eq' was expected"),
            ("id eq", "ends too early"),
            ("id = 7", "'='"),
            ("id EQ 7", "'EQ'"),
            ("id eq 7 id", "'id'"),
            ("id eq 7)", "')'"),
            ("(id eq 7", "')'"),
            ("name eq 'open", "unterminated"),
            ("due ge now()", "'now'"),
            ("tolower(name) eq 'x'", "'tolower'"),
            ("substringof('x',name)", "'substringof'"),
            ("contains(name)", "','"),
            ("price add 1 eq 2", "'add'"),
            ("id in (1,2)", "'in'"),
            ("id eq 1x", "'1x'"),
            ("a/b eq 1", "'a/b'"),
            ("id eq '7'", "a number and a string"),
            ("name gt 1", "a string and a number"),
            ("id ge 2026-01-01", "a date and a number"),
            ("contains(id,'7')", "not a string"),
        ] {
            let error = passes(text).expect_err(text);
            assert!(error.contains(named), "{text}: {error}");
        }
        let deep = format!("{}id eq 7{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(passes(&deep).unwrap_err().contains("too deeply"));
        let long = format!("{}id eq 7", "id eq 8 or ".repeat(50_000));
        assert_eq!(passes(&long), Ok(true));
    }

    #[test]
    fn the_entity_api_has_its_own_spelling_of_contains() {
        let filter = Filter::parse("substringof('BRIEN', name)", true).unwrap();
        assert!(filter.matches(&row()).unwrap());
    }

    #[test]
    fn columns_are_found_wherever_they_stand() {
        let filter =
            Filter::parse("not (a eq 1 or b eq c) and contains(d,'x') eq true", false).unwrap();
        let mut found = Vec::new();
        filter.columns(&mut found);
        assert_eq!(found, ["a", "b", "c", "d"]);
    }
}
