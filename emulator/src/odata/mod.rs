//! OData queries on rows in memory, as pure functions. What a query does not say in words known here is an error that names it.

mod filter;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Value, json};

pub(super) use filter::{Filter, Row};

/// Rows under a name, and their columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub name: String,
    pub rows: Vec<Row>,
    columns: BTreeSet<String>,
}

impl Table {
    pub fn new(name: &str, rows: Vec<Row>) -> Self {
        let columns = rows.iter().flat_map(Row::keys).cloned().collect();
        Self {
            name: name.to_owned(),
            rows,
            columns,
        }
    }

    /// The row whose column means this text.
    pub fn find(&self, column: &str, text: &str) -> Option<&Row> {
        self.rows.iter().find(|row| holds(row, column, text))
    }

    /// Changes the row with this key in the columns given.
    pub fn update(&mut self, column: &str, text: &str, fields: Row) {
        self.columns.extend(fields.keys().cloned());
        if let Some(row) = self.rows.iter_mut().find(|row| holds(row, column, text)) {
            row.extend(fields);
        }
    }

    /// Adds a row with the next number as its key, and returns that key. Columns that are not given are null, flags `N`.
    pub fn insert(&mut self, column: &str, mut fields: Row) -> Value {
        let numbers = self.rows.iter().filter_map(|row| match row.get(column)? {
            Value::String(text) => text.parse::<i64>().ok(),
            other => other.as_i64(),
        });
        let next = numbers.max().unwrap_or(0) + 1;
        let text = self
            .rows
            .iter()
            .any(|row| row.get(column).is_some_and(Value::is_string));
        let key = if text {
            json!(next.to_string())
        } else {
            json!(next)
        };
        fields.entry(column.to_owned()).or_insert(key);
        let key = fields[column].clone();
        self.columns.extend(fields.keys().cloned());
        for name in &self.columns {
            let flag = |row: &Row| matches!(row.get(name).and_then(Value::as_str), Some("Y" | "N"));
            let flags = !self.rows.is_empty() && self.rows.iter().all(flag);
            let unset = if flags { json!("N") } else { Value::Null };
            fields.entry(name.clone()).or_insert(unset);
        }
        self.rows.push(fields);
        key
    }

    /// Removes the row with this key; false where there is none.
    pub fn remove(&mut self, column: &str, text: &str) -> bool {
        let before = self.rows.len();
        self.rows.retain(|row| !holds(row, column, text));
        self.rows.len() < before
    }

    /// Columns that it has even if no row does.
    pub fn know<'a>(&mut self, columns: impl Iterator<Item = &'a str>) {
        self.columns.extend(columns.map(str::to_owned));
    }

    fn known<'a>(&self, column: &'a str) -> Result<&'a str, String> {
        if self.columns.contains(column) {
            Ok(column)
        } else {
            Err(format!(
                "Could not find a property named '{column}' on type '{}'.",
                self.name
            ))
        }
    }
}

fn holds(row: &Row, column: &str, text: &str) -> bool {
    row.get(column).is_some_and(|value| same(value, text))
}

/// Whether a key as text means a column's value: numbers by their digits, text without regard to case.
pub(super) fn same(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own.eq_ignore_ascii_case(text),
        Value::Number(own) => own.to_string() == text.strip_suffix(".0").unwrap_or(text),
        _ => false,
    }
}

/// Whose options they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Odata,
    /// `$query` in the place of `$filter`, and less of the rest.
    Entity,
}

/// The query options of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Query {
    filter: Option<Filter>,
    order: Vec<(String, bool)>,
    select: Vec<String>,
    top: Option<usize>,
    skip: usize,
    count: bool,
}

impl Query {
    /// Reads the options by name and value, percent-decoded.
    ///
    /// # Errors
    /// A sentence that names the option that is unknown, given twice or has a bad value.
    pub fn parse(options: &[(String, String)], dialect: Dialect) -> Result<Self, String> {
        let odata = dialect == Dialect::Odata;
        let mut query = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in options {
            let bad = || format!("Invalid value '{value}' for the query option '{name}'.");
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(format!(
                    "The query option '{name}' was given more than once."
                ));
            }
            match name.to_ascii_lowercase().as_str() {
                "$filter" if odata => query.filter = Some(Filter::parse(value, false)?),
                "$query" if !odata => query.filter = Some(Filter::parse(value, true)?),
                "$top" => query.top = Some(value.parse().map_err(|_| bad())?),
                "$skip" => query.skip = value.parse().map_err(|_| bad())?,
                "$count" if odata => query.count = value.parse().map_err(|_| bad())?,
                "$orderby" => query.order = order(value).ok_or_else(bad)?,
                "$select" if odata => query.select = names(value).ok_or_else(bad)?,
                "" => {
                    return Err("A query option has no name. Between double quotes a shell replaces $top by nothing: use single quotes.".into());
                }
                _ => return Err(format!("The query option '{name}' is not supported.")),
            }
        }
        Ok(query)
    }

    /// The rows that it selects, before paging, and how many there were without `$top` and `$skip`.
    ///
    /// # Errors
    /// A sentence that names the unknown column or the comparison that cannot be made.
    pub fn run<'a>(&self, table: &'a Table) -> Result<(Vec<&'a Row>, usize), String> {
        let mut named = Vec::new();
        if let Some(filter) = &self.filter {
            filter.columns(&mut named);
        }
        named.extend(self.order.iter().map(|(column, _)| column.as_str()));
        named.extend(self.select.iter().map(String::as_str));
        for column in named {
            table.known(column)?;
        }
        let mut rows = Vec::with_capacity(table.rows.len());
        for row in &table.rows {
            let passes = self.filter.as_ref().map_or(Ok(true), |f| f.matches(row))?;
            if passes {
                rows.push(row);
            }
        }
        if !self.order.is_empty() {
            rows.sort_by(|a, b| self.compare(a, b));
        }
        let total = rows.len();
        let wanted = self.top.unwrap_or(usize::MAX);
        Ok((
            rows.into_iter().skip(self.skip).take(wanted).collect(),
            total,
        ))
    }

    /// Null comes first, as in OData.
    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let value = |row: &Row, column: &str| row.get(column).cloned().unwrap_or(Value::Null);
        self.order
            .iter()
            .fold(Ordering::Equal, |order, (column, down)| {
                order.then_with(|| {
                    let (a, b) = (value(a, column), value(b, column));
                    let order = b.is_null().cmp(&a.is_null());
                    let order =
                        order.then_with(|| filter::ordered(&a, &b).unwrap_or(Ordering::Equal));
                    if *down { order.reverse() } else { order }
                })
            })
    }

    fn shown(&self, row: &Row) -> Value {
        if self.select.is_empty() {
            return Value::Object(row.clone());
        }
        let field = |name: &String| {
            let value = row.get(name).cloned().unwrap_or(Value::Null);
            (name.clone(), value)
        };
        Value::Object(self.select.iter().map(field).collect())
    }

    /// The rows as a JSON list of at most `page`, and `$skip` and `$top` of what is left for the next one.
    pub fn page(
        &self,
        rows: &[&Row],
        page: Option<usize>,
    ) -> (Value, Option<(usize, Option<usize>)>) {
        let size = page.unwrap_or(usize::MAX).min(rows.len());
        let shown: Vec<Value> = rows[..size].iter().map(|row| self.shown(row)).collect();
        let next = (size < rows.len()).then(|| {
            let left = self.top.map(|_| rows.len() - size);
            (self.skip + size, left)
        });
        (json!(shown), next)
    }

    pub fn counts(&self) -> bool {
        self.count
    }
}

/// `a asc,b desc`: columns, and whether they fall.
fn order(text: &str) -> Option<Vec<(String, bool)>> {
    let item = |item: &str| {
        let mut words = item.split_whitespace();
        let column = words.next()?.to_owned();
        let down = match words.next() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return None,
        };
        words.next().is_none().then_some((column, down))
    };
    text.split(',').map(item).collect()
}

/// `a,b`; empty for `*`.
fn names(text: &str) -> Option<Vec<String>> {
    if text.trim() == "*" {
        return Some(Vec::new());
    }
    let name = |name: &str| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    text.split(',').map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let rows = [
            (3, json!("b"), json!(1.5)),
            (1, json!("a"), Value::Null),
            (2, json!("B"), json!(2)),
            (4, json!("c"), json!(1)),
        ];
        let rows = rows.into_iter().map(|(id, name, price)| {
            let row = json!({"id": id, "name": name, "price": price});
            row.as_object().unwrap().clone()
        });
        Table::new("thing", rows.collect())
    }

    fn query(text: &str) -> Result<Query, String> {
        let options: Vec<_> = url::form_urlencoded::parse(text.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let entity = text.contains("$query");
        Query::parse(
            &options,
            if entity {
                Dialect::Entity
            } else {
                Dialect::Odata
            },
        )
    }

    /// The ids of the rows, comma-separated, and the total.
    fn run(text: &str) -> Result<(String, usize), String> {
        let table = table();
        let (rows, total) = query(text)?.run(&table)?;
        let ids: Vec<String> = rows.iter().map(|row| row["id"].to_string()).collect();
        Ok((ids.join(","), total))
    }

    #[test]
    fn options_select_order_and_cut() {
        for (text, ids, total) in [
            ("", "3,1,2,4", 4),
            ("$orderby=id", "1,2,3,4", 4),
            ("$orderby=id desc", "4,3,2,1", 4),
            ("$orderby=name,id desc", "1,3,2,4", 4),
            ("$orderby=price", "1,4,3,2", 4),
            ("$orderby=price desc", "2,3,4,1", 4),
            ("$top=2", "3,1", 4),
            ("$top=0", "", 4),
            ("$skip=3&$top=9", "4", 4),
            ("$skip=9", "", 4),
            ("$filter=id gt 1&$orderby=id&$top=1&$skip=1", "3", 3),
            ("$filter=name eq 'b'", "3,2", 2),
            ("$query=substringof('B',name)", "3,2", 2),
        ] {
            assert_eq!(run(text), Ok((ids.to_owned(), total)), "{text}");
        }
    }

    #[test]
    fn nothing_is_ignored() {
        for (text, named) in [
            ("$top=x", "'$top'"),
            ("$top=-1", "'$top'"),
            ("$skip=", "'$skip'"),
            ("$count=yes", "'$count'"),
            ("$orderby=id sideways", "'$orderby'"),
            ("$orderby=", "'$orderby'"),
            ("$orderby=id,,name", "'$orderby'"),
            ("$select=", "'$select'"),
            ("$expand=x", "'$expand'"),
            ("$query=id eq 1&$count=true", "'$count'"),
            ("top=5", "'top'"),
            ("=5", "single quotes"),
            ("$top=1&$TOP=2", "more than once"),
            ("$filter=nope eq 1", "'nope'"),
            ("$orderby=nope", "'nope'"),
            ("$select=id,nope", "'nope'"),
            ("$filter=id eq 'x'", "incompatible"),
        ] {
            let error = run(text).expect_err(text);
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_page_shows_what_is_selected_and_tells_the_rest() {
        let table = table();
        let page = |text: &str, size| {
            let query = query(text).unwrap();
            let (rows, _) = query.run(&table).unwrap();
            query.page(&rows, size)
        };
        let (rows, next) = page("$select=name,price&$top=1", None);
        assert_eq!((rows, next), (json!([{"name": "b", "price": 1.5}]), None));
        assert_eq!(page("$skip=1", Some(2)).1, Some((3, None)));
        assert_eq!(page("$top=3", Some(2)).1, Some((2, Some(1))));
        assert_eq!(page("$top=2", Some(2)).1, None);
        assert!(query("$count=true").unwrap().counts());
    }
}
