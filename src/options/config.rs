//! The textual configuration that a caller fills, one named option at a time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use super::resolve;
use super::settings::{Settings, exposure};
use super::table::{OPTIONS, near_misses, option};
use crate::error::{Code, Error, Result};
use crate::log::{self, Level};
use crate::secret::Secret;
use crate::sources;

/// Environment names that are not an option's own: the field had them before this library.
const CONSUMER_USERNAME: &str = "CONSUMER_USERNAME";
const VERIFY_SSL: &str = "VERIFY_SSL";

/// Options and their values, as text. A bad value is reported by [`Config::set`] and again by [`Config::settings`], so a
/// caller who checks only at the end misses nothing.
///
/// ```
/// let mut config = p21auth::Config::new();
/// config.set("base_url", Some("https://p21.example.com"))?;
/// config.set("username", Some("api.user"))?;
/// config.set("password", Some("correct horse"))?;
/// assert!(config.settings().is_ok());
/// let error = config.set("pasword", Some("x")).unwrap_err();
/// assert!(error.hint().contains("password"));
/// # Ok::<(), p21auth::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Config {
    values: BTreeMap<&'static str, Secret>,
    /// `P21_CONSUMER_USERNAME`: beats `username` as long as a consumer key is in use.
    consumer_username: Option<Secret>,
    /// That of the variables that were read last, for hints that name a variable.
    prefix: Option<String>,
    /// What was wrong, by the name as it was written; the first one is reported.
    faults: Vec<(String, Error)>,
}

impl Config {
    /// An empty configuration: every option at its default.
    #[must_use]
    pub fn new() -> Config {
        Config::default()
    }

    /// Sets one option; `None` puts it back to its default.
    ///
    /// # Errors
    ///
    /// `UnknownOption` with near misses; `Config` for a value that the option cannot take.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        self.faults.retain(|(faulty, _)| faulty != name);
        let result = self.try_set(name, value);
        if let Err(error) = &result {
            self.faults.push((name.to_owned(), error.clone()));
        }
        result
    }

    fn try_set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let row = option(name).ok_or_else(|| unknown(name))?;
        if row.name == "username" {
            self.consumer_username = None;
        }
        match value {
            Some(value) => {
                resolve::check_value(row, value)?;
                self.values.insert(row.name, Secret::new(value));
            }
            None => {
                self.values.remove(row.name);
            }
        }
        Ok(())
    }

    /// The text of an option as it was set, or `None`. Secrets come out as they are: do not print them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(Secret::expose)
    }

    /// Reads every option from the environment: `base_url` from `P21_BASE_URL` with the prefix `P21_`. Empty variables
    /// count as not set, unknown ones are ignored. `P21_VERIFY_SSL` is another name of `P21_TLS_VERIFY`, and
    /// `P21_CONSUMER_USERNAME` beats `P21_USERNAME` when a consumer key is used.
    ///
    /// # Errors
    ///
    /// The first value that an option cannot take; the others are read all the same. `Config` in a set-uid program, whose
    /// environment is its caller's.
    pub fn load_env(&mut self, prefix: &str) -> Result<()> {
        if let Err(error) = refuse_if_set_uid("the environment") {
            self.faults.push(("environment".to_owned(), error.clone()));
            return Err(error);
        }
        self.load_from(prefix, |name| std::env::var_os(name))
    }

    /// As [`Config::load_env`], from wherever `lookup` finds a variable.
    ///
    /// # Errors
    ///
    /// The first value that an option cannot take, or that is not UTF-8.
    #[doc(hidden)]
    pub fn load_from(
        &mut self,
        prefix: &str,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<()> {
        self.prefix = Some(prefix.to_owned());
        let mut first = Ok(());
        let mut note = |result: Result<()>| {
            if first.is_ok() {
                first = result;
            }
        };
        let read = |name: &str| -> Result<Option<Secret>> {
            match lookup(name)
                .filter(|value| !value.is_empty())
                .map(OsString::into_string)
            {
                None => Ok(None),
                Some(Ok(text)) => Ok(Some(Secret::new(text))),
                Some(Err(_)) => Err(Error::new(
                    Code::InvalidUtf8,
                    format!("the environment variable {name} is not valid UTF-8"),
                )),
            }
        };
        for row in OPTIONS {
            let own = format!("{prefix}{}", row.name.to_ascii_uppercase());
            let mut names = vec![own];
            if row.name == "tls_verify" {
                names.push(format!("{prefix}{VERIFY_SSL}"));
            }
            for name in names {
                match read(&name) {
                    Ok(None) => continue,
                    Ok(Some(value)) => note(
                        self.set(row.name, Some(value.expose()))
                            .map_err(|error| error.while_doing(&name)),
                    ),
                    Err(error) => {
                        self.faults.push((row.name.to_owned(), error.clone()));
                        note(Err(error));
                    }
                }
                break;
            }
        }
        match read(&format!("{prefix}{CONSUMER_USERNAME}")) {
            Ok(None) => {}
            Ok(Some(value)) => self.consumer_username = Some(value),
            Err(error) => {
                self.faults.push(("username".to_owned(), error.clone()));
                note(Err(error));
            }
        }
        first
    }

    /// Reads a `.env` file: lines such as `P21_BASE_URL=https://…`, or an option's own name in lower case. Other names are
    /// ignored; a line of another program that cannot be read is a warning in the log. See [`super::parse_dotenv`] for quotes and
    /// comments.
    ///
    /// # Errors
    ///
    /// `Config` when the file or a line of an option cannot be read; the first value that an option cannot take.
    pub fn load_file(&mut self, path: &Path) -> Result<()> {
        self.load_file_with_prefix(path, "P21_")
    }

    /// As [`Config::load_file`] with another prefix, such as `P21_PLAY_`.
    ///
    /// # Errors
    ///
    /// As [`Config::load_file`].
    #[doc(hidden)]
    pub fn load_file_with_prefix(&mut self, path: &Path, prefix: &str) -> Result<()> {
        let shown = path.display().to_string();
        let hint = "Check the path and that this user may read the file.";
        let deadline = Instant::now() + sources::LOAD_LIMIT;
        let result = sources::read(path, sources::CAP, deadline)
            .map_err(|trouble| trouble.error(&shown, hint))
            .and_then(|content| {
                if content.is_exposed {
                    let exposure = exposure("options", path);
                    log::record(Level::Warn, "file.exposed", &exposure);
                }
                let is_ours = |name: &str| name.starts_with(prefix) || option(name).is_some();
                super::parse_dotenv(&content.bytes, &shown, &is_ours)
            });
        let pairs = match result {
            Ok(found) => {
                warn_of_unread(&shown, &found.unread);
                found.pairs
            }
            Err(error) => {
                self.faults.push((shown, error.clone()));
                return Err(error);
            }
        };
        let value_of = |wanted: &str| {
            let own = wanted.strip_prefix(prefix).map(str::to_ascii_lowercase);
            let found = pairs
                .iter()
                .rev()
                .find(|(name, _)| name == wanted || own.as_deref() == Some(name));
            found.map(|(_, value)| OsString::from(value.expose()))
        };
        self.load_from(prefix, value_of)
            .map_err(|error| error.while_doing(&shown))
    }

    /// The typed settings.
    ///
    /// # Errors
    ///
    /// The first error that [`Config::set`] or a loader reported and nobody mended; `Config` for what is missing or
    /// contradictory, with a hint.
    #[doc(hidden)]
    pub fn settings(&self) -> Result<Settings> {
        if let Some((_, error)) = self.faults.first() {
            return Err(error.clone());
        }
        resolve::resolve(
            &self.values,
            self.consumer_username.as_ref(),
            self.prefix.as_deref(),
        )
    }
}

/// What the caller of a set-uid program can choose must not decide what it does with its rights.
///
/// # Errors
///
/// `Config` in such a program; `what` is what its caller chooses.
pub(crate) fn refuse_if_set_uid(what: &str) -> Result<()> {
    if !crate::sys::is_set_uid() {
        return Ok(());
    }
    let message = format!(
        "{what} decides nothing in a program that runs set-uid, set-gid or with file capabilities"
    );
    Err(Error::new(Code::Config, message).with_hint(
        "Set options in the program itself (p21_config_set), or from a file that it names.",
    ))
}

/// More lines of a file that cannot be read are counted only.
const MAX_UNREAD: usize = 5;

fn warn_of_unread(file: &str, unread: &[(usize, &str)]) {
    if unread.is_empty() {
        return;
    }
    let lines = unread.iter().take(MAX_UNREAD);
    let mut lines: Vec<String> = lines
        .map(|(line, why)| format!("line {line} ({why})"))
        .collect();
    if unread.len() > MAX_UNREAD {
        lines.push(format!("{} more", unread.len() - MAX_UNREAD));
    }
    let message = format!("{file}: not read: {}", lines.join(", "));
    log::record(Level::Warn, "config.unread", &message);
}

/// Names only: the values may be secrets.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(60).collect();
    let near = near_misses(name);
    let hint = if near.is_empty() {
        "p21_options_json and docs/options.md list every option.".to_owned()
    } else {
        format!("Did you mean {}?", near.join(" or "))
    };
    Error::new(Code::UnknownOption, format!("there is no option '{shown}'")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::AuthMode;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| OsString::from(*value))
        }
    }

    #[test]
    fn an_unknown_option_is_remembered_with_its_near_misses() {
        let mut config = Config::new();
        let error = config
            .set("verify_ssl", Some("0"))
            .expect_err("not an option");
        assert_eq!(error.code(), Code::UnknownOption);
        assert!(error.hint().contains("tls_verify"), "{error}");
        assert_eq!(
            config.settings().expect_err("remembered").code(),
            Code::UnknownOption
        );
    }

    #[test]
    fn a_bad_value_is_forgotten_once_it_is_mended() {
        let mut config = Config::new();
        config
            .set("base_url", Some("https://p21.example.com"))
            .expect("valid");
        config.set("access_token", Some("x")).expect("valid");
        assert_eq!(
            config
                .set("timeout_ms", Some("0"))
                .expect_err("out of range")
                .code(),
            Code::Config
        );
        assert!(config.settings().is_err());
        config.set("timeout_ms", Some("1000")).expect("valid");
        assert_eq!(config.settings().expect("mended").timeout_ms, 1000);
        config.set("timeout_ms", None).expect("default");
        assert_eq!(config.settings().expect("default").timeout_ms, 30_000);
    }

    #[test]
    fn the_environment_is_read_under_any_prefix() {
        let mut config = Config::new();
        let vars = [
            ("P21_PLAY_BASE_URL", "https://play.example.com"),
            ("P21_PLAY_USERNAME", "u"),
            ("P21_PLAY_PASSWORD", "p"),
            ("P21_PLAY_VERIFY_SSL", "False"),
            ("P21_PLAY_SOMETHING_ELSE", "x"),
            ("P21_BASE_URL", "https://production.example.com"),
        ];
        config.load_from("P21_PLAY_", env(&vars)).expect("valid");
        let settings = config.settings().expect("complete");
        assert_eq!(settings.base_url.as_str(), "https://play.example.com");
        assert!(!settings.transport.tls.verify);
    }

    #[test]
    fn the_options_own_variable_beats_its_alias_and_empty_is_not_set() {
        let mut config = Config::new();
        config
            .load_from(
                "P21_",
                env(&[
                    ("P21_VERIFY_SSL", "0"),
                    ("P21_TLS_VERIFY", "1"),
                    ("P21_PROXY", ""),
                ]),
            )
            .expect("valid");
        assert_eq!(config.get("tls_verify"), Some("1"));
        assert_eq!(config.get("proxy"), None);
    }

    #[test]
    fn the_consumer_username_counts_only_with_a_consumer_key() {
        let both = [
            ("P21_BASE_URL", "h"),
            ("P21_USERNAME", "u"),
            ("P21_CONSUMER_USERNAME", "c"),
            ("P21_PASSWORD", "p"),
        ];
        let mut config = Config::new();
        config.load_from("P21_", env(&both)).expect("valid");
        assert_eq!(
            config.settings().expect("complete").username.as_deref(),
            Some("u")
        );
        config.set("password", None).expect("valid");
        config.set("consumer_key", Some("key")).expect("valid");
        let settings = config.settings().expect("complete");
        assert_eq!(
            (settings.auth_mode, settings.username.as_deref()),
            (AuthMode::V2Consumer, Some("c"))
        );
        config.set("username", Some("later")).expect("valid");
        assert_eq!(
            config.settings().expect("complete").username.as_deref(),
            Some("later")
        );
    }

    #[test]
    fn a_file_takes_both_ways_to_write_a_name() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "P21_BASE_URL=https://p21.example.com\nusername = 'u'\nP21_PASSWORD=\"p#\\\"\"\nOTHER=1\n").expect("written");
        let mut config = Config::new();
        config.load_file(file.path()).expect("valid");
        assert_eq!(config.get("password"), Some("p#\""));
        assert_eq!(
            config.settings().expect("complete").username.as_deref(),
            Some("u")
        );
    }

    #[test]
    fn a_missing_file_is_reported_now_and_later() {
        let mut config = Config::new();
        assert_eq!(
            config
                .load_file(Path::new("/no/such/file"))
                .expect_err("missing")
                .code(),
            Code::Config
        );
        assert!(
            config
                .settings()
                .expect_err("remembered")
                .message()
                .contains("/no/such/file")
        );
    }

    #[test]
    fn errors_and_debug_never_show_a_secret() {
        let mut config = Config::new();
        config
            .set("password", Some("hunter2hunter2"))
            .expect("valid");
        config
            .set("proxy", Some("http://u:hunter2hunter2@"))
            .expect_err("not a proxy");
        let shown = format!("{config:?} {:?}", config.settings());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
