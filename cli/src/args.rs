//! What the command line looks like. Doc comments on its types are the help texts.

#![allow(
    clippy::doc_markdown,
    reason = "the comments are printed as they stand"
)]

use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use p21_emulator::Certificate;
use p21auth::doctor;

use super::connection::{Connection, ToKeep};
use super::failure::{EXIT_STATUSES, Failure, USAGE};
use super::output::{STRONG, remark, styled};

/// Access tokens for Epicor Prophet 21 (P21) APIs.
///
/// Fetches Bearer tokens from a P21 middleware server, inspects tokens, and emulates a P21 server if you have no play server.
/// Values go to standard output, messages to standard error. Not affiliated with Epicor.
#[derive(Debug, Parser)]
#[command(name = "p21auth", version, after_long_help = exit_help(), after_help = "Exit statuses: p21auth --help", disable_help_subcommand = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print an access token
    ///
    /// Requests a token from the P21 server and prints only the token on standard output.
    ///
    /// Each run is a separate process that requests its own token, and each request opens a middleware session on the server. For
    /// a scheduled task or a script that runs often, set P21_STORE=file (or --store file): its runs then share one token,
    /// encrypted in your cache folder, and send one request per token lifetime.
    #[command(after_long_help = examples("P21_BASE_URL=https://p21.example.com P21_USERNAME=api.user P21_PASSWORD=… p21auth token\n  p21auth token --header | curl -H @- 'https://p21.example.com/odataservice/odata/table/customer?$top=5'"))]
    Token(TokenArgs),
    /// Print the URL of the UI server, for the Interactive and Transaction APIs
    ///
    /// Gets a token, sends it to the UI router, and prints the URL without a trailing slash.
    UiUrl(UiUrlArgs),
    /// Explain why an API rejected a token, and drop the token if it is the cause
    ///
    /// Reads the rejected token from standard input, prints RETRY, PERMISSION, HEADER_LOST or GIVE_UP, and what to do on standard
    /// error. With a shared store (P21_STORE=file or redis://…) a rejected token is dropped there, so that the next run of any
    /// program gets a new one. A token that is no longer the current one drops nothing. Exit status 0 for RETRY, and a different
    /// one for each other verdict.
    #[command(after_long_help = examples("printf %s \"$token\" | p21auth report --status 401 --body-file answer.txt"))]
    Report(ReportArgs),
    /// Call a P21 API with the token, and print the response
    ///
    /// PATH is relative to the base URL; one that begins with uiserver goes to the UI server. A full URL must belong to one of
    /// the two. The token is fetched or read from the store. If the API rejects the token, it is reported, and the call is sent
    /// once more if a new token can help. The response body goes to standard output unchanged; after a failure the cause and what
    /// to do go to standard error.
    #[command(after_long_help = examples("p21auth api odataservice/odata/table/customer -f '$top=5' -f '$orderby=customer_name'\n  p21auth api 'odataservice/odata/table/customer?$select=customer_id' --all\n  p21auth api uiserver0/api/v2/transaction --input order.json"))]
    Api(ApiArgs),
    /// Run a command with the token in its environment
    ///
    /// Sets P21_BASE_URL, P21_ACCESS_TOKEN and P21_AUTH_MODE=token for the command; programs that use this library work with them
    /// unchanged. The password or consumer key is removed from its environment. The exit status is that of the command, or 126 or
    /// 127 if it cannot be started.
    #[command(after_long_help = examples("p21auth exec -- sh -c 'curl -H \"Authorization: Bearer $P21_ACCESS_TOKEN\" \"$P21_BASE_URL/api/sales/orders/1\"'"))]
    Exec(ExecArgs),
    /// Show the claims and the lifetime of a token from standard input
    ///
    /// Reads a token (with or without 'Bearer ' before it) or a whole token response, JSON or XML, and shows its user, its scope
    /// and how long it is valid. Nothing is sent anywhere; the signature is neither checked nor shown.
    #[command(after_long_help = examples("p21auth token | p21auth inspect"))]
    Inspect(InspectArgs),
    /// Find out why a token cannot be fetched, step by step
    ///
    /// Checks the configuration, the shared store, the network path to the server (proxy, DNS, TCP, TLS), the server's clock, the
    /// token and the APIs, and reports for each what was found and what to do. Nothing is changed on the server, and no secret is
    /// shown.
    ///
    /// A stored token (P21_STORE=file or redis://…) or your own token is used first. Without one, a token must be requested,
    /// which opens a middleware session and, with a wrong password, counts as a failed login. On a terminal you are asked first;
    /// elsewhere, such as in a pipe or a scheduled task, no token is requested without --yes. A run never sends more than one
    /// token request. The Interactive API is asked for its list of sessions; none is opened.
    ///
    /// Exit status 0 if no step failed (warnings and skipped steps are not failures), otherwise that of the first step that
    /// failed.
    #[command(after_long_help = examples("p21auth doctor --yes"))]
    Doctor(DoctorArgs),
    /// Show or clear the shared token store
    Store(StoreArgs),
    /// Check credentials, and save them as a profile
    ///
    /// Asks for the server's address and for credentials, checks the connection to the server, and gets one token to verify them.
    /// If that works, saves the secret in the system's secret store (the desktop keyring, on Windows the Credential Manager) and
    /// the rest as a profile in profiles.toml in your configuration folder. Every program that uses this library then needs only
    /// the profile's name; see docs/profiles.md.
    ///
    /// Without a terminal it asks nothing: pass address and user as flags, and the secret on standard input. Options passed as
    /// flags become part of the profile. The environment is not read, except for proxies. An untrusted certificate is pinned only
    /// after you confirm it, or by --tls-pin-sha256.
    ///
    /// Without a secret store of the system, the secret is saved in a file that only you can read, and a message says so.
    #[command(after_long_help = examples("p21auth login --profile play\n  pass show p21 | p21auth login --profile play --base-url https://p21.example.com --username api.user"))]
    Login(LoginArgs),
    /// Remove a profile and its secret
    Logout(LogoutArgs),
    /// List the profiles, without secrets
    Profiles(ProfilesArgs),
    /// Print a secret from the system's secret store
    Secret(SecretArgs),
    /// Run an emulated P21 server on this machine, for development and tests
    ///
    /// Issues tokens in every dialect, serves OData, entities, transactions and Interactive windows from sample rows, and fails
    /// on request. Prints its address, the address of a page that shows incoming requests, and the variables to copy into another
    /// terminal. Ends on Ctrl-C.
    ///
    /// Users: demo / demo-password, and readonly / readonly-password who may not use OData. Consumer keys:
    /// 00000000-0000-4000-8000-000000000001 (full scope), …2 (never expires), …3 (scope /odata:customer), …4
    /// (/uiserver0), …5 (disabled). Others come from --config, a JSON file.
    ///
    /// See docs/emulator.md for the endpoints, all settings, and the control endpoint with its faults and counters.
    #[command(after_long_help = config_example())]
    Mock(MockArgs),
    /// Show what this library does, with an emulated server inside this process
    ///
    /// Fetches tokens over TLS in every dialect, shows each kind of failure with its message and hint, and counts the requests of
    /// many threads. Needs no P21 server and no configuration. Exit status 0 only if every number is as expected.
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Print the whole response as JSON: AccessToken, ExpiresInSeconds (remaining), UserName, Scope, Claims …
    #[arg(long, conflicts_with = "header")]
    pub json: bool,
    /// Print a header line, 'Authorization: Bearer …', for curl -H @-
    #[arg(long)]
    pub header: bool,
    /// First drop the rejected token from standard input, if it is still the current one
    #[arg(long)]
    pub rejected: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// HTTP status of the API's response
    #[arg(long, value_name = "STATUS")]
    pub status: i32,
    /// File with the body of the response; without it, a 401 means that the token is no longer accepted
    #[arg(long, value_name = "FILE")]
    pub body_file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct ApiArgs {
    /// Path and query, or a full URL of the server
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Method [default: GET, or POST with --input]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub method: Option<String>,
    /// A header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// A field: part of the query for a read or with --input, otherwise of a JSON object; may be repeated
    #[arg(short = 'f', long = "field", value_name = "NAME=VALUE")]
    pub fields: Vec<String>,
    /// File with the body, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub input: Option<String>,
    /// Fetch all rows of a list as one JSON array: follows the server's links, or requests page by page until a page is short
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// Also set P21_UI_URL, the URL of the UI server
    #[arg(long)]
    pub ui_url: bool,
    #[command(flatten)]
    pub connection: Connection,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(super) struct UiUrlArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Request a token from the server, if one is needed, without asking you
    #[arg(long, conflicts_with = "no_token_request")]
    pub yes: bool,
    /// Request no token: use a stored one or your own
    #[arg(long)]
    pub no_token_request: bool,
    /// APIs to try, separated by commas
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', default_values_t = Api::ALL)]
    pub apis: Vec<Api>,
    /// Table to request from the OData service [default: one that the token's scope names, or customer]
    #[arg(long, value_name = "NAME")]
    pub odata_table: Option<String>,
    #[command(flatten)]
    pub connection: Connection,
}

/// An API that a token may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Api {
    /// The UI server's URL
    Router,
    /// One row of a table
    Odata,
    /// The Entity API's health check
    Entity,
    /// The list of the token's sessions
    Interactive,
}

impl Api {
    pub const ALL: [Api; 4] = [Api::Router, Api::Odata, Api::Entity, Api::Interactive];

    /// The library's word for it.
    pub const fn examined(self) -> doctor::Api {
        match self {
            Api::Router => doctor::Api::Router,
            Api::Odata => doctor::Api::Odata,
            Api::Entity => doctor::Api::Entity,
            Api::Interactive => doctor::Api::Interactive,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    pub command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// List the entries: fingerprints and lifetimes, no secrets
    ///
    /// Each entry is encrypted with its credential, so only the lifetime of other users' entries can be shown. Sends nothing to a
    /// P21 server.
    #[command(after_long_help = examples("P21_STORE=file p21auth store status"))]
    Status(StoreStatusArgs),
    /// Remove the entries of all users
    ///
    /// Running processes keep their tokens; the next process that starts requests a new one.
    Clear(StoreClearArgs),
}

#[derive(Debug, Args)]
pub(super) struct StoreStatusArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct StoreClearArgs {
    /// Remove only expired entries; without this command, processes remove them over time
    #[arg(long)]
    pub expired: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// Change a profile of this name without a question
    #[arg(long)]
    pub yes: bool,
    /// Keep the secret in a file that you alone can read, and not in the system's store
    #[arg(long)]
    pub in_file: bool,
    #[command(flatten)]
    pub connection: ToKeep,
}

#[derive(Debug, Args)]
pub(super) struct LogoutArgs {
    /// Name of the profile [default: P21_PROFILE, else default]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ProfilesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    pub command: SecretCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Print only the secret of a profile, on standard output
    ///
    /// For command: sources and scripts. It is the secret that p21auth login saved under this name.
    #[command(after_long_help = examples("P21_PASSWORD_FROM='command:p21auth secret get play' my-program"))]
    Get(SecretGetArgs),
}

#[derive(Debug, Args)]
pub(super) struct SecretGetArgs {
    /// Name of the profile, or account of another service
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Another service in the system's secret store
    #[arg(long, value_name = "SERVICE", default_value = "p21auth")]
    pub service: String,
}

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches")]
pub(super) struct MockArgs {
    /// Port to listen on; 0 picks a free one
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Address to listen on; beyond loopback, control calls need a token
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,
    /// Serve https: good (the default), self-signed, expired or wrong-host
    #[arg(long, value_name = "CERTIFICATE", num_args = 0..=1, default_missing_value = "good")]
    pub tls: Option<Certificate>,
    /// Where to write the certificate of the emulator's CA, which is created at each start
    #[arg(long, value_name = "FILE", default_value = "p21-emulator-ca.pem")]
    pub ca_file: PathBuf,
    /// Path in front of the middleware, such as /P21APIService
    #[arg(long, value_name = "PATH")]
    pub prefix: Option<String>,
    /// Lifetime of new tokens in seconds [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    pub lifetime: Option<i64>,
    /// Format of token responses: auto, json, xml, token_response, bare or bare_json [default: auto]
    #[arg(long, value_name = "FORMAT")]
    pub reply: Option<String>,
    /// A new token ends the earlier ones of the same user or key
    #[arg(long)]
    pub single_session: bool,
    /// Any other setting of docs/emulator.md, such as throttle_max=5; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,
    /// JSON file with users, keys, settings and any other option of docs/emulator.md; flags override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// JSON file with the rows behind the APIs, instead of the built-in sample
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Bearer token that control calls must carry [default: none on loopback, otherwise one is created and printed]
    #[arg(long, value_name = "TOKEN")]
    pub control_token: Option<String>,
    /// Open the page in your browser
    #[arg(long)]
    pub open: bool,
    /// No page and no control endpoint
    #[arg(long)]
    pub no_control: bool,
    /// Print one JSON object about the emulator instead of text, for programs that start it
    #[arg(long)]
    pub json: bool,
    /// End when standard input ends, so that an emulator never outlives the program that started it
    #[arg(long)]
    pub until_stdin_ends: bool,
    /// Log each request to standard error, without passwords, keys and tokens
    #[arg(long, short)]
    pub verbose: bool,
}

fn examples(lines: &str) -> String {
    format!("{}\n  {lines}", styled(STRONG, "Examples:"))
}

fn config_example() -> String {
    let title = styled(STRONG, "A file for --config:");
    format!(
        r#"{title}
  {{"users": [{{"name": "api.user", "password": "made-up"}}],
   "keys": [{{"key": "made-up-key", "uid": "7", "scope": "/odata"}}]}}"#
    )
}

fn exit_help() -> String {
    let title = styled(STRONG, "Exit statuses:");
    EXIT_STATUSES
        .iter()
        .fold(format!("{title}\n  0  success"), |text, status| {
            format!("{text}\n  {}  {}", status.number, status.meaning)
        })
}

/// Prints what the parser says: help, version, or what is wrong with the command line.
///
/// The parser repeats words that it does not expect. Such a word may be a token or password, so it is left out.
pub(super) fn explain(error: &clap::Error) -> Result<(), Failure> {
    if !error.use_stderr() {
        return Ok(error.print()?);
    }
    let unexpected = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) => Some(word.as_str()),
        _ => None,
    };
    if unexpected.is_some_and(|word| !word.starts_with('-')) {
        return Err(Failure::usage(
            "a word on the command line is not expected (not shown, as it may be a secret)",
            "p21auth takes only options, such as --base-url https://p21.example.com; 'p21auth inspect' reads the token from standard input. See --help.",
        ));
    }
    if error.kind() == ErrorKind::InvalidSubcommand {
        // The best one is the last.
        let near = match error.get(ContextKind::SuggestedSubcommand) {
            Some(ContextValue::Strings(names)) => names.clone(),
            Some(ContextValue::String(name)) => vec![name.clone()],
            _ => Vec::new(),
        };
        let command = Cli::command();
        let all: Vec<_> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        let hint = match near.last() {
            Some(name) => format!("Did you mean '{name}'? See p21auth --help."),
            None => format!("The commands are {}. See p21auth --help.", all.join(", ")),
        };
        return Err(Failure::usage("there is no such command", hint));
    }
    remark(error.render().ansi().to_string().trim_end());
    Err(Failure::Told(USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_any_width() {
        for width in [60, 100] {
            let mut command = Cli::command().term_width(width);
            command.build();
            for subcommand in command.get_subcommands_mut() {
                let help = subcommand.render_long_help().to_string();
                let about = help.split("Usage:").next().expect("text");
                let longest = about.lines().map(|line| line.chars().count()).max();
                assert!(longest.is_some_and(|longest| longest <= width), "{about}");
                // Paragraphs flow: none breaks early where the next word would have fitted.
                let lines: Vec<_> = about.lines().collect();
                for pair in lines.windows(2) {
                    let word = pair[1].split(' ').next().unwrap_or_default();
                    let room = width - pair[0].chars().count();
                    let ends = pair[0].is_empty() || word.is_empty();
                    assert!(ends || word.chars().count() >= room, "{width}: {pair:?}");
                }
            }
        }
    }

    #[test]
    fn help_explains_exit_statuses_and_the_store() {
        let mut command = Cli::command();
        let help = command.render_long_help().to_string();
        for status in EXIT_STATUSES {
            assert!(
                help.contains(status.meaning.split(':').next().expect("text")),
                "{help}"
            );
        }
        let token = command.find_subcommand_mut("token").expect("a command");
        let help = token.render_long_help().to_string();
        assert!(help.contains("P21_STORE=file"), "{help}");
        assert!(
            help.contains("--tls-pin-sha256") && help.contains("P21_TLS_PIN_SHA256"),
            "{help}"
        );
        assert!(
            !help.contains("--password ") && help.contains("--password-file"),
            "{help}"
        );
    }
}
