//! squid as a company's way out.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use crate::program::Program;

/// User and password, the latter with everything that a URL must escape.
pub const USER: &str = "corp\\proxy user";
pub const PASSWORD: &str = "p@ss:w/rd%#?é";

/// A squid on loopback.
pub struct Squid(pub Program);

/// Whom it lets through.
#[derive(Clone, Copy)]
pub enum Access {
    /// Everyone.
    Open,
    /// Code that knows [`USER`] and [`PASSWORD`].
    Basic,
    /// Who comes with a ticket of the Windows domain.
    Negotiate,
    /// No one to any port but 443.
    Port443,
}

/// Answers `OK` to the user and password in the file `known`, which are escaped as squid escapes them.
const HELPER: &str = "#!/bin/sh
read -r known < \"$1\"
while read -r line; do
  if [ \"$line\" = \"$known\" ]; then echo OK; else echo ERR; fi
done
";

impl Squid {
    pub fn start(access: Access) -> Squid {
        let folder = TempDir::new().expect("a folder");
        let helper = folder.path().join("helper.sh");
        std::fs::write(&helper, HELPER).expect("written");
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755))
            .expect("permissions");
        std::fs::write(
            folder.path().join("known"),
            "corp%5Cproxy%20user p@ss:w/rd%25%23?%C3%A9\n",
        )
        .expect("written");
        Squid(Program::start(
            "squid",
            "squid",
            folder,
            |command, port, folder| {
                let conf = folder.join("squid.conf");
                std::fs::write(&conf, configuration(port, folder, access)).expect("written");
                // In the foreground, and what goes wrong on stderr.
                command.args(["-N", "-d", "1", "-f"]).arg(conf);
            },
        ))
    }

    pub fn place(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.place())
    }

    pub fn url_with(&self, user: &str, password: &str) -> String {
        let mut url = url::Url::parse(&self.url()).expect("a URL");
        url.set_username(user).expect("a user");
        url.set_password(Some(password)).expect("a password");
        url.to_string()
    }

    /// Method, target and squid's result of each request so far. Squid writes a line once a request is over.
    pub fn log(&self) -> Vec<String> {
        let mut log = self.0.log("access.log");
        // The test looked whether it listens.
        log.retain(|line| !line.starts_with("- error:transaction-end-before-headers"));
        log
    }
}

fn configuration(port: u16, folder: &Path, access: Access) -> String {
    let folder = folder.display();
    let rules = match access {
        Access::Open => "http_access allow all".to_owned(),
        Access::Basic => format!(
            "auth_param basic program {folder}/helper.sh {folder}/known
auth_param basic children 1 startup=0
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all"
        ),
        Access::Negotiate => format!(
            "auth_param negotiate program {folder}/helper.sh {folder}/known
auth_param negotiate children 1 startup=0
auth_param ntlm program {folder}/helper.sh {folder}/known
auth_param ntlm children 1 startup=0
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all"
        ),
        Access::Port443 => "acl secure port 443
http_access allow secure
http_access deny all"
            .to_owned(),
    };
    format!(
        "http_port 127.0.0.1:{port}
visible_hostname proxy.test
pid_filename {folder}/squid.pid
cache_log {folder}/cache.log
logformat short %rm %ru %>Hs
access_log stdio:{folder}/access.log logformat=short
buffered_logs off
coredump_dir {folder}
cache deny all
cache_mem 1 MB
pinger_enable off
shutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1
dns_timeout 1 second
connect_timeout 5 seconds
{rules}
"
    )
}
