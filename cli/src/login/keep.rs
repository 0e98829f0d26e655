//! Where the secret of a profile is kept: in the system's store, or in a file that is the user's alone.

use std::path::PathBuf;

use zeroize::Zeroizing;

use p21auth::internal::secret::Secret;
use p21auth::internal::sources::read_named;

use super::Failure;
use super::ask::{self, Asker};
use super::book::{Book, make_private, write_private};

/// The name of this library in the system's store.
pub(super) const SERVICE: &str = "p21auth";

/// Where a secret is.
pub(super) enum Place {
    /// An entry of the user's keyring.
    #[cfg(not(windows))]
    Keyring(String),
    /// A target in the Windows Credential Manager.
    #[cfg(windows)]
    Wincred(String),
    File(PathBuf),
}

impl Place {
    /// The system's store.
    fn of_system(service: &str, name: &str) -> Place {
        let entry = format!("{service}/{name}");
        #[cfg(not(windows))]
        return Place::Keyring(entry);
        #[cfg(windows)]
        return Place::Wincred(entry);
    }

    fn file(name: &str) -> Result<Place, Failure> {
        let folder = Book::open()?.folder().join("secrets");
        Ok(Place::File(folder.join(name)))
    }

    /// As an option `…_from` has it.
    pub(super) fn source(&self) -> String {
        match self {
            #[cfg(not(windows))]
            Place::Keyring(entry) => format!("keyring:{entry}"),
            #[cfg(windows)]
            Place::Wincred(target) => format!("wincred:{target}"),
            Place::File(path) => format!("file:{}", path.display()),
        }
    }

    pub(super) fn in_words(&self) -> String {
        match self {
            #[cfg(not(windows))]
            Place::Keyring(entry) => format!("your keyring, as {entry}"),
            #[cfg(windows)]
            Place::Wincred(target) => format!("the Windows Credential Manager, as {target}"),
            Place::File(path) => {
                format!("{}, unencrypted, and only you can read it", path.display())
            }
        }
    }

    /// The secret that is there.
    fn read(&self) -> p21auth::Result<Secret> {
        read_named("secret", &self.source())
    }
}

/// Puts a secret into the system's store, or into a file if that is wished or there is no store.
pub(super) fn keep(
    name: &str,
    secret: &str,
    in_file: bool,
    asker: &Asker,
) -> Result<Place, Failure> {
    let file = Place::file(name)?;
    if !in_file {
        let place = Place::of_system(SERVICE, name);
        match system::store(name, secret).and_then(|()| verified(&place, secret)) {
            Ok(()) => {
                remove_file(&file)?;
                return Ok(place);
            }
            Err(why) => {
                super::remark(&format!(
                    "The system's store of secrets cannot be used: {why}"
                ));
                let question = format!("Keep it in {} instead? [y/N] ", file.in_words());
                if asker.is_possible() && !ask::yes(&question)? {
                    return Err(super::unchanged());
                }
            }
        }
    }
    let Place::File(path) = &file else {
        return Ok(file);
    };
    let written = path
        .parent()
        .map_or(Ok(()), |folder| {
            make_private(folder).and_then(|()| set_private(folder))
        })
        .and_then(|()| write_private(path, secret.as_bytes()));
    written.map_err(|error| {
        Failure::other(format!("{} cannot be written: {error}", path.display()), "")
    })?;
    Ok(file)
}

/// A store that takes a secret may still not return it.
fn verified(place: &Place, secret: &str) -> Result<(), String> {
    match place.read() {
        Ok(found) if found.expose() == secret => Ok(()),
        Ok(_) => Err("what it returns is not what was stored".to_owned()),
        Err(error) => Err(error.message().to_owned()),
    }
}

/// A folder that was there before.
#[cfg(unix)]
fn set_private(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on Unix")]
fn set_private(_: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}

/// The secret of a profile, or an account of another service.
pub(super) fn find(service: &str, name: &str) -> Result<Zeroizing<String>, Failure> {
    let owned = |secret: Secret| Zeroizing::new(secret.expose().to_owned());
    let own = (service == SERVICE)
        .then(|| Place::file(name))
        .transpose()?;
    if let Some(file @ Place::File(path)) = &own
        && path.exists()
    {
        return Ok(owned(file.read()?));
    }
    Ok(owned(Place::of_system(service, name).read()?))
}

fn remove_file(place: &Place) -> Result<bool, Failure> {
    let Place::File(path) = place else {
        return Ok(false);
    };
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            let path = path.display();
            Err(Failure::other(
                format!("{path} cannot be removed: {error}"),
                "",
            ))
        }
    }
}

/// Removes the secret of a profile: from `place`, or from wherever it may be. Returns whether there was one.
pub(super) fn remove(name: &str, place: Option<&Place>) -> Result<bool, Failure> {
    let in_file = match place {
        None => remove_file(&Place::file(name)?)?,
        Some(place) => remove_file(place)?,
    };
    if matches!(place, Some(Place::File(_))) {
        return Ok(in_file);
    }
    // A store that cannot be read is none where nothing was kept.
    if Place::of_system(SERVICE, name).read().is_err() {
        return Ok(in_file);
    }
    match system::remove(name) {
        Ok(()) => Ok(true),
        Err(why) => Err(Failure::other(
            format!("the secret cannot be removed from the system's store: {why}"),
            "Remove it there, by its name p21auth.",
        )),
    }
}

/// The Keychain, or the Secret Service.
#[cfg(not(windows))]
mod system {
    use std::io::{Read as _, Write as _};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::SERVICE;

    /// The system may ask for a passphrase first.
    const LIMIT: Duration = Duration::from_mins(2);

    const PROGRAM: &str = "secret-tool";
    const INSTALL: &str =
        "install the package libsecret-tools (Debian, Ubuntu) or libsecret (Fedora)";

    pub(in super::super) fn store(name: &str, secret: &str) -> Result<(), String> {
        if cfg!(target_vendor = "apple") {
            return Err("p21auth does not write to the Keychain".to_owned());
        }
        let label = format!("--label=p21auth {name}");
        // Python's package keyring finds it under these names, too.
        run(
            &["store", &label, "service", SERVICE, "username", name],
            secret,
        )
    }

    pub(in super::super) fn remove(name: &str) -> Result<(), String> {
        if cfg!(target_vendor = "apple") {
            return Err("p21auth does not write to the Keychain".to_owned());
        }
        run(&["clear", "service", SERVICE, "username", name], "")
    }

    /// Runs the program. The secret goes by a pipe: other users can see arguments.
    fn run(args: &[&str], input: &str) -> Result<(), String> {
        let mut child = Command::new(PROGRAM)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => format!("there is no {PROGRAM}: {INSTALL}"),
                _ => format!("{PROGRAM} cannot be started: {error}"),
            })?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends early says why by its status.
            let _ = stdin.write_all(input.as_bytes());
        }
        let until = Instant::now() + LIMIT;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!(
                        "{PROGRAM} did not end within {} s",
                        LIMIT.as_secs()
                    ));
                }
                Err(error) => return Err(error.to_string()),
            }
        };
        if status.success() {
            return Ok(());
        }
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            let _ = stderr.take(4096).read_to_string(&mut said);
        }
        // What it says might repeat the secret.
        let line = said.lines().next().unwrap_or_default().trim();
        if line.is_empty() || !input.is_empty() && said.contains(input) {
            return Err(format!("{PROGRAM} ended with {status}"));
        }
        Err(line.chars().filter(|c| !c.is_control()).take(300).collect())
    }
}

/// The Credential Manager.
#[cfg(windows)]
mod system {
    use p21auth::internal::windows;

    use super::SERVICE;

    pub(in super::super) fn store(name: &str, secret: &str) -> Result<(), String> {
        windows::write_credential(&format!("{SERVICE}/{name}"), name, secret)
            .map_err(|error| error.to_string())
    }

    pub(in super::super) fn remove(name: &str) -> Result<(), String> {
        windows::delete_credential(&format!("{SERVICE}/{name}")).map_err(|error| error.to_string())
    }
}
