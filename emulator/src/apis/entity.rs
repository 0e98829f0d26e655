//! The Entity API and Inventory REST: objects made from the tables' rows.

use serde_json::{Value, json};

use super::Call;
use crate::data::{Data, typed};
use crate::message::Reply;
use crate::odata::{Dialect, Query, Row, Table};

/// Objects of one kind.
struct Entity {
    /// Below `/api/`.
    paths: &'static [&'static str],
    table: &'static str,
    /// Only rows with this value in this column, which new ones get too.
    only: Option<(&'static str, &'static str)>,
    /// The first is the key, the second is required.
    fields: Fields,
    /// Another table's row. It cannot be changed.
    joined: Option<Related>,
    /// Rows of another table, shown as an extended property of this name.
    extended: Option<(&'static str, Related)>,
}

/// Rows of another table, by its column and one of the entity's table.
struct Related {
    table: &'static str,
    column: &'static str,
    own: &'static str,
    fields: Fields,
}

/// Names and columns by blanks: `Name=column`.
#[derive(Clone, Copy, Default)]
struct Fields(&'static str);

const fn entity(
    paths: &'static [&'static str],
    table: &'static str,
    fields: &'static str,
) -> Entity {
    Entity {
        paths,
        table,
        only: None,
        fields: Fields(fields),
        joined: None,
        extended: None,
    }
}

/// Orders and quotes: `projected` tells one from the other.
const fn orders(paths: &'static [&'static str], projected: &'static str) -> Entity {
    let fields = "OrderNumber=order_no CustomerCode=customer_id CompanyId=company_id OrderDate=order_date \
                  RequestedDate=requested_date PONumber=po_no LocationId=location_id Completed=completed";
    Entity {
        only: Some(("projected_order", projected)),
        extended: Some(("Lines", LINES)),
        ..entity(paths, "oe_hdr", fields)
    }
}

const LINES: Related = Related {
    table: "oe_line",
    column: "order_no",
    own: "order_no",
    fields: Fields(
        "LineNumber=line_no ItemId=item_id Quantity=qty_ordered UnitPrice=unit_price ExtendedPrice=extended_price",
    ),
};

const ENTITIES: &[Entity] = &[
    Entity {
        joined: Some(Related {
            table: "address",
            column: "id",
            own: "customer_id",
            fields: Fields(
                "Address1=mail_address1 City=mail_city State=mail_state Zip=mail_postal_code Country=mail_country",
            ),
        }),
        ..entity(
            &["sales/customers", "entity/customers"],
            "customer",
            "CustomerCode=customer_id CustomerName=customer_name CompanyId=company_id CreditLimit=credit_limit CreditStatus=credit_status TermsId=terms_id SalesRepId=salesrep_id",
        )
    },
    orders(&["sales/orders"], "N"),
    orders(&["sales/quotes"], "Y"),
    entity(
        &["sales/invoices"],
        "invoice_hdr",
        "InvoiceNumber=invoice_no OrderNumber=order_no CustomerCode=customer_id InvoiceDate=invoice_date TotalAmount=total_amount AmountPaid=amount_paid",
    ),
    Entity {
        extended: Some((
            "Locations",
            Related {
                table: "inv_loc",
                column: "inv_mast_uid",
                own: "inv_mast_uid",
                fields: Fields(
                    "LocationId=location_id QtyOnHand=qty_on_hand QtyAllocated=qty_allocated ProductGroupId=product_group_id",
                ),
            },
        )),
        ..entity(
            &["inventory/parts", "inventory/v2/parts"],
            "inv_mast",
            "ItemId=item_id ItemDesc=item_desc InvMastUid=inv_mast_uid Price1=price1 DefaultSellingUnit=default_selling_unit",
        )
    },
    entity(
        &["inventory/warehouses", "inventory/locations"],
        "location",
        "LocationId=location_id LocationName=location_name CompanyId=company_id",
    ),
    entity(
        &["purchasing/suppliers", "entity/vendors"],
        "supplier",
        "SupplierId=supplier_id SupplierName=supplier_name CompanyId=company_id LeadTimeDays=lead_time_days",
    ),
    entity(
        &["purchasing/purchaseorders"],
        "po_hdr",
        "PONumber=po_no SupplierId=supplier_id OrderDate=order_date LocationId=location_id Complete=complete",
    ),
    entity(
        &["contacts", "entity/contacts"],
        "contacts",
        "Id=id LastName=last_name FirstName=first_name AddressId=address_id EmailAddress=email_address",
    ),
    entity(
        &["addresses", "entity/addresses"],
        "address",
        "Id=id Name=name Address1=mail_address1 City=mail_city State=mail_state Zip=mail_postal_code Country=mail_country",
    ),
];

/// The part of a path that is the Entity API's, below `/api/`.
pub(super) fn below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/api/")?;
    let first = rest.split('/').next()?;
    [
        "entity",
        "sales",
        "inventory",
        "purchasing",
        "contacts",
        "addresses",
    ]
    .contains(&first)
    .then_some(rest)
}

/// Answers `{kind}`, `{kind}/new`, `{kind}/ping` and `{kind}/{key}`.
pub(super) fn answer(call: &Call, rest: &str) -> Reply {
    if !call.in_scope(|_| false) {
        return call.out_of_scope();
    }
    let rest = rest.trim_end_matches('/');
    let found = ENTITIES.iter().find_map(|entity| {
        let below = entity
            .paths
            .iter()
            .find_map(|path| rest.strip_prefix(path))?;
        matches!(below.as_bytes().first(), None | Some(b'/'))
            .then(|| (entity, below.trim_start_matches('/')))
    });
    let Some((entity, key)) = found else {
        return Reply::json(404, &json!({"error": "Not Found"}));
    };
    let data = call.shared.lock().data.clone();
    if data.table(entity.table).is_none() {
        return Reply::json(404, &json!({"error": "Not Found"}));
    }
    match (call.request.method.as_str(), key) {
        ("GET" | "HEAD", "ping") => ping(call),
        ("GET" | "HEAD", "new") => Reply::json(200, &entity.template()),
        ("GET" | "HEAD", "") => entity
            .list(call, &data)
            .unwrap_or_else(|message| invalid(&[message])),
        ("GET" | "HEAD", key) => entity
            .one(call, key, &data)
            .unwrap_or_else(|message| invalid(&[message])),
        ("POST", "") => entity.write(call),
        ("DELETE", key) if !key.is_empty() => entity.delete(call, key),
        _ => Reply::json(
            405,
            &json!({"Message": "The requested resource does not support this method."}),
        ),
    }
}

fn ping(call: &Call) -> Reply {
    if call.request.accepts_json() {
        return Reply::json(200, &json!({ "ResponseMessage": "success" }));
    }
    Reply::xml(
        200,
        "<PingResponse><ResponseMessage>success</ResponseMessage></PingResponse>".to_owned(),
    )
}

fn invalid(errors: &[String]) -> Reply {
    Reply::json(
        400,
        &json!({"Message": "The request is invalid.", "Errors": errors}),
    )
}

fn not_found(key: &str) -> Reply {
    let message = format!("No record with the key '{key}' exists.");
    Reply::json(404, &json!({"Message": message, "Errors": []}))
}

impl Entity {
    fn all_fields(&self) -> impl Iterator<Item = &'static str> {
        let joined = self.joined.as_ref().map(|related| related.fields);
        let pairs = self
            .fields
            .pairs()
            .chain(joined.unwrap_or_default().pairs());
        pairs.map(|(name, _)| name)
    }

    fn template(&self) -> Value {
        self.all_fields()
            .map(|name| (name.to_owned(), Value::Null))
            .collect()
    }

    /// A table's row as an object.
    fn shown(&self, row: &Row, data: &Data) -> Row {
        let mut object = self.fields.of(Some(row));
        if let Some(related) = &self.joined {
            object.extend(related.fields.of(related.rows(row, data).next()));
        }
        object
    }

    fn is_one(&self, row: &Row) -> bool {
        self.only
            .is_none_or(|(column, value)| row.get(column).is_some_and(|v| v == value))
    }

    fn list(&self, call: &Call, data: &Data) -> Result<Reply, String> {
        let (mut options, properties) = options(call);
        options.retain(|(name, _)| !name.eq_ignore_ascii_case("extendedproperties"));
        let query = Query::parse(&options, Dialect::Entity)?;
        let rows = data
            .table(self.table)
            .map(|table| &table.rows[..])
            .unwrap_or_default();
        let rows = rows.iter().filter(|row| self.is_one(row));
        let objects = rows.map(|row| {
            let mut object = self.shown(row, data);
            self.extend(&mut object, row, &properties, data)?;
            Ok::<_, String>(object)
        });
        // The columns must be known where there is no row, too.
        let mut table = Table::new(self.paths[0], objects.collect::<Result<_, _>>()?);
        table.know(self.all_fields());
        let (rows, _) = query.run(&table)?;
        Ok(Reply::json(200, &json!(rows)))
    }

    fn one(&self, call: &Call, key: &str, data: &Data) -> Result<Reply, String> {
        let (options, properties) = options(call);
        if let Some((name, _)) = options
            .iter()
            .find(|(name, _)| !name.eq_ignore_ascii_case("extendedproperties"))
        {
            return Err(format!("The query option '{name}' is not supported."));
        }
        let key = bare_key(key);
        let row = data
            .table(self.table)
            .and_then(|table| table.find(self.fields.at(0).1, key));
        let Some(row) = row.filter(|row| self.is_one(row)) else {
            return Ok(not_found(key));
        };
        let mut object = self.shown(row, data);
        self.extend(&mut object, row, &properties, data)?;
        Ok(Reply::json(200, &Value::Object(object)))
    }

    /// Adds the extended properties that were asked for.
    fn extend(
        &self,
        object: &mut Row,
        row: &Row,
        wanted: &[String],
        data: &Data,
    ) -> Result<(), String> {
        for name in wanted {
            match &self.extended {
                Some((own, related)) if name == "*" || own.eq_ignore_ascii_case(name) => {
                    let rows = related.rows(row, data);
                    let rows: Vec<Row> = rows.map(|row| related.fields.of(Some(row))).collect();
                    object.insert((*own).to_owned(), json!(rows));
                }
                _ if name == "*" => {}
                _ => return Err(format!("The extended property '{name}' is not known.")),
            }
        }
        Ok(())
    }

    /// Without the key's field a new record, with it a changed one.
    fn write(&self, call: &Call) -> Reply {
        let Ok(Value::Object(body)) = serde_json::from_slice(&call.request.body) else {
            return invalid(&["The body must be a JSON object.".to_owned()]);
        };
        let (key_name, key_column) = self.fields.at(0);
        let key = body
            .get(key_name)
            .filter(|key| !key.is_null())
            .map(super::services::plain);
        let key = key.filter(|key| !key.is_empty());
        call.shared.change(|state| {
            let mut data = state.data.clone();
            let Some(table) = data.table_mut(self.table) else {
                return not_found("");
            };
            let mut errors = Vec::new();
            let mut fields = Row::new();
            for (name, value) in body.iter().filter(|(name, _)| *name != key_name) {
                let column = self.fields.pairs().find(|(own, _)| own == name);
                match column.map(|(_, column)| (column, typed(table, column, value))) {
                    Some((column, Ok(value))) => {
                        fields.insert(column.to_owned(), value);
                    }
                    Some((_, Err(error))) => errors.push(error),
                    // A joined field comes back as it was read; it is not written.
                    None if self.all_fields().any(|own| own == name) => {}
                    None => errors.push(format!("{name} is not a field of this entity")),
                }
            }
            let (name, column) = self.fields.at(1);
            let given = |column| {
                fields
                    .get(column)
                    .is_some_and(|v| !v.is_null() && *v != json!(""))
            };
            if key.is_none() && !given(column) {
                errors.push(format!("{name} is required"));
            }
            if !errors.is_empty() {
                return invalid(&errors);
            }
            let key = match key {
                Some(key) if table.find(key_column, &key).is_none() => return not_found(&key),
                Some(key) => {
                    table.update(key_column, &key, fields);
                    key
                }
                None => {
                    if let Some((column, value)) = self.only {
                        fields.insert(column.to_owned(), json!(value));
                    }
                    super::services::plain(&table.insert(key_column, fields))
                }
            };
            let row = data
                .table(self.table)
                .and_then(|table| table.find(key_column, &key));
            let object = row.map(|row| self.shown(row, &data)).unwrap_or_default();
            state.data = data;
            Reply::json(200, &Value::Object(object))
        })
    }

    fn delete(&self, call: &Call, key: &str) -> Reply {
        let key = bare_key(key);
        call.shared.change(|state| {
            let table = state.data.table_mut(self.table);
            if table.is_some_and(|table| table.remove(self.fields.at(0).1, key)) {
                Reply::json(200, &json!(true))
            } else {
                not_found(key)
            }
        })
    }
}

impl Fields {
    fn pairs(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let fields = self.0.split_whitespace();
        fields.filter_map(|field| field.split_once('='))
    }

    fn at(self, number: usize) -> (&'static str, &'static str) {
        self.pairs().nth(number).unwrap_or_default()
    }

    /// Those of a row, null where there is none.
    fn of(self, row: Option<&Row>) -> Row {
        let value = |column| row.and_then(|row| row.get(column)).cloned();
        self.pairs()
            .map(|(name, column)| (name.to_owned(), value(column).unwrap_or_default()))
            .collect()
    }
}

impl Related {
    fn rows<'a>(&'a self, row: &'a Row, data: &'a Data) -> impl Iterator<Item = &'a Row> {
        let rows = data
            .table(self.table)
            .map(|table| &table.rows[..])
            .unwrap_or_default();
        rows.iter()
            .filter(move |other| other.get(self.column) == row.get(self.own))
    }
}

/// `ACME_100001` is the key 100001 of a company.
fn bare_key(key: &str) -> &str {
    key.rsplit_once('_').map_or(key, |(_, key)| key)
}

/// The query's options, and the extended properties among them.
fn options(call: &Call) -> (Vec<(String, String)>, Vec<String>) {
    let options = call.request.query_pairs();
    let properties = options
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("extendedproperties"))
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    (options, properties)
}
