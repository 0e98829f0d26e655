//! The textual configuration that a caller fills, one named option at a time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::layers::{Layer, Layers, Rank};
use super::profiles;
use super::resolve;
use super::settings::{Settings, exposure};
use super::table::{OPTIONS, known, option};
use crate::error::{Code, Error, Result};
use crate::log::{self, Level};
use crate::secret::Secret;
use crate::sources;

/// Environment names that are not an option's own: the field had them before this library.
const CONSUMER_USERNAME: &str = "CONSUMER_USERNAME";
const VERIFY_SSL: &str = "VERIFY_SSL";
/// Names a profile.
const PROFILE: &str = "PROFILE";

/// Options and their values, as text. A bad value is reported by [`Config::set`] and again by [`Config::settings`], so a
/// caller who checks only at the end misses nothing.
///
/// In any order they are read, an option that is set comes before a profile that is loaded by name, that before the environment
/// and `.env` files (of which the last one read wins), and those before the profile that `P21_PROFILE` names. Where one of these
/// brings a credential, it replaces the whole credential of those below.
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
    layers: Layers,
    /// That of the variables that were read last, for hints that name a variable.
    prefix: Option<String>,
    /// The profile that a variable names and that has not been read yet, and the file with it.
    pending: Option<(String, Result<PathBuf>)>,
}

impl Config {
    /// An empty configuration: every option at its default.
    #[must_use]
    pub fn new() -> Config {
        Config::default()
    }

    /// Sets one option; `None` restores its default.
    ///
    /// # Errors
    ///
    /// `UnknownOption` with similar names; `Config` for a value that the option cannot have.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let explicit = self.layers.explicit();
        explicit.faults.retain(|(faulty, _)| faulty != name);
        let result = self.try_set(name, value);
        if let Err(error) = &result {
            let explicit = self.layers.explicit();
            explicit.faults.push((name.to_owned(), error.clone()));
        }
        result
    }

    fn try_set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let row = known(name)?;
        match value {
            Some(value) => {
                resolve::check_value(row, value)?;
                let explicit = self.layers.explicit();
                explicit.set(row.name, Secret::new(value), String::new());
            }
            None => self.layers.reset(row.name),
        }
        Ok(())
    }

    /// The text of an option as it was set, or `None`. Secrets are returned too: do not print them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.layers.get(name)
    }

    /// Where options stand that were not set by [`Config::set`], in words such as `environment P21_BASE_URL`.
    #[doc(hidden)]
    #[must_use]
    pub fn origins(&self) -> Vec<(&'static str, String)> {
        let settings = self.settings();
        let by_key = settings.is_ok_and(|settings| settings.auth_mode.uses_consumer_key());
        self.layers.origins(by_key)
    }

    /// Reads every option from the environment: `base_url` from `P21_BASE_URL` with the prefix `P21_`. Empty variables
    /// count as not set, unknown ones are ignored. `P21_PROFILE` names a profile, whose options count where neither the
    /// program nor the environment sets them. `P21_VERIFY_SSL` is another name of `P21_TLS_VERIFY`, and
    /// `P21_CONSUMER_USERNAME` beats `P21_USERNAME` when a consumer key is used.
    ///
    /// # Errors
    ///
    /// The first value that an option cannot have; the others are read anyway. `Config` in a set-uid program, whose environment
    /// is its caller's.
    pub fn load_env(&mut self, prefix: &str) -> Result<()> {
        if let Err(error) = refuse_if_set_uid("the environment") {
            self.note("environment", &error);
            return Err(error);
        }
        self.load_from(prefix, |name| std::env::var_os(name))
    }

    /// As [`Config::load_env`], without reading a file: [`Config::load_pending`] reads what is left.
    ///
    /// # Errors
    ///
    /// As [`Config::load_env`].
    pub(crate) fn load_variables(&mut self, prefix: &str) -> Result<()> {
        refuse_if_set_uid("the environment")?;
        self.read_variables(prefix, "environment", &|name| std::env::var_os(name))
    }

    /// Whether a profile is left to be read.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Reads the profile that the environment names.
    ///
    /// # Errors
    ///
    /// As [`Config::load_profile`].
    pub(crate) fn load_pending(&mut self) -> Result<()> {
        match self.pending.take() {
            Some((name, file)) => self.read_profile(Rank::NamedByVariable, &name, file),
            None => Ok(()),
        }
    }

    /// Reads a profile: the section `[name]` of `profiles.toml` in this user's configuration folder, `$XDG_CONFIG_HOME/p21auth`
    /// or `~/.config/p21auth`, on Windows `%APPDATA%\p21auth`. It may contain any option except a secret itself; it names where
    /// the secret is kept. See docs/profiles.md.
    ///
    /// # Errors
    ///
    /// `Config` without the file or the profile, for a line that cannot be read, a secret, and in a set-uid program;
    /// `UnknownOption`; `Timeout` after 5 s.
    pub fn load_profile(&mut self, name: &str) -> Result<()> {
        let file = profiles::profiles_file(|name| std::env::var_os(name));
        self.read_profile(Rank::Profile, name, file)
    }

    fn read_profile(&mut self, rank: Rank, name: &str, file: Result<PathBuf>) -> Result<()> {
        let mut layer = Layer::new(rank, "");
        let result = read_profile(name, file).map(|(options, shown)| {
            for (row, value) in options {
                layer.set(row.name, value, format!("profile {name} in {shown}"));
            }
        });
        if let Err(error) = &result {
            layer.faults.push((PROFILE.to_owned(), error.clone()));
        }
        self.layers.put(layer);
        result
    }

    /// Remembers what is wrong with the environment as a whole.
    fn note(&mut self, name: &str, error: &Error) {
        let mut layer = Layer::new(Rank::Environment, name);
        layer.faults.push((name.to_owned(), error.clone()));
        self.layers.put(layer);
    }

    /// As [`Config::load_env`], from wherever `lookup` finds a variable.
    ///
    /// # Errors
    ///
    /// The first value that an option cannot have, or that is not UTF-8.
    #[doc(hidden)]
    pub fn load_from(
        &mut self,
        prefix: &str,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<()> {
        let read = self.read_variables(prefix, "environment", &lookup);
        read.and(self.load_pending())
    }

    /// `place` is where the variables are: the environment, or a file.
    fn read_variables(
        &mut self,
        prefix: &str,
        place: &str,
        lookup: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<()> {
        self.prefix = Some(prefix.to_owned());
        let is_file = place != "environment";
        let origin = |name: &str| {
            if is_file {
                place.to_owned()
            } else {
                format!("{place} {name}")
            }
        };
        let mut layer = Layer::new(Rank::Environment, &format!("{place} {prefix}"));
        let mut first = Ok(());
        let mut fault = |layer: &mut Layer, option: &str, error: &Error, at: &str| {
            layer.faults.push((option.to_owned(), error.clone()));
            if first.is_ok() {
                let error = error.clone();
                first = Err(if at.is_empty() {
                    error
                } else {
                    error.while_doing(at)
                });
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
                    Ok(Some(value)) => match resolve::check_value(row, value.expose()) {
                        Ok(()) => layer.set(row.name, value, origin(&name)),
                        Err(error) => fault(&mut layer, row.name, &error, &name),
                    },
                    Err(error) => fault(&mut layer, row.name, &error, ""),
                }
                break;
            }
        }
        let name = format!("{prefix}{CONSUMER_USERNAME}");
        match read(&name) {
            Ok(found) => layer.consumer_username = found.map(|value| (value, origin(&name))),
            Err(error) => fault(&mut layer, "username", &error, ""),
        }
        match read(&format!("{prefix}{PROFILE}")) {
            Ok(None) => {}
            Ok(Some(value)) => {
                // The folder is where the environment says, no matter what file names the profile.
                let file = profiles::profiles_file(|name| {
                    lookup(name)
                        .filter(|_| !is_file)
                        .or_else(|| std::env::var_os(name))
                });
                self.pending = Some((value.expose().to_owned(), file));
            }
            Err(error) => fault(&mut layer, PROFILE, &error, ""),
        }
        self.layers.put(layer);
        first
    }

    /// Reads a `.env` file: lines such as `P21_BASE_URL=https://…`, or an option's own name in lower case. Other names are
    /// ignored; a line of another program that cannot be read is a warning in the log. See [`super::parse_dotenv`] for quotes and
    /// comments.
    ///
    /// # Errors
    ///
    /// `Config` when the file or a line of an option cannot be read; the first value that an option cannot have.
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
                self.note(&shown, &error);
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
        let read = self.read_variables(prefix, &format!("file {shown}"), &value_of);
        read.map_err(|error| error.while_doing(&shown))
            .and(self.load_pending())
    }

    /// The typed settings.
    ///
    /// # Errors
    ///
    /// The first error that [`Config::set`] or a loader reported and no one fixed; `Config` for what is missing or
    /// contradictory, with a hint.
    #[doc(hidden)]
    pub fn settings(&self) -> Result<Settings> {
        if let Some(error) = self.layers.fault() {
            return Err(error);
        }
        resolve::resolve(
            &self.layers.values(),
            self.layers.consumer_username(),
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
        "{what} is ignored in a program that runs set-uid, set-gid or with file capabilities"
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
        f.debug_set().entries(self.layers.names()).finish()
    }
}

/// The options of a profile, and the file's path as it is shown.
fn read_profile(
    name: &str,
    file: Result<PathBuf>,
) -> Result<(Vec<(&'static super::OptionRow, Secret)>, String)> {
    refuse_if_set_uid("a profile")?;
    let path = file?;
    let shown = path.display().to_string();
    let deadline = Instant::now() + sources::LOAD_LIMIT;
    let hint = "Profiles are sections of this file: write [NAME], and options below it.";
    let content = sources::read(&path, sources::CAP, deadline)
        .map_err(|trouble| trouble.error(&format!("profile {name}: {shown}"), hint))?;
    if content.is_exposed {
        log::record(Level::Warn, "file.exposed", &exposure("profiles", &path));
    }
    let found = profiles::parse_profiles(&content.bytes, &shown)?;
    let options = profiles::options_of(found, name, &shown)?;
    Ok((options, shown))
}

#[cfg(test)]
mod tests;
