//! The rows behind the APIs: a built-in sample, or those of a JSON file.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::odata::{Row, Table};

const SAMPLE: &str = include_str!("sample.json");

/// Tables and views by name. `Data::default()` is the built-in sample of a small distributor.
///
/// Reads from JSON: `{"tables": {"customer": [{"customer_id": 100001, …}, …], …}, "views": {…}}`. A view `p21_view_x` that is
/// not there shows the table `x`. Cheap to clone.
#[derive(Clone)]
pub struct Data(Arc<Tables>);

#[derive(Clone, Default)]
struct Tables {
    tables: BTreeMap<String, Table>,
    views: BTreeMap<String, Table>,
}

impl Data {
    /// The rows of a JSON text.
    ///
    /// # Errors
    /// Where the text is not such an object of lists of objects; says at which line.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// A table, by its name without regard to case.
    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        self.0.tables.get(&name.to_ascii_lowercase())
    }

    /// A view.
    pub(super) fn view(&self, name: &str) -> Option<&Table> {
        let name = name.to_ascii_lowercase();
        let table = || self.table(name.strip_prefix("p21_view_")?);
        self.0.views.get(&name).or_else(table)
    }

    /// A table to change.
    pub(super) fn table_mut(&mut self, name: &str) -> Option<&mut Table> {
        Arc::make_mut(&mut self.0).tables.get_mut(name)
    }
}

impl Default for Data {
    fn default() -> Self {
        static DATA: OnceLock<Data> = OnceLock::new();
        DATA.get_or_init(|| Self::from_json(SAMPLE).expect("the sample is well-formed"))
            .clone()
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            tables: BTreeMap<String, Vec<Row>>,
            #[serde(default)]
            views: BTreeMap<String, Vec<Row>>,
        }
        let file = File::deserialize(deserializer)?;
        let named = |all: BTreeMap<String, Vec<Row>>| {
            all.into_iter()
                .map(|(name, rows)| (name.to_ascii_lowercase(), Table::new(&name, rows)))
                .collect()
        };
        Ok(Self(Arc::new(Tables {
            tables: named(file.tables),
            views: named(file.views),
        })))
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = |(name, table): (&String, &Table)| (name.clone(), table.rows.len());
        f.debug_map()
            .entries(self.0.tables.iter().map(rows))
            .entries(self.0.views.iter().map(rows))
            .finish()
    }
}

/// A value as a table's column holds it: text becomes a number where the rows have numbers.
///
/// # Errors
/// Where that cannot be.
pub(super) fn typed(table: &Table, column: &str, value: &Value) -> Result<Value, String> {
    let numeric = table
        .rows
        .iter()
        .find_map(|row| row.get(column).filter(|value| !value.is_null()))
        .is_some_and(Value::is_number);
    let bad = || format!("Invalid value for {column}: {value}");
    match value {
        Value::String(text) if numeric && text.trim().is_empty() => Ok(Value::Null),
        Value::String(text) if numeric => {
            let number = text.trim().parse::<f64>().map_err(|_| bad())?;
            Ok(whole(number))
        }
        Value::Number(number) if !numeric && !table.rows.is_empty() => Ok(Value::String(
            whole(number.as_f64().unwrap_or(0.0)).to_string(),
        )),
        Value::Number(number) => Ok(whole(number.as_f64().unwrap_or(0.0))),
        Value::Array(_) | Value::Object(_) => Err(bad()),
        other => Ok(other.clone()),
    }
}

/// `10` rather than `10.0`.
fn whole(number: f64) -> Value {
    // The largest whole number that is exact is about 9e15.
    if number.fract() == 0.0 && number.abs() < 9e15 {
        #[allow(clippy::cast_possible_truncation)] // see above
        let whole = number as i64;
        Value::from(whole)
    } else {
        Value::from(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::odata::same;
    use serde_json::json;

    #[test]
    fn the_sample_is_readable_and_every_row_is_whole() {
        let data = Data::from_json(SAMPLE).unwrap();
        assert_eq!(data.table("Customer").unwrap().rows.len(), 25);
        for (name, table) in &data.0.tables {
            let columns = table.rows[0].len();
            assert!(table.rows.iter().all(|row| row.len() == columns), "{name}");
        }
        assert!(data.view("p21_view_customer").is_some() && data.view("customer").is_none());
        assert!(data.table("p21_view_customer").is_none());
    }

    #[test]
    fn a_file_that_is_no_such_object_is_refused() {
        for text in [
            "[1]",
            r#"{"customer": []}"#,
            r#"{"tables": {"a": {}}}"#,
            r#"{"tables": {"a": [1]}}"#,
        ] {
            assert!(Data::from_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_take_the_kind_of_their_column() {
        let data = Data::default();
        let pages = data.table("price_page").unwrap();
        let typed = |column, value| typed(pages, column, &value);
        assert_eq!(typed("supplier_id", json!("10")), Ok(json!(10)));
        assert_eq!(typed("supplier_id", json!(10.0)), Ok(json!(10)));
        assert_eq!(typed("calculation_value1", json!("0.75")), Ok(json!(0.75)));
        assert_eq!(typed("description", json!(7)), Ok(json!("7")));
        assert!(typed("supplier_id", json!("ten")).is_err());
        assert!(same(&json!(10), "10.0") && same(&json!("FA5"), "fa5") && !same(&json!(1), "10"));
    }
}
