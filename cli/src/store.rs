//! `p21auth store`.

use serde_json::json;

use p21auth::internal::client::{OwnEntry, StoreEntry};

use super::args::{StoreArgs, StoreCommand};
use super::failure::Failure;
use super::output::{self, span};

/// Shows or clears the shared store.
pub(super) fn store(args: &StoreArgs) -> Result<(), Failure> {
    match &args.command {
        StoreCommand::Status(args) => {
            let (store, entries) = args.connection.open()?.store_entries()?;
            if args.json {
                let entries: Vec<_> = entries.iter().map(as_json).collect();
                output::value(&json!({ "store": store, "entries": entries }).to_string())?;
                return Ok(());
            }
            output::line(&store)?;
            if entries.is_empty() {
                output::line("  empty")?;
            }
            for entry in &entries {
                output::line(&format!("  {}", as_text(entry)))?;
            }
        }
        StoreCommand::Clear(args) => {
            let client = args.connection.open()?;
            let (store, count) = if args.expired {
                client.clear_expired()?
            } else {
                client.clear_store()?
            };
            if args.json {
                output::json(&json!({ "store": store, "removed": count }).to_string())?;
            } else {
                output::line(&format!("{store}: {count} entries removed"))?;
            }
        }
    }
    Ok(())
}

fn as_text(entry: &StoreEntry) -> String {
    let what = match &entry.own {
        None => match entry.left_s {
            Some(seconds) => format!("another identity's, valid for {}", span(seconds)),
            None => "not an entry of this version".to_owned(),
        },
        Some(OwnEntry::Token(print, 0)) => format!("yours: token {print}, expired"),
        Some(OwnEntry::Token(print, seconds)) => {
            format!("yours: token {print}, {} to live", span(*seconds))
        }
        Some(OwnEntry::Rejected) => "yours: the last token was rejected".to_owned(),
        Some(OwnEntry::Denied(times, 0)) => {
            format!("yours: credentials refused {times} times in a row; may be tried again")
        }
        Some(OwnEntry::Denied(times, seconds)) => {
            let wait = span(*seconds);
            format!("yours: credentials refused {times} times in a row; next try in {wait}")
        }
        Some(OwnEntry::Failed(times, seconds)) => {
            let wait = span(*seconds);
            format!("yours: requests failed {times} times in a row; next try in {wait}")
        }
        Some(OwnEntry::Unreadable) => "yours, but unreadable: it will be replaced".to_owned(),
    };
    format!("{}  {:6}  {what}", entry.name, entry.kind)
}

fn as_json(entry: &StoreEntry) -> serde_json::Value {
    let own = entry.own.as_ref().map(|own| match own {
        OwnEntry::Token(print, seconds) => json!({ "token": print, "expires_in_s": seconds }),
        OwnEntry::Rejected => json!({ "rejected": true }),
        OwnEntry::Denied(times, seconds) => json!({ "denials": times, "next_try_in_s": seconds }),
        OwnEntry::Failed(times, seconds) => json!({ "failures": times, "next_try_in_s": seconds }),
        OwnEntry::Unreadable => json!({ "unreadable": true }),
    });
    json!({ "name": entry.name, "kind": entry.kind, "left_s": entry.left_s, "own": own })
}
