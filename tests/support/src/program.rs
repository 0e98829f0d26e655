//! A server program that runs as long as a test needs it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::PATIENCE;

/// A program on a loopback port, with a folder of its own. Dropping it ends it.
pub struct Program {
    pub port: u16,
    pub folder: TempDir,
    child: Child,
}

impl Program {
    /// Starts `name` of the Debian package `package`: `command` makes it ready to listen on a port. Another program may
    /// take the port between its choice and the start; then there is another try.
    pub fn start(
        name: &str,
        package: &str,
        folder: TempDir,
        command: impl Fn(&mut Command, u16, &Path),
    ) -> Program {
        let program = find(name, package);
        // Squid started by root goes on as a user of its own.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))
            .expect("permissions");
        for _ in 0..5 {
            let port = free_port();
            let mut child = Command::new(&program);
            command(&mut child, port, folder.path());
            let log = std::fs::File::create(folder.path().join("output.log")).expect("a file");
            let mut child = child
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a file"))
                .stderr(log)
                .spawn()
                .expect("the program starts");
            if listens(&mut child, port) {
                return Program {
                    port,
                    folder,
                    child,
                };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!(
            "{name} does not start:\n{}",
            std::fs::read_to_string(folder.path().join("output.log")).unwrap_or_default()
        );
    }

    /// The lines of one of its logs.
    pub fn log(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Ends the program as a crash would; its port is free then.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until someone listens on `port`; false if the program ends first.
fn listens(child: &mut Child, port: u16) -> bool {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end && child.try_wait().expect("a child").is_none() {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The program's path. System programs are not on every user's path.
fn find(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            panic!("{name} is missing: apt-get install --no-install-recommends {package}")
        })
}
