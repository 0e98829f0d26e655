//! The library's options on the command line, in the environment and in `.env` files.
//!
//! Flags are made from the option table, so nothing is listed twice. Secrets have no flag: their names are known only to
//! be refused with an explanation.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use p21auth::Client;
use p21auth::Config;
use p21auth::Error;
use p21auth::internal::options::{Kind, OPTIONS, OptionRow};

use super::failure::Failure;

const HEADING: &str = "Connection";
const ENV_PREFIX: &str = "env_prefix";
const ENV_FILE: &str = "env_file";
const PROFILE: &str = "profile";

/// What `-h` shows; `--help` shows all.
const COMMON: &[&str] = &[
    "base_url",
    "auth_mode",
    "username",
    "password_file",
    "consumer_key_file",
    "ca_file",
    "tls_pin_sha256",
    "store",
];

/// Options whose value is a URL that may hold a password.
const URLS: &[&str] = &["proxy", "store"];

/// Where the options come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    /// Options given as flags. Never a secret.
    flags: Vec<(&'static str, String)>,
    /// Secret options that were given as flags all the same. Their values are not kept.
    refused: Vec<&'static OptionRow>,
    prefix: String,
    env_file: Option<PathBuf>,
    profile: Option<String>,
}

/// Options as they were found.
pub(super) struct Gathered {
    /// Those that are set to something that they can be, and where that stands: `flag --x`, `environment P21_X`, `file .env`.
    pub options: Vec<(&'static OptionRow, String)>,
    /// All of them, if they make a configuration.
    pub complete: Result<Config, Failure>,
}

impl Connection {
    /// A client of these options: flags before environment variables before the `.env` file.
    pub fn open(&self) -> Result<Client, Failure> {
        let config = self.config(|name| std::env::var_os(name))?;
        Ok(Client::open(&config).map_err(|error| self.in_our_words(&error))?)
    }

    /// The options that are set, where each comes from, and what they come to.
    pub fn gather(&self) -> Gathered {
        self.gather_from(|name| std::env::var_os(name))
    }

    fn gather_from(&self, lookup: impl Fn(&str) -> Option<OsString>) -> Gathered {
        let mut config = Config::new();
        let complete = self.fill(&mut config, lookup);
        let settings = config.settings().ok().filter(|_| complete.is_ok());
        let origins = config.origins();
        let origin = |row: &OptionRow| {
            let other = origins.iter().find(|(name, _)| *name == row.name);
            let flag = || format!("flag {}", flag_of(row.name));
            other.map_or_else(flag, |(_, origin)| origin.clone())
        };
        let has_user = settings.is_some_and(|settings| settings.username.is_some());
        let is_set = |row: &&OptionRow| {
            config.get(row.name).is_some() || (has_user && row.name == "username")
        };
        Gathered {
            options: OPTIONS
                .iter()
                .filter(is_set)
                .map(|row| (row, origin(row)))
                .collect(),
            complete: complete.map(|()| config),
        }
    }

    /// The profile that is named.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// What is said here, without the environment: flags, the `.env` file, and the options of an existing profile below them.
    /// They need not be complete.
    pub fn said(&self, existing: Option<&str>) -> Result<Config, Failure> {
        if let Some(row) = self.refused.first() {
            let flag = flag_of(row.name);
            return Err(Failure::usage(
                format!(
                    "{flag} is not accepted on the command line, which every user of this machine can read"
                ),
                "Type the secret when p21auth login asks for it, or pass it on standard input. If what you typed is a real secret, change it: it is in your shell's history.",
            ));
        }
        let mut config = Config::new();
        match (&self.env_file, existing) {
            (Some(file), _) => config.load_file_with_prefix(file, &self.prefix)?,
            (None, Some(profile)) => config.load_profile(profile)?,
            (None, None) => {}
        }
        for (name, value) in &self.flags {
            config
                .set(name, Some(value))
                .map_err(|error| error.while_doing(&flag_of(name)))?;
        }
        for name in URLS {
            if config.get(name).is_some_and(has_userinfo) {
                return Err(Failure::usage(
                    format!("{name} contains a user or password, which is not kept in a profile"),
                    format!("Set the environment variable {}.", variable(name, "P21_")),
                ));
            }
        }
        Ok(config)
    }

    /// The prefix of the environment variables.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn config(&self, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Config, Failure> {
        let mut config = Config::new();
        self.fill(&mut config, lookup)?;
        Ok(config)
    }

    fn fill(
        &self,
        config: &mut Config,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<(), Failure> {
        if let Some(row) = self.refused.first() {
            return Err(no_secret_here(row, &self.prefix));
        }
        let mut loaded = Ok(());
        if let Some(file) = &self.env_file {
            loaded = config.load_file_with_prefix(file, &self.prefix);
        }
        loaded = loaded.and(config.load_from(&self.prefix, &lookup));
        if let Some(profile) = &self.profile {
            loaded = loaded.and(config.load_profile(profile));
        }
        for (name, value) in &self.flags {
            if URLS.contains(name) && has_userinfo(value) {
                return Err(no_password_in_url(name, &self.prefix));
            }
            config
                .set(name, Some(value))
                .map_err(|error| error.while_doing(&flag_of(name)))?;
        }
        // What a flag has fixed is no failure; of what is left, the loader's error says best where it stands.
        match (config.settings(), loaded) {
            (Err(_), Err(error)) => Err(error.into()),
            (Err(error), Ok(())) => Err(self.in_our_words(&error).into()),
            (Ok(_), _) => Ok(()),
        }
    }

    /// Names the `.env` file that no one asked for.
    pub fn in_our_words(&self, error: &Error) -> Error {
        let mut hint = error.hint().to_owned();
        if self.env_file.is_none() && error.message().starts_with("not configured") {
            hint += if Path::new(".env").is_file() {
                " There is a .env file in this folder: add --env-file .env to read it."
            } else {
                " Add --env-file to read a file of NAME=value lines."
            };
        }
        error.clone().with_hint(hint)
    }
}

fn variable(name: &str, prefix: &str) -> String {
    format!("{prefix}{}", name.to_ascii_uppercase())
}

fn flag_of(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

fn no_secret_here(row: &OptionRow, prefix: &str) -> Failure {
    let flag = flag_of(row.name);
    Failure::usage(
        format!(
            "{flag} is not accepted on the command line, which every user of this machine can read"
        ),
        format!(
            "Set the environment variable {}, name a file with {flag}-file, or put it into a .env file and add --env-file. If what you typed is a real secret, change it: it is in your shell's history.",
            variable(row.name, prefix)
        ),
    )
}

fn no_password_in_url(name: &str, prefix: &str) -> Failure {
    let flag = flag_of(name);
    Failure::usage(
        format!(
            "{flag} contains a user or password, and every user of this machine can read the command line"
        ),
        format!(
            "Set the environment variable {}, or put it into a .env file and add --env-file.",
            variable(name, prefix)
        ),
    )
}

/// Whether a URL, or what may be meant for one, has something in front of an `@`. A folder may.
fn has_userinfo(value: &str) -> bool {
    value.contains('@') && !value.starts_with("file:")
}

/// `p21auth … --help` on an option: its text, values, default and variable.
fn long_help(row: &OptionRow) -> String {
    let values = match row.kind {
        Kind::Choice(words) => words.join(", "),
        _ => String::new(),
    };
    let notes = [
        ("values", values.as_str()),
        ("default", row.default),
        ("env", &variable(row.name, "P21_")),
    ];
    notes
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .fold(row.text.to_owned(), |text, (label, value)| {
            format!("{text} [{label}: {value}]")
        })
}

fn value_name(row: &OptionRow) -> &'static str {
    match row.kind {
        Kind::Text if row.name == "username" => "NAME",
        Kind::Text if row.name == "proxy" => "URL",
        Kind::Text => "TEXT",
        Kind::Url => "URL",
        Kind::Choice(_) => "WORD",
        Kind::Bool => "0|1",
        Kind::Int { .. } => match row.unit {
            "s" => "SECONDS",
            "ms" => "MS",
            "bytes" => "BYTES",
            _ => "NUMBER",
        },
        Kind::Path => "FILE",
        Kind::List => "LIST",
    }
}

fn argument(row: &'static OptionRow) -> Arg {
    let arg = Arg::new(row.name)
        .long(row.name.replace('_', "-"))
        .action(ArgAction::Set)
        .help_heading(HEADING);
    if row.secret {
        // Takes anything that follows, so that a secret typed here is never mistaken for something else and repeated.
        return arg.hide(true).num_args(0..=1).allow_hyphen_values(true);
    }
    let arg = arg
        .value_name(value_name(row))
        .help(
            row.text
                .split_inclusive(". ")
                .next()
                .unwrap_or(row.text)
                .trim_end()
                .to_owned(),
        )
        .long_help(long_help(row))
        .hide_short_help(!COMMON.contains(&row.name));
    match row.kind {
        Kind::Bool => arg.num_args(0..=1).default_missing_value("1"),
        _ => arg,
    }
}

impl Args for Connection {
    fn augment_args(command: Command) -> Command {
        OPTIONS
            .iter()
            .fold(command, |command, row| command.arg(argument(row)))
            .arg(
                Arg::new(ENV_PREFIX)
                    .long("env-prefix")
                    .value_name("PREFIX")
                    .default_value("P21_")
                    .help("Prefix of the environment variables, such as P21_PLAY_")
                    .help_heading(HEADING),
            )
            .arg(
                Arg::new(PROFILE)
                    .long("profile")
                    .value_name("NAME")
                    .help("Read the options of this profile; flags override them")
                    .long_help("Read the options of this profile: a section of profiles.toml in your configuration folder ($XDG_CONFIG_HOME/p21auth or ~/.config/p21auth, on Windows %APPDATA%\\p21auth). Flags override it, and it overrides environment variables; its credential replaces theirs. [env: P21_PROFILE, whose profile the other variables override]")
                    .help_heading(HEADING),
            )
            .arg(
                Arg::new(ENV_FILE)
                    .long("env-file")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("Also read NAME=value lines from this file; variables and flags override them")
                    .long_help("Also read NAME=value lines from this file, such as .env. Environment variables override it, and flags override both. No .env file is read unless you name it here: otherwise someone who can create one in your folder could send your credentials elsewhere.")
                    .help_heading(HEADING),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The same options, to be kept as a profile.
#[derive(Clone, Debug, Default)]
pub(super) struct ToKeep(pub Connection);

impl Args for ToKeep {
    fn augment_args(command: Command) -> Command {
        Connection::augment_args(command)
            .mut_arg(PROFILE, |arg| {
                let help = "Name of the profile [default: P21_PROFILE, else default]";
                arg.help(help).long_help(help)
            })
            .mut_arg(ENV_FILE, |arg| {
                let help = "Take options, the secret included, from the NAME=value lines of this file; flags come first";
                arg.help(help).long_help(help)
            })
            .mut_arg(ENV_PREFIX, |arg| {
                arg.help("Prefix of the names in that file, such as P21_PLAY_")
            })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ToKeep {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ToKeep, clap::Error> {
        Connection::from_arg_matches(matches).map(ToKeep)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl FromArgMatches for Connection {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Connection, clap::Error> {
        let mut connection = Connection::default();
        connection.update_from_arg_matches(matches)?;
        Ok(connection)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for row in OPTIONS {
            if matches.value_source(row.name).is_none() {
                continue;
            }
            if row.secret {
                self.refused.push(row);
            } else if let Some(value) = matches.get_one::<String>(row.name) {
                self.flags.push((row.name, value.clone()));
            }
        }
        if let Some(prefix) = matches.get_one::<String>(ENV_PREFIX) {
            self.prefix.clone_from(prefix);
        }
        self.profile = matches.get_one::<String>(PROFILE).cloned();
        self.env_file = matches.get_one::<PathBuf>(ENV_FILE).cloned();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Connection {
        let command = Connection::augment_args(Command::new("test").no_binary_name(true));
        let matches = command.try_get_matches_from(args).expect("valid");
        Connection::from_arg_matches(&matches).expect("valid")
    }

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| OsString::from(*value))
        }
    }

    fn message(failure: &Failure) -> String {
        match failure {
            Failure::P21(error) => error.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_option_that_is_no_secret_has_a_flag() {
        for row in OPTIONS {
            let value = match row.kind {
                Kind::Choice(words) => words[0],
                _ => "1",
            };
            let connection = parse(&[&flag_of(row.name), value]);
            assert_eq!(
                connection.flags.len(),
                usize::from(!row.secret),
                "{}",
                row.name
            );
            assert_eq!(
                connection.refused.len(),
                usize::from(row.secret),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn a_secret_in_any_spelling_is_refused_and_not_repeated() {
        for args in [
            &["--password", "hunter2"][..],
            &["--password=hunter2"],
            &["--password", "--hunter2"],
            &["--consumer-key", "hunter2"],
            &["--access-token", "hunter2"],
            &["--store-key=hunter2"],
            &["--proxy", "http://u:hunter2@proxy:3128"],
            &["--proxy", "hunter2@proxy"],
            &["--store", "redis://:hunter2@cache:6379/0"],
            &["--base-url", "https://u:hunter2@p21.example.com"],
        ] {
            let failure = parse(args).config(env(&[])).expect_err(args[0]);
            let text = message(&failure);
            assert_eq!(failure.exit_code(), 2, "{text}");
            assert!(!text.contains("hunter2"), "{text}");
            let flag = args[0].split('=').next().expect("a flag");
            if flag != "--base-url" {
                let name = variable(&flag[2..].replace('-', "_"), "P21_");
                assert!(
                    text.contains(flag) && text.contains(&name) && text.contains(".env"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn flags_come_before_variables_and_those_before_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(
            file.path(),
            "P21_BASE_URL=https://file.example.com\nP21_USERNAME=file\nP21_PASSWORD=file\nP21_TIMEOUT_MS=1\n",
        )
        .expect("written");
        let path = file.path().to_str().expect("UTF-8");
        let vars = [
            ("P21_USERNAME", "env"),
            ("P21_PASSWORD_FILE", "/env/password"),
            ("P21_TIMEOUT_MS", "2"),
        ];
        let connection = parse(&["--env-file", path, "--timeout-ms", "3"]);
        let config = connection.config(env(&vars)).expect("complete");
        assert_eq!(config.get("base_url"), Some("https://file.example.com"));
        assert_eq!(config.get("username"), Some("env"));
        assert_eq!(config.get("timeout_ms"), Some("3"));
        // Not "both are set": the variable outranks the file's twin.
        assert_eq!(config.get("password"), None);
        assert_eq!(config.get("password_file"), Some("/env/password"));
    }

    #[test]
    fn every_option_says_where_it_comes_from() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(
            file.path(),
            "P21_BASE_URL=https://file.example.com\nP21_USERNAME=file\nP21_PASSWORD=hunter2\n",
        )
        .expect("written");
        let path = file.path().to_str().expect("UTF-8");
        let in_file = format!("file {path}");
        let origins = |args: &[&str], vars: &[(&str, &str)]| -> Vec<(&str, String)> {
            let gathered = parse(args).gather_from(env(vars));
            assert!(gathered.complete.is_ok(), "{args:?}");
            let options = gathered.options.into_iter();
            options.map(|(row, origin)| (row.name, origin)).collect()
        };
        let vars = [("P21_PASSWORD", "hunter2"), ("P21_VERIFY_SSL", "0")];
        assert_eq!(
            origins(&["--env-file", path, "--timeout-ms", "9"], &vars),
            [
                ("base_url", in_file.clone()),
                ("username", in_file),
                ("password", "environment P21_PASSWORD".to_owned()),
                ("timeout_ms", "flag --timeout-ms".to_owned()),
                ("tls_verify", "environment P21_VERIFY_SSL".to_owned()),
            ]
        );
        // The consumer's username is one only with a consumer key.
        for (credential, name) in [
            ("P21_CONSUMER_KEY", "P21_CONSUMER_USERNAME"),
            ("P21_PASSWORD", "P21_USERNAME"),
        ] {
            let vars = [
                ("P21_BASE_URL", "p21.example.com"),
                (credential, "hunter2"),
                ("P21_USERNAME", "u"),
                ("P21_CONSUMER_USERNAME", "c"),
            ];
            let found = origins(&[], &vars);
            assert!(
                found.contains(&("username", format!("environment {name}"))),
                "{found:?}"
            );
        }
        let vars = [
            ("P21_BASE_URL", "p21.example.com"),
            ("P21_CONSUMER_KEY", "hunter2"),
            ("P21_CONSUMER_USERNAME", "c"),
        ];
        let found = origins(&[], &vars);
        assert!(found.contains(&("username", "environment P21_CONSUMER_USERNAME".to_owned())));
    }

    #[test]
    fn a_flag_mends_a_bad_variable_and_otherwise_the_variable_is_named() {
        let vars = [
            ("P21_BASE_URL", "p21.example.com"),
            ("P21_CONSUMER_KEY", "k"),
            ("P21_TIMEOUT_MS", "soon"),
        ];
        assert!(parse(&["--timeout-ms", "9"]).config(env(&vars)).is_ok());
        let failure = parse(&[]).config(env(&vars)).expect_err("a bad number");
        assert!(message(&failure).contains("P21_TIMEOUT_MS"), "{failure:?}");
    }

    #[test]
    fn what_is_missing_is_named_under_the_prefix_in_use() {
        let failure = parse(&["--env-prefix", "P21_PLAY_"])
            .config(env(&[
                ("P21_PLAY_BASE_URL", "p21.example.com"),
                ("P21_PASSWORD", "x"),
            ]))
            .expect_err("no credentials");
        let text = message(&failure);
        assert!(
            text.contains("P21_PLAY_PASSWORD") && text.contains("--env-file"),
            "{text}"
        );
    }

    #[test]
    fn switches_need_no_value() {
        assert_eq!(
            parse(&["--allow-http"]).flags,
            [("allow_http", "1".to_owned())]
        );
        assert_eq!(
            parse(&["--tls-verify", "0"]).flags,
            [("tls_verify", "0".to_owned())]
        );
    }
}
