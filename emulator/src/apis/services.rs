//! P21's windows as services: what the Transaction API calls by name and the Interactive API opens. Each is a view of a
//! table; fields are known by name, and no business rule is checked.

use serde_json::{Map, Value, json};

use super::windows::{Element, Field, List, SERVICES, Service, code, display, displayed, label};
use crate::data::{Data, typed};
use crate::odata::{Row, Table};

impl Service {
    /// The service of this name, or whose window has this title.
    pub fn find(name: &str) -> Option<&'static Self> {
        let named =
            |s: &&Self| s.name.eq_ignore_ascii_case(name) || s.title.eq_ignore_ascii_case(name);
        SERVICES.iter().find(named)
    }

    pub fn element(&self, name: &str) -> Option<&'static Element> {
        self.elements
            .iter()
            .find(|e| e.name.eq_ignore_ascii_case(name))
    }

    /// A transaction set without values, as `definition` shows it.
    pub fn template(&self) -> Value {
        let elements: Vec<Value> = self
            .elements
            .iter()
            .map(|element| {
                let edits = element
                    .fields()
                    .map(|field| json!({"Name": field.name, "Value": ""}));
                let edits: Vec<Value> = edits.collect();
                element.shown(&[json!({"Edits": edits, "RelativeDateEdits": []})])
            })
            .collect();
        json!({
            "Name": self.name,
            "UseCodeValues": false,
            "Transactions": [{"Status": "New", "DataElements": elements}],
        })
    }

    /// The fields with their kinds and valid values.
    pub fn definition(&self) -> Value {
        let elements = self.elements.iter().map(|element| {
            let fields = element.fields().map(|field| {
                let valid = displayed(field.name)
                    .map(|values| values.iter().map(|(shown, _)| *shown).collect::<Vec<_>>());
                json!({
                    "Name": field.name,
                    "Label": label(field.name),
                    "DataType": field.data_type,
                    "Required": field.required,
                    "ValidValues": valid,
                })
            });
            let key: Vec<_> = element
                .fields()
                .filter(|f| f.name == self.key)
                .map(|f| f.name)
                .collect();
            json!({
                "Name": element.name,
                "Type": element.kind(),
                "KeyFields": key,
                "FieldDefinitions": fields.collect::<Vec<_>>(),
            })
        });
        let elements: Vec<Value> = elements.collect();
        json!({"Name": self.name, "DataElementDefinitions": elements})
    }

    /// The record with this key as data elements with their rows.
    pub fn read(&self, key: &str, data: &Data) -> Option<Vec<Value>> {
        let record = data.table(self.table)?.find(self.key, key)?;
        let elements = self.elements.iter().map(|element| {
            let rows = element.rows(record, data);
            let rows: Vec<Value> = rows.iter().map(|row| element.edits(row)).collect();
            element.shown(&rows)
        });
        Some(elements.collect())
    }

    /// Adds the record, or changes it where the key is among the values, and returns the key.
    ///
    /// # Errors
    /// A sentence about the field that is missing or does not fit.
    pub fn write(
        &self,
        values: &[(&'static Element, Vec<Row>)],
        data: &mut Data,
    ) -> Result<String, String> {
        let mut fields = Row::new();
        for (element, rows) in values.iter().filter(|(element, _)| element.list.is_none()) {
            for row in rows {
                fields.extend(element.columns(row, data.table(self.table))?);
            }
        }
        let key = fields.get(self.key).filter(|key| !key.is_null()).map(plain);
        let table = data
            .table(self.table)
            .ok_or_else(|| format!("{} has no rows here", self.name))?;
        let known = key
            .clone()
            .filter(|key| table.find(self.key, key).is_some());
        if known.is_none() {
            let given = |field: &Field| {
                fields
                    .get(field.column)
                    .is_some_and(|v| !v.is_null() && *v != json!(""))
            };
            let forms = self.elements.iter().filter(|e| e.list.is_none());
            if let Some(missing) = forms
                .flat_map(Element::fields)
                .find(|f| f.required && !given(f))
            {
                return Err(format!("{} is required", missing.name));
            }
            fields.retain(|_, value| !value.is_null());
        }
        let mut lines = Vec::new();
        for (element, rows) in values {
            let Some(list) = element.list else { continue };
            for row in rows {
                lines.push((list, element.columns(row, data.table(list.table))?));
            }
        }
        let unknown = || format!("{} has no rows here", self.name);
        let table = data.table_mut(self.table).ok_or_else(unknown)?;
        let key = match known {
            Some(key) => {
                table.update(self.key, &key, fields);
                key
            }
            None => plain(&table.insert(self.key, fields)),
        };
        for (list, line) in lines {
            let record = data
                .table(self.table)
                .and_then(|table| table.find(self.key, &key));
            let owner = record
                .and_then(|record| record.get(list.link))
                .cloned()
                .unwrap_or_default();
            if let Some(table) = data.table_mut(list.table) {
                list.write(owner, line, table);
            }
        }
        Ok(key)
    }
}

impl List {
    /// Changes the row of this number, or adds one with the next number.
    fn write(&self, owner: Value, mut line: Row, table: &mut Table) {
        let mut own = table
            .rows
            .iter_mut()
            .filter(|row| row.get(self.link) == Some(&owner));
        let number = line.get(self.number).cloned();
        if let Some(row) =
            own.find(|row| number.is_some() && row.get(self.number) == number.as_ref())
        {
            row.extend(line);
            return;
        }
        let own = table
            .rows
            .iter()
            .filter(|row| row.get(self.link) == Some(&owner));
        let last = own.filter_map(|row| row.get(self.number)?.as_i64()).max();
        line.insert(self.link.into(), owner);
        line.entry(self.number)
            .or_insert_with(|| json!(last.unwrap_or(0) + 1));
        table.rows.push(line);
    }
}

impl Element {
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.fields.split_whitespace().map(|field| {
            let (field, required) = match field.strip_suffix('!') {
                Some(field) => (field, true),
                None => (field, false),
            };
            let (field, data_type) = field.split_once(':').unwrap_or((field, "Char"));
            let (name, column) = field.split_once('=').unwrap_or((field, field));
            Field {
                name,
                column,
                data_type,
                required,
            }
        })
    }

    pub fn field(&self, name: &str) -> Option<Field> {
        self.fields()
            .find(|field| field.name.eq_ignore_ascii_case(name))
    }

    pub fn tab(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(tab, _)| tab)
    }

    pub fn datawindow(&self) -> &'static str {
        self.name
            .split_once('.')
            .map_or(self.name, |(_, window)| window)
    }

    pub fn kind(&self) -> &'static str {
        if self.list.is_some() { "List" } else { "Form" }
    }

    /// With these rows, as the Transaction API writes it.
    pub fn shown(&self, rows: &[Value]) -> Value {
        json!({"Name": self.name, "Type": self.kind(), "Keys": [], "Rows": rows})
    }

    /// The rows of a record in it, by field.
    pub fn rows(&self, record: &Row, data: &Data) -> Vec<Row> {
        let by_field = |row: &Row| -> Row {
            self.fields()
                .map(|field| {
                    let value = row.get(field.column).cloned().unwrap_or(Value::Null);
                    (field.name.to_owned(), display(field.name, value))
                })
                .collect()
        };
        let Some(list) = self.list else {
            return vec![by_field(record)];
        };
        let rows = data
            .table(list.table)
            .map(|table| &table.rows[..])
            .unwrap_or_default();
        let own = rows
            .iter()
            .filter(|row| row.get(list.link) == record.get(list.link));
        own.map(|row| {
            let mut shown = by_field(row);
            // Kept beside the fields, so that a changed row finds its way back.
            let number = row.get(list.number).cloned().unwrap_or_default();
            shown.insert(list.number.to_owned(), number);
            shown
        })
        .collect()
    }

    /// A row as edits.
    pub fn edits(&self, row: &Row) -> Value {
        let edits: Vec<Value> = self
            .fields()
            .map(|field| {
                let value = row.get(field.name).map(plain).unwrap_or_default();
                json!({"Name": field.name, "Value": value})
            })
            .collect();
        json!({"Edits": edits, "RelativeDateEdits": []})
    }

    /// Field values as the columns of a table hold them.
    fn columns(&self, row: &Row, table: Option<&Table>) -> Result<Row, String> {
        let mut columns = Map::new();
        for (name, value) in row {
            if self.list.is_some_and(|list| list.number == name) {
                columns.insert(name.clone(), value.clone());
                continue;
            }
            let field = self.field(name).ok_or_else(|| {
                format!(
                    "Field '{name}' not found in datawindow '{}'",
                    self.datawindow()
                )
            })?;
            let value = code(field.name, value)?;
            let value = match table {
                Some(table) => typed(table, field.column, &value)?,
                None => value,
            };
            columns.insert(field.column.to_owned(), value);
        }
        Ok(columns)
    }
}

/// A value as text without quotation marks; null is empty.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            let text = number.to_string();
            text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &Value) -> Row {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn every_service_reads_and_its_columns_are_those_of_the_sample() {
        let data = Data::default();
        for service in SERVICES {
            let table = data.table(service.table).expect(service.table);
            let key = plain(&table.rows[0][service.key]);
            let elements = service.read(&key, &data).expect(service.name);
            assert_eq!(elements.len(), service.elements.len());
            assert!(
                service.elements[0].field(service.key).is_some(),
                "{}",
                service.name
            );
        }
    }

    #[test]
    fn a_record_is_added_then_changed() {
        let mut data = Data::default();
        let service = Service::find("salespricepage").unwrap();
        let form = service.element("FORM.form").unwrap();
        let mut fields = row(&json!({
            "price_page_type_cd": "Supplier / Product Group", "company_id": "ACME", "supplier_id": 10.0,
            "description": "new", "effective_date": "2026-01-01",
        }));
        let key = service
            .write(&[(form, vec![fields.clone()])], &mut data)
            .unwrap();
        let pages = data.table("price_page").unwrap();
        let added = pages.find("price_page_uid", &key).unwrap();
        assert_eq!(
            (&added["price_page_type_cd"], &added["supplier_id"]),
            (&json!(214), &json!(10))
        );
        let count = pages.rows.len();

        let change = json!({"price_page_uid": key, "row_status_flag": "Expired"});
        service
            .write(&[(form, vec![row(&change)])], &mut data)
            .unwrap();
        let pages = data.table("price_page").unwrap();
        let changed = pages.find("price_page_uid", &key).unwrap();
        assert_eq!(
            (&changed["row_status_flag"], &changed["description"]),
            (&json!(705), &json!("new"))
        );
        assert_eq!(pages.rows.len(), count);

        for (name, value, says) in [
            ("description", json!(""), "description is required"),
            ("supplier_id", json!("ten"), "Invalid value for supplier_id"),
            (
                "price_page_type_cd",
                json!("Nope"),
                "Invalid value for price_page_type_cd",
            ),
            ("nope", json!(1), "'nope' not found"),
        ] {
            let old = fields.insert(name.into(), value);
            let error = service
                .write(&[(form, vec![fields.clone()])], &mut data)
                .unwrap_err();
            assert!(error.contains(says), "{error}");
            fields.remove(name);
            fields.extend(old.map(|old| (name.to_owned(), old)));
        }
    }

    #[test]
    fn an_order_brings_its_lines() {
        let mut data = Data::default();
        let service = Service::find("Order Entry").unwrap();
        let key = service
            .write(
                &[
                    (
                        service.element("TABPAGE_1.order").unwrap(),
                        vec![row(&json!({"customer_id": "100001"}))],
                    ),
                    (
                        service.element("TP_ITEMS.items").unwrap(),
                        vec![row(
                            &json!({"oe_order_item_id": "FW-38", "unit_quantity": "3"}),
                        )],
                    ),
                ],
                &mut data,
            )
            .unwrap();
        let read = service.read(&key, &data).unwrap();
        assert_eq!(
            read[1]["Rows"][0]["Edits"][1],
            json!({"Name": "unit_quantity", "Value": "3"})
        );
    }
}
