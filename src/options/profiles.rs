//! Profiles: named sections of options in `profiles.toml`, in the user's configuration folder.
//!
//! The file is TOML, of which this reads what options need: `[name]`, and below it `option = value`, where a value is text in
//! quotes, a whole number, true or false.

use std::ffi::OsString;
use std::path::PathBuf;

use super::table::{OptionRow, known};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;

const FORM: &str = "Write [NAME], and below it lines such as base_url = \"https://p21.example.com\", timeout_ms = 5000 or allow_http = false.";

/// One section.
#[derive(Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Options as they are written, their values as text, and their lines.
    pub pairs: Vec<(String, Secret, usize)>,
}

/// Where the profiles of this user are, by an environment.
///
/// # Errors
///
/// `Config` when the environment names no folder.
pub fn profiles_file(lookup: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let folder = |name: &str| {
        let path = lookup(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let (found, names) = if cfg!(windows) {
        (folder("APPDATA"), "APPDATA")
    } else {
        let home = || Some(folder("HOME")?.join(".config"));
        (
            folder("XDG_CONFIG_HOME").or_else(home),
            "XDG_CONFIG_HOME or HOME",
        )
    };
    let folder = found.ok_or_else(|| {
        Error::new(
            Code::Config,
            "profiles cannot be read: this user has no configuration folder",
        )
        .with_hint(format!("Set {names}."))
    })?;
    Ok(folder.join("p21auth").join("profiles.toml"))
}

/// The profiles of a file. `shown` names it in errors, which never repeat a line: it may hold a secret.
///
/// # Errors
///
/// `Config`, with the number of the line.
pub fn parse_profiles(bytes: &[u8], shown: &str) -> Result<Vec<Profile>> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        Error::new(Code::Config, format!("{shown} is not UTF-8"))
            .with_hint("Save the file as UTF-8.")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut profiles: Vec<Profile> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |what: &str| {
            Error::new(Code::Config, format!("{shown}, line {}: {what}", index + 1)).with_hint(FORM)
        };
        if let Some(rest) = line.strip_prefix('[') {
            let (name, rest) =
                key(rest.trim_start()).ok_or_else(|| fault("this is not a valid profile name"))?;
            let rest = rest.trim_start().strip_prefix(']');
            if !rest.is_some_and(only_comment) {
                return Err(fault("only a name in brackets begins a profile"));
            }
            if profiles.iter().any(|profile| profile.name == name) {
                return Err(fault("this profile is there twice"));
            }
            let pairs = Vec::new();
            profiles.push(Profile { name, pairs });
            continue;
        }
        let (name, rest) = key(line).ok_or_else(|| fault("this is no option"))?;
        let rest = rest.trim_start().strip_prefix('=');
        let rest = rest.ok_or_else(|| fault("there is no '=' after the option"))?;
        let value = value(rest.trim()).ok_or_else(|| {
            fault("a value must be text in quotes on one line, a whole number, true or false")
        })?;
        let profile = profiles
            .last_mut()
            .ok_or_else(|| fault("an option comes before the first profile"))?;
        if profile.pairs.iter().any(|(known, ..)| *known == name) {
            return Err(fault("this option is there twice"));
        }
        profile.pairs.push((name, value, index + 1));
    }
    Ok(profiles)
}

/// The options of a profile. `shown` names the file in errors.
///
/// # Errors
///
/// `Config` without such a profile, for a secret in it, and for a value that an option cannot take; `UnknownOption`.
pub(super) fn options_of(
    profiles: Vec<Profile>,
    name: &str,
    shown: &str,
) -> Result<Vec<(&'static OptionRow, Secret)>> {
    let names: Vec<String> = profiles.iter().map(|found| found.name.clone()).collect();
    let found = profiles.into_iter().find(|found| found.name == name);
    let profile = found.ok_or_else(|| {
        let known = if names.is_empty() {
            format!("{shown} has no profiles.")
        } else {
            format!("{shown} has {}.", names.join(", "))
        };
        let name: String = name.chars().take(60).collect();
        Error::new(Code::Config, format!("there is no profile '{name}'")).with_hint(known)
    })?;
    let mut options = Vec::new();
    for (name, value, line) in profile.pairs {
        let at = format!("{shown}, line {line}");
        let row = known(&name).map_err(|error| error.while_doing(&at))?;
        if row.secret {
            let text = format!("{at}: {name} is a secret, which does not belong in this file");
            return Err(Error::new(Code::Config, text).with_hint(format!(
                "Write {name}_from = \"command:…\" or {name}_file = \"…\" instead. Change the secret if others can read the file."
            )));
        }
        if matches!(row.name, "proxy" | "store") && has_password(value.expose()) {
            let text =
                format!("{at}: {name} contains a password, which does not belong in this file");
            return Err(Error::new(Code::Config, text).with_hint(format!(
                "Remove the line, and set P21_{} in the environment.",
                name.to_ascii_uppercase()
            )));
        }
        super::resolve::check_value(row, value.expose()).map_err(|error| error.while_doing(&at))?;
        options.push((row, value));
    }
    Ok(options)
}

/// Whether a URL, or what may be meant for one, has something in front of an `@`. A folder may.
fn has_password(url: &str) -> bool {
    url.contains('@') && !url.starts_with("file:")
}

fn only_comment(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with('#')
}

/// A bare or quoted key, and what follows it.
fn key(text: &str) -> Option<(String, &str)> {
    if text.starts_with(['"', '\'']) {
        let (key, rest) = quoted(text)?;
        return Some((key.expose().to_owned(), rest)).filter(|(key, _)| !key.is_empty());
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

fn value(text: &str) -> Option<Secret> {
    if text.starts_with(['"', '\'']) {
        let (value, rest) = quoted(text)?;
        return only_comment(rest).then_some(value);
    }
    let word = text.split('#').next().unwrap_or_default().trim();
    let digits = word.replace('_', "");
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number || matches!(word, "true" | "false")).then(|| Secret::new(digits))
}

/// A text in quotes at the start of `text`, and what follows it.
fn quoted(text: &str) -> Option<(Secret, &str)> {
    if let Some(rest) = text.strip_prefix('\'') {
        let (inner, rest) = rest.split_once('\'')?;
        return Some((Secret::new(inner), rest));
    }
    let mut inner = zeroize::Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((Secret::new(inner.as_str()), chars.as_str())),
            '\\' => inner.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'b' => '\u{8}',
                'f' => '\u{c}',
                c @ ('"' | '\\') => c,
                kind @ ('u' | 'U') => {
                    let digits = chars.as_str().get(..if kind == 'u' { 4 } else { 8 })?;
                    chars = chars.as_str()[digits.len()..].chars();
                    char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                }
                _ => return None,
            }),
            c => inner.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Profile>> {
        parse_profiles(text.as_bytes(), "p.toml")
    }

    #[test]
    fn what_options_need_of_toml_is_read() {
        let text = "\u{feff}# mine\r\n[play]\r\nbase_url = \"https://p21\" # x\ntimeout_ms = 5_000\n\"allow_http\"=true\n\
                    password_from = 'command:pass \"a\\b\"'\nuser_agent = \"q\\\"\\\\\\u0041\\t#\"\n\n['two words'] #\n";
        let profiles = parse(text).expect("valid");
        assert_eq!(profiles[1].name, "two words");
        let pairs = profiles[0].pairs.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value, line)| (name.as_str(), value.expose(), *line))
            .collect();
        assert_eq!(
            pairs,
            [
                ("base_url", "https://p21", 3),
                ("timeout_ms", "5000", 4),
                ("allow_http", "true", 5),
                ("password_from", "command:pass \"a\\b\"", 6),
                ("user_agent", "q\"\\A\t#", 7),
            ]
        );
    }

    #[test]
    fn what_is_not_read_is_named_by_its_line_and_not_repeated() {
        for text in [
            "hunter2",
            "a = 1",
            "[a\n",
            "[a.b]",
            "[[a]]",
            "[a] hunter2",
            "[]",
            "[a]\n[a]",
            "[a]\nb = hunter2",
            "[a]\nb = \"hunter2",
            "[a]\nb = \"hunter2\" hunter2",
            "[a]\nb = [\"hunter2\"]",
            "[a]\nb = 1.5",
            "[a]\nb = \"\"\"hunter2\"\"\"",
            "[a]\nb = 1\nb = 2",
            "[a]\nb: 1",
            "[a]\nb = \"\\q\"",
            "[a]\nb = \"\\u12\"",
            "[a]\nb =",
            "[a]\nb.c = 1",
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.code(), Code::Config);
            assert!(error.message().starts_with("p.toml, line "), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_secret_in_a_profile_is_refused_and_not_repeated() {
        for line in [
            "password = \"hunter2\"",
            "consumer_key = \"hunter2\"",
            "access_token = \"hunter2\"",
            "store_key = \"hunter2\"",
            "proxy = \"http://u:hunter2@proxy:3128\"",
            "store = \"redis://:hunter2@cache/0\"",
            "passwort = \"hunter2\"",
            "timeout_ms = \"hunter2\"",
        ] {
            let profiles = parse(&format!("[a]\n{line}\n")).expect("valid");
            let error = options_of(profiles, "a", "p.toml").expect_err(line);
            assert!(error.message().contains("p.toml, line 2"), "{error}");
            assert!(!error.hint().is_empty(), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let error = options_of(parse("[a]\n[b]").expect("valid"), "c", "p.toml").expect_err("none");
        assert!(error.hint().contains("has a, b"), "{error}");
    }

    #[test]
    fn the_file_is_in_the_users_folder() {
        let with = |pairs: &'static [(&'static str, &'static str)]| {
            profiles_file(move |name| {
                pairs
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.into())
            })
        };
        #[cfg(unix)]
        assert_eq!(
            with(&[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")]).ok(),
            Some("/c/p21auth/profiles.toml".into())
        );
        #[cfg(unix)]
        assert_eq!(
            with(&[("HOME", "/h")]).ok(),
            Some("/h/.config/p21auth/profiles.toml".into())
        );
        assert!(with(&[]).is_err());
    }
}
