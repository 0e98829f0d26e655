//! P21's windows: their tabs and fields, and what dropdowns show.

use serde_json::{Value, json};

/// A window.
#[derive(Debug)]
pub(super) struct Service {
    pub name: &'static str,
    pub title: &'static str,
    pub table: &'static str,
    /// The column, and field, that identifies a record.
    pub key: &'static str,
    pub elements: &'static [Element],
}

/// A tab of a window with the fields on it.
#[derive(Debug)]
pub(super) struct Element {
    /// Tab and datawindow, such as `FORM.form`.
    pub name: &'static str,
    /// Where its rows are, if it is a list.
    pub list: Option<&'static List>,
    /// Fields by blanks: `name`, then `=column` if that differs, `:Type` if it is no text, `!` if it is required.
    pub fields: &'static str,
}

/// A table of rows that belong to a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    pub table: &'static str,
    /// The column that it shares with the record.
    pub link: &'static str,
    /// The column that tells the rows of a record apart.
    pub number: &'static str,
}

const LINES: List = List {
    table: "oe_line",
    link: "order_no",
    number: "line_no",
};

const LOCATIONS: List = List {
    table: "inv_loc",
    link: "inv_mast_uid",
    number: "location_id",
};

/// A field of an element.
pub(super) struct Field {
    pub name: &'static str,
    pub column: &'static str,
    pub data_type: &'static str,
    pub required: bool,
}

macro_rules! services {
    (@list form) => { None };
    (@list $list:ident) => { Some(&$list) };
    ($($name:literal, $title:literal: $table:literal by $key:literal;
        $($list:ident $element:literal $fields:literal;)+)+) => {
        pub(super) const SERVICES: &[Service] = &[$(Service {
            name: $name,
            title: $title,
            table: $table,
            key: $key,
            elements: &[$(Element {
                name: $element,
                list: services!(@list $list),
                fields: $fields,
            }),+],
        }),+];
    };
}

services! {
    "Customer", "Customer Maintenance": "customer" by "customer_id";
        form "TABPAGE_1.customer" "customer_id:Decimal customer_name! company_id! credit_limit:Decimal credit_status terms_id salesrep_id";
    "InventoryMaster", "Inventory Maintenance": "inv_mast" by "item_id";
        form "TABPAGE_1.inv_mast" "item_id! item_desc! price1:Decimal default_selling_unit";
    "Invoice", "Invoice Entry": "invoice_hdr" by "invoice_no";
        form "TABPAGE_1.invoice" "invoice_no order_no:Decimal! customer_id:Decimal! invoice_date:Datetime total_amount:Decimal";
    "Item", "Item Maintenance": "inv_mast" by "item_id";
        form "TABPAGE_1.tp_1_dw_1" "item_id! item_desc! price1:Decimal default_selling_unit";
        LOCATIONS "TABPAGE_17.invloclist" "location_id:Decimal qty_on_hand:Decimal";
        LOCATIONS "TABPAGE_18.inv_loc_detail" "location_id:Decimal product_group_id primary_supplier_id:Decimal";
    "Order", "Order Entry": "oe_hdr" by "order_no";
        form "TABPAGE_1.order" "order_no:Decimal company_id customer_id:Decimal! po_no requested_date:Datetime location_id:Decimal";
        LINES "TP_ITEMS.items" "oe_order_item_id=item_id! unit_quantity=qty_ordered:Decimal! unit_price:Decimal";
    "PurchaseOrder", "Purchase Order Entry": "po_hdr" by "po_no";
        form "TABPAGE_1.tp_1_dw_1" "po_no:Decimal supplier_id:Decimal! company_id location_id:Decimal order_date:Datetime";
    "SalesPricePage", "Sales Price Page Entry": "price_page" by "price_page_uid";
        form "FORM.form" "price_page_uid:Decimal price_page_type_cd! company_id! product_group_id discount_group_id \
            supplier_id:Decimal description! pricing_method_cd source_price_cd effective_date:Datetime! \
            expiration_date:Datetime totaling_method_cd totaling_basis_cd row_status_flag";
        form "VALUES.values" "calculation_method_cd calculation_value1:Decimal";
    "Supplier", "Supplier Maintenance": "supplier" by "supplier_id";
        form "TABPAGE_1.supplier" "supplier_id:Decimal supplier_name! company_id lead_time_days:Decimal";
}

/// What dropdowns show, and the code that the table holds.
const DISPLAYED: &[(&str, &[(&str, i64)])] = &[
    (
        "price_page_type_cd",
        &[
            ("Customer", 210),
            ("Customer / Item", 211),
            ("Supplier / Product Group", 214),
            ("Supplier / Discount Group", 215),
        ],
    ),
    (
        "calculation_method_cd",
        &[
            ("Multiplier", 211),
            ("Difference", 228),
            ("Mark Up", 229),
            ("Percentage", 230),
            ("Fixed Price", 1292),
        ],
    ),
    (
        "row_status_flag",
        &[("Active", 704), ("Inactive", 705), ("Expired", 705)],
    ),
];

/// `Price Page Type` of `price_page_type_cd`.
pub(super) fn label(name: &str) -> String {
    let words = name
        .split('_')
        .filter(|word| !matches!(*word, "cd" | "uid"));
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + chars.as_str())
    };
    words.filter_map(capital).collect::<Vec<_>>().join(" ")
}

pub(super) fn displayed(field: &str) -> Option<&'static [(&'static str, i64)]> {
    DISPLAYED
        .iter()
        .find(|(name, _)| *name == field)
        .map(|(_, values)| *values)
}

/// What a dropdown shows for a code.
pub(super) fn display(field: &str, value: Value) -> Value {
    let shown = displayed(field).and_then(|values| {
        values
            .iter()
            .find(|(_, code)| value.as_i64() == Some(*code))
    });
    shown.map_or(value, |(shown, _)| json!(shown))
}

/// The code behind what a dropdown shows; a code itself stays.
pub(super) fn code(field: &str, value: &Value) -> Result<Value, String> {
    let (Some(values), Some(text)) = (displayed(field), value.as_str()) else {
        return Ok(value.clone());
    };
    let known = values
        .iter()
        .find(|(shown, code)| shown.eq_ignore_ascii_case(text) || code.to_string() == text);
    match known {
        Some((_, code)) => Ok(json!(code)),
        None => Err(format!("Invalid value for {field}: '{text}'")),
    }
}
