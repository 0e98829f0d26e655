//! `p21auth mock`: the emulator in the foreground.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use p21_emulator::{Emulator, Log, Options, User};

use super::args::MockArgs;
use super::failure::Failure;
use super::output::{self, QUIET, STRONG, line, styled};

/// Runs the emulator until someone ends it.
pub(super) fn mock(args: &MockArgs) -> Result<(), Failure> {
    let options = options(args)?;
    let users = options.users.clone();
    let port = options.port;
    let emulator = Emulator::start(options).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("Another program uses port {port}. Choose another, or 0 for a free one.")
            }
            io::ErrorKind::PermissionDenied => {
                "Ports below 1024 need administrator rights: choose a higher one.".to_owned()
            }
            _ => String::new(),
        };
        Failure::other(format!("the emulator cannot start: {error}"), hint)
    })?;
    let ca_file = emulator
        .ca_pem()
        .map(|_| write_ca(&emulator, &args.ca_file))
        .transpose()?;
    if args.json {
        output::value(&about(&emulator, ca_file.as_deref()).to_string())?;
    } else {
        show(&emulator, ca_file.as_deref(), users.first())?;
    }
    if !emulator.address().ip().is_loopback() {
        output::remark(
            "Warning: other machines can reach this emulator. Its users and keys are for tests; control calls need the token.",
        );
    }
    if args.open {
        open_page(&emulator)?;
    }
    if args.until_stdin_ends {
        let mut buffer = [0; 4096];
        while io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}

fn options(args: &MockArgs) -> Result<Options, Failure> {
    let mut options = match &args.config {
        Some(file) => read_json(file, "--config", |text| serde_json::from_str(text))?,
        None => Options::default(),
    };
    if let Some(port) = args.port {
        options.port = port;
    }
    if let Some(bind) = args.bind {
        options.bind = bind;
    }
    if let Some(prefix) = &args.prefix {
        options.prefix.clone_from(prefix);
    }
    options.tls = args.tls.or(options.tls);
    options.control &= !args.no_control;
    if let Some(token) = &args.control_token {
        options.control_token = Some(token.clone());
    }
    if let Some(file) = &args.data {
        options.data = read_json(file, "--data", |text| serde_json::from_str(text))?;
    }
    if args.verbose {
        options.log = Some(Log::write(io::stderr()));
    }
    let mut set = |name: &str, value: &str| {
        options.settings.set(name, value).map_err(|error| {
            Failure::usage(
                format!("the emulator's setting {name}: {error}"),
                "docs/emulator.md lists the settings and their values.",
            )
        })
    };
    if let Some(seconds) = args.lifetime {
        set("lifetime_s", &seconds.to_string())?;
    }
    if let Some(reply) = &args.reply {
        set("reply", reply)?;
    }
    if args.single_session {
        set("single_session", "true")?;
    }
    for setting in &args.settings {
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            Failure::usage("--set needs NAME=VALUE", "Such as --set throttle_max=5.")
        })?;
        set(name.trim(), value)?;
    }
    Ok(options)
}

fn read_json<T>(
    file: &Path,
    flag: &str,
    parse: impl Fn(&str) -> serde_json::Result<T>,
) -> Result<T, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{flag}: {shown} cannot be read: {error}"), ""))?;
    parse(&text).map_err(|error| {
        // The parser's words may quote a value of the file, and that a password.
        let what = error.to_string();
        let what = if what.starts_with("unknown field") || what.starts_with("missing field") {
            what
        } else {
            format!(
                "not valid, line {}, column {}",
                error.line(),
                error.column()
            )
        };
        Failure::usage(
            format!("{flag}: {shown}: {what}"),
            "docs/emulator.md lists the options and their values.",
        )
    })
}

/// Writes the CA's certificate and answers its full path, which holds in any folder.
fn write_ca(emulator: &Emulator, file: &Path) -> Result<PathBuf, Failure> {
    emulator
        .write_ca(file)
        .and_then(|()| std::path::absolute(file))
        .map_err(|error| {
            Failure::other(
                format!("the CA file {} cannot be written: {error}", file.display()),
                "Name another with --ca-file.",
            )
        })
}

fn about(emulator: &Emulator, ca_file: Option<&Path>) -> serde_json::Value {
    json!({
        "base_url": emulator.base_url(),
        "control_url": emulator.control_url(),
        "control_token": emulator.control_token(),
        "ca_file": ca_file,
        "tls_pin_sha256": emulator.leaf_sha256(),
    })
}

/// The page, with the token that it needs behind the `#`, which no browser sends anywhere.
fn page_url(emulator: &Emulator) -> Option<String> {
    let url = emulator.control_url()?;
    Some(match emulator.control_token() {
        Some(token) => format!("{url}#token={token}"),
        None => url,
    })
}

/// Opens the page in the user's browser.
fn open_page(emulator: &Emulator) -> Result<(), Failure> {
    let Some(url) = page_url(emulator) else {
        return Err(Failure::usage(
            "--open needs the page, which --no-control turns off",
            "",
        ));
    };
    let program = if cfg!(windows) {
        "explorer"
    } else if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let opened = Command::new(program)
        .arg(&url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = opened {
        output::remark(&format!(
            "The browser cannot be opened ({program}: {error}). The page is {url}"
        ));
    }
    Ok(())
}

fn show(emulator: &Emulator, ca_file: Option<&Path>, user: Option<&User>) -> io::Result<()> {
    let row = |name: &str, text: &str| line(&format!("  {name:<9}{text}"));
    line(&format!(
        "P21 emulator at {}  {}",
        styled(STRONG, emulator.base_url()),
        styled(QUIET, "(Ctrl-C ends it)")
    ))?;
    if let Some(pin) = emulator.leaf_sha256() {
        row("SHA-256", pin)?;
    }
    if let Some(file) = ca_file {
        row("CA file", &file.display().to_string())?;
    }
    if let Some(page) = page_url(emulator) {
        row("page", &page)?;
    }
    line("")?;
    line("In another terminal:")?;
    line("")?;
    for export in exports(emulator, ca_file, user) {
        line(&format!("  {export}"))?;
    }
    line("  p21auth token")
}

/// Lines for a shell. A password is shown only if it is one of the emulator's own.
fn exports(emulator: &Emulator, ca_file: Option<&Path>, user: Option<&User>) -> Vec<String> {
    let mut lines = vec![format!("export P21_BASE_URL={}", emulator.base_url())];
    if let Some(user) = user {
        lines.push(format!("export P21_USERNAME={}", quoted(&user.name)));
        lines.push(if User::defaults().contains(user) {
            format!("export P21_PASSWORD={}", quoted(&user.password))
        } else {
            "export P21_PASSWORD=…  # as in your --config file".to_owned()
        });
    }
    if let Some(file) = ca_file {
        lines.push(format!(
            "export P21_CA_FILE={}",
            quoted(&file.display().to_string())
        ));
    }
    if let Some(pin) = emulator.leaf_sha256() {
        lines.push(format!(
            "# or, instead of the CA file: export P21_TLS_PIN_SHA256={pin}"
        ));
    }
    lines
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !text.is_empty() && text.chars().all(harmless) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_other_users_show_no_password() {
        let emulator = Emulator::start(Options::default()).expect("started");
        let own = exports(&emulator, None, User::defaults().first()).join("\n");
        assert!(own.contains("P21_PASSWORD=demo-password"), "{own}");
        let other = User::new("api user", "hunter2");
        let other = exports(&emulator, None, Some(&other)).join("\n");
        assert!(
            other.contains("P21_USERNAME='api user'") && !other.contains("hunter2"),
            "{other}"
        );
    }

    #[test]
    fn a_bad_file_is_explained_without_its_values() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (text, says) in [
            (r#"{"prot": 1}"#, "prot"),
            ("{\"port\": \"hunter2\"}", "line 1"),
            (r#"{"users": "hunter2"}"#, "line 1"),
        ] {
            std::fs::write(file.path(), text).expect("written");
            let Err(Failure::P21(error)) = read_json(file.path(), "--config", |text| {
                serde_json::from_str::<Options>(text)
            }) else {
                panic!("{text} was taken");
            };
            assert!(
                error.message().contains(says) && !error.message().contains("hunter2"),
                "{error}"
            );
        }
    }
}
