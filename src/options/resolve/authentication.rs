//! How to ask for a token, and with what: by `auth_mode`, or by which credentials are there; and what is missing, in words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Code, Error, Result};
use crate::options::settings::{AuthMode, Credential};
use crate::options::table::secret_options;
use crate::secret::Secret;
use crate::sources::{Named, Source};

/// Each kind of credential: the option, and the mode that follows from it.
const CREDENTIALS: [(&str, AuthMode); 3] = [
    ("password", AuthMode::V2Password),
    ("consumer_key", AuthMode::V2Consumer),
    ("access_token", AuthMode::Token),
];

/// How to ask, and with what: by `auth_mode`, or by which credentials are there.
pub(super) fn authentication(
    values: &BTreeMap<&'static str, Secret>,
    mode: &str,
    prefix: Option<&str>,
) -> Result<(AuthMode, Credential)> {
    let is_set = |name: &str| values.get(name).is_some_and(|value| !value.is_empty());
    let (mut found, mut doubled) = (Vec::new(), Vec::new());
    for (name, mode) in CREDENTIALS {
        match credential_of(values, name) {
            Ok(Some(credential)) => found.push((name, mode, Some(credential))),
            Ok(None) => {}
            Err(both) => {
                doubled.push(both);
                found.push((name, mode, None));
            }
        }
    }
    // What this mode would still need.
    let missing = |mode: AuthMode| {
        let own = mode.needs();
        let user = (own == "password" && !is_set("username")).then_some("username");
        let secret = (!found.iter().any(|(name, ..)| *name == own)).then_some(own);
        user.into_iter()
            .chain(secret)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (modes, several) = match (AuthMode::from_name(mode), &found[..]) {
        (Some(mode), _) => (vec![mode], false),
        (None, []) => (vec![AuthMode::V2Password, AuthMode::V2Consumer], false),
        (None, [(_, mode, _)]) => (vec![*mode], false),
        (None, all) => (all.iter().map(|(_, mode, _)| *mode).collect(), true),
    };
    let ways: Vec<Vec<String>> = modes
        .iter()
        .map(|mode| {
            let named = several.then(|| format!("auth_mode={}", mode.name()));
            named.into_iter().chain(missing(*mode)).collect()
        })
        .collect();
    let always: &[&str] = if values.contains_key("base_url") {
        &[]
    } else {
        &["base_url"]
    };
    if let ([mode], [way], [], []) = (&modes[..], &ways[..], always, &doubled[..])
        && way.is_empty()
    {
        let matches = |of: AuthMode| match mode {
            AuthMode::Token => of == AuthMode::Token,
            mode => of != AuthMode::Token && of.uses_consumer_key() == mode.uses_consumer_key(),
        };
        let credential = found.iter().find(|(_, of, _)| matches(*of));
        if let Some((_, _, Some(credential))) = credential {
            return Ok((*mode, credential.clone()?));
        }
    }
    let error = if let [both, ..] = doubled[..] {
        both_set(both)
    } else if several {
        let names: Vec<&str> = found.iter().map(|(name, ..)| *name).collect();
        let how_many = if names.len() == 2 { "both" } else { "all" };
        let names = in_words(&names);
        Error::new(
            Code::Config,
            format!("{names} are {how_many} set, so it is not clear which one to use"),
        )
    } else {
        let ways: Vec<String> = ways.iter().map(|way| in_words(way)).collect();
        let ways = Some(ways.join(", or ")).filter(|ways| !ways.is_empty());
        let names: Vec<String> = always
            .iter()
            .map(|&name| name.to_owned())
            .chain(ways)
            .collect();
        Error::new(
            Code::Config,
            format!("not configured: {}", names.join(", ")),
        )
    };
    let mut hint: Vec<String> = doubled
        .iter()
        .map(|both| remove_one(*both, prefix))
        .collect();
    hint.extend(what_to_set(always, &ways, prefix));
    if several && doubled.is_empty() && always.is_empty() && ways.iter().all(|way| way.len() == 1) {
        hint.push("Or keep only the one that you mean.".to_owned());
    }
    Err(error.with_hint(hint.join(" ")))
}

/// The sentence that says what to set: all of `always`, and all of one of `ways`.
fn what_to_set(always: &[&str], ways: &[Vec<String>], prefix: Option<&str>) -> Option<String> {
    let sentence = |spell: &dyn Fn(&str) -> String| {
        let always: Vec<String> = always.iter().map(|name| spell(name)).collect();
        let ways: Vec<Vec<String>> = ways
            .iter()
            .map(|way| way.iter().map(|name| spell(name)).collect())
            .collect();
        if let [way] = &ways[..] {
            return in_words(&[&always[..], way].concat());
        }
        let ways: Vec<String> = ways.iter().map(|way| in_words(way)).collect();
        let either = ways.join(", or ");
        if always.is_empty() {
            either
        } else {
            format!("{} and either {either}", in_words(&always))
        }
    };
    let variable = |name: &str| spelled(name, Some(prefix.unwrap_or("P21_")));
    let of_options = sentence(&|name| spelled(name, prefix));
    match prefix {
        _ if of_options.is_empty() => None,
        Some(_) => Some(format!("Set {of_options}.")),
        None => Some(format!(
            "Set {of_options} (in the environment: {}).",
            sentence(&variable)
        )),
    }
}

/// An option, or `option=value`, as it is written in code, or in the environment under this prefix.
fn spelled(name: &str, prefix: Option<&str>) -> String {
    let Some(prefix) = prefix else {
        return name.to_owned();
    };
    let (name, value) = name.split_at(name.find('=').unwrap_or(name.len()));
    format!("{prefix}{}{value}", name.to_ascii_uppercase())
}

/// `A`, `A and B`, `A, B and C`.
fn in_words<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items[..] {
        [ref all @ .., before, last] => {
            let before = [all, &[before]].concat().join(", ");
            format!("{before} and {last}")
        }
        _ => items.concat(),
    }
}

pub(super) fn both_set([plain, file]: [&str; 2]) -> Error {
    Error::new(Code::Config, format!("{plain} and {file} are both set"))
}

pub(super) fn remove_one(names: [&str; 2], prefix: Option<&str>) -> String {
    let [plain, file] = names.map(|name| spelled(name, prefix));
    format!("Remove {plain} or {file}.")
}

/// The credential that is set, or the names of two options that exclude each other.
pub(super) fn credential_of(
    values: &BTreeMap<&'static str, Secret>,
    plain: &str,
) -> std::result::Result<Option<Result<Credential>>, [&'static str; 2]> {
    let mut set = secret_options(plain).filter_map(|row| {
        let value = values.get(row.name).filter(|value| !value.is_empty())?;
        Some((row.name, value))
    });
    let Some((name, value)) = set.next() else {
        return Ok(None);
    };
    if let Some((other, _)) = set.next() {
        return Err([name, other]);
    }
    let source = if name == plain {
        Ok(Named::Value(value.clone()))
    } else if name.ends_with("_file") {
        Ok(Named::Source(Source::File(PathBuf::from(value.expose()))))
    } else {
        Source::resolve(name, value.expose())
    };
    Ok(Some(source.map(|named| match named {
        Named::Source(source) => Credential::From(name, source),
        Named::Value(secret) => Credential::Value(secret),
    })))
}
