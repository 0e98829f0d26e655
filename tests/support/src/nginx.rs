//! nginx as people put it before the P21 middleware.

use std::path::Path;
use std::process::Command;

use p21_emulator::{Emulator, Options};
use tempfile::TempDir;

use crate::identity::Identity;
use crate::program::Program;

/// What an nginx is set up with.
#[derive(Clone, Copy, Default)]
pub struct Setup<'a> {
    /// Serves TLS with it; `None`: plain http.
    pub identity: Option<&'a Identity>,
    /// More in the `server` block.
    pub server: &'a str,
    /// More in the `http` block.
    pub http: &'a str,
    /// Instead of passing everything on to the emulator.
    pub location: Option<&'a str>,
}

/// nginx before an emulator.
pub struct Nginx {
    pub emulator: Emulator,
    pub base_url: String,
    pub program: Program,
}

impl Nginx {
    pub fn start(setup: Setup<'_>) -> Nginx {
        let emulator = Emulator::start(Options::default()).expect("the emulator starts");
        let folder = TempDir::new().expect("a folder");
        if let Some(identity) = setup.identity {
            std::fs::write(folder.path().join("cert.pem"), &identity.pem).expect("written");
            let key = identity.key.serialize_pem();
            std::fs::write(folder.path().join("key.pem"), key).expect("written");
        }
        let program = run(folder, &setup, &emulator);
        let scheme = if setup.identity.is_some() {
            "https"
        } else {
            "http"
        };
        let base_url = format!("{scheme}://127.0.0.1:{}", program.port);
        let mut settings = emulator.control().settings();
        settings.ui_url = Some(format!("{base_url}/uiserver0/"));
        emulator.control().set_settings(settings);
        Nginx {
            emulator,
            base_url,
            program,
        }
    }

    /// Number of requests that it answered with `status`, which must be one at least: it logs an answer when it is done with
    /// it, which may be after the client has read it.
    pub fn answered(&self, status: u16) -> usize {
        let status = status.to_string();
        let end = std::time::Instant::now() + crate::PATIENCE;
        loop {
            let log = self.program.log("access.log");
            let count = log.iter().filter(|line| **line == status).count();
            if count > 0 || std::time::Instant::now() > end {
                return count;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

fn run(folder: TempDir, setup: &Setup<'_>, emulator: &Emulator) -> Program {
    let location = setup.location.map_or_else(
        || format!("proxy_pass {};", emulator.base_url()),
        str::to_owned,
    );
    Program::start("nginx", "nginx-light", folder, |command, port, folder| {
        let conf = configuration(port, &location, setup);
        std::fs::write(folder.join("nginx.conf"), conf).expect("written");
        arguments(command, folder);
    })
}

fn arguments(command: &mut Command, folder: &Path) {
    command
        .arg("-p")
        .arg(folder)
        .args(["-c", "nginx.conf", "-e", "stderr"]);
}

fn configuration(port: u16, location: &str, setup: &Setup<'_>) -> String {
    let (ssl, certificate) = match setup.identity {
        Some(_) => (
            " ssl",
            "ssl_certificate cert.pem; ssl_certificate_key key.pem;",
        ),
        None => ("", ""),
    };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path tmp-{name};"))
        .join(" ");
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
  {temporary}
  log_format status '$status';
  access_log access.log status;
  gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
  {http}
  server {{
    listen 127.0.0.1:{port}{ssl};
    {certificate}
    {server}
    location / {{ {location} }}
  }}
}}
",
        http = setup.http,
        server = setup.server
    )
}
