//! A window: the rows of its elements, and the dialog that blocks it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::done;
use crate::apis::windows::{Element, Service};
use crate::data::Data;
use crate::odata::Row;

#[derive(Debug)]
pub(super) struct Window {
    pub(super) service: &'static Service,
    pub(super) tab: &'static str,
    /// Values by element, one row each, or more in a list.
    pub(super) rows: BTreeMap<&'static str, Vec<Row>>,
    /// The row that is selected, by element.
    pub(super) selected: BTreeMap<&'static str, usize>,
    pub(super) dialog: Option<Dialog>,
}

/// A question that blocks its window until a button is pressed.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) id: String,
    pub(super) text: String,
}

impl Window {
    pub(super) fn new(service: &'static Service) -> Self {
        Self {
            service,
            tab: service.elements[0].tab(),
            rows: BTreeMap::new(),
            selected: BTreeMap::new(),
            dialog: None,
        }
    }

    pub(super) fn shown(&self, id: &str) -> Value {
        let tabs: Vec<_> = self.service.elements.iter().map(Element::tab).collect();
        json!({
            "WindowId": id,
            "Title": self.service.title,
            "Status": 1,
            "DataElements": self.data(),
            "Definition": {"Title": self.service.title, "Name": self.service.name, "Id": id, "TabPageList": tabs},
        })
    }

    pub(super) fn data(&self) -> Value {
        let elements = self.service.elements.iter().map(|element| {
            let rows = self
                .rows
                .get(element.name)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let rows: Vec<Value> = rows.iter().map(|row| element.edits(row)).collect();
            element.shown(&rows)
        });
        elements.collect()
    }

    /// The element that a change is for: by datawindow (v1), or by tab and perhaps datawindow (v2).
    pub(super) fn element<'c>(
        &self,
        change: &'c Value,
        second: bool,
    ) -> Result<&'static Element, (u16, String)> {
        let named = |field: &str| change[field].as_str();
        let (tab, window) = if second {
            (named("TabName"), named("DatawindowName"))
        } else {
            // A datawindow's own name has a prefix that its element's has not.
            let bare = |name: &'c str| name.strip_prefix("d_").unwrap_or(name);
            (None, named("DataWindowName").map(bare))
        };
        if second && tab.is_none() {
            return Err((422, "TabName was not provided".into()));
        }
        if !second && window.is_none() {
            return Err((422, "DataWindowName was not provided".into()));
        }
        let fits = |element: &&Element| {
            tab.is_none_or(|tab| element.tab().eq_ignore_ascii_case(tab))
                && window.is_none_or(|window| element.datawindow().eq_ignore_ascii_case(window))
        };
        let element = self.service.elements.iter().find(fits);
        let element = element.ok_or_else(|| {
            let name = window.or(tab).unwrap_or_default();
            (400, format!("Datawindow '{name}' was not found"))
        })?;
        if element.tab() != self.tab && !second {
            return Err((
                400,
                format!(
                    "Datawindow '{}' is not on the active tab",
                    element.datawindow()
                ),
            ));
        }
        Ok(element)
    }

    /// Fills the window with the record of this key, if there is one.
    pub(super) fn load(&mut self, key: &str, data: &Data) -> bool {
        let table = data.table(self.service.table);
        let Some(record) = table.and_then(|table| table.find(self.service.key, key)) else {
            return false;
        };
        self.rows = self
            .service
            .elements
            .iter()
            .map(|e| (e.name, e.rows(record, data)))
            .collect();
        self.selected.clear();
        true
    }

    /// The selected row of an element; made if there is none.
    pub(super) fn row(&mut self, element: &'static Element) -> &mut Row {
        let rows = self.rows.entry(element.name).or_default();
        if rows.is_empty() {
            rows.push(Row::new());
        }
        let selected = self.selected.get(element.name).copied().unwrap_or(0);
        let last = rows.len() - 1;
        &mut rows[selected.min(last)]
    }

    pub(super) fn save(&mut self, data: &mut Data) -> Value {
        let elements = self.service.elements.iter();
        let values: Vec<_> = elements
            .filter_map(|e| Some((e, self.rows.get(e.name)?.clone())))
            .collect();
        match self.service.write(&values, data) {
            Ok(key) => {
                self.load(&key, data);
                done()
            }
            Err(message) => json!({"Status": 2, "Events": [], "Messages": [message]}),
        }
    }
}
