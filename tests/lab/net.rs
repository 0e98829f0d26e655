//! A network of two namespaces: the test itself is the servers' side, client processes are put into the other.
//!
//! The servers' side has 10.99.0.2 to 10.99.0.9 and `fd99::2` to `fd99::9`, the name server 10.99.0.53. 10.99.0.66 to
//! 10.99.0.68 and `fd99::66` swallow what is sent to them. Nothing outlives the test's process.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The network of this test.
pub struct Net {
    /// Keeps the clients' namespaces, as long as its input is open.
    holder: Child,
    etc: tempfile::TempDir,
    /// From here on, 1,000 ports of connections that are not forgotten.
    ports: u16,
}

const INSIDE: &str = "P21AUTH_LAB";

/// Runs the calling test once more in a network of its own. `None` outside of it, when that is done.
pub fn enter(test: &str) -> Option<Net> {
    if std::env::var_os(INSIDE).is_some() {
        return Some(Net::new());
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--propagation", "private"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .env(INSIDE, "1")
        .env("PATH", path())
        .output()
        .expect("unshare runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}{said}"
    );
    // Not what the test harness in there says.
    for line in printed.lines().filter(|line| line.starts_with("== ")) {
        println!("{line}");
    }
    None
}

/// Where Debian has `ip` and `nft`, on the path of a user too.
fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

const RULES: &str = "table inet lab {
  chain dead {
    type filter hook input priority 0;
    ip daddr { 10.99.0.66, 10.99.0.67, 10.99.0.68 } drop
    ip6 daddr fd99::66 drop
  }
  chain in { type filter hook input priority 1; }
  chain out { type filter hook output priority 1; }
}
";

#[allow(
    clippy::unused_self,
    reason = "a filter needs a network of the test's own"
)]
impl Net {
    fn new() -> Net {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private"])
            .args(["sh", "-c", "echo; exec cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let told = holder.stdout.take().expect("piped");
        std::io::Read::read_exact(&mut { told }, &mut [0]).expect("the namespaces are there");
        let etc = tempfile::tempdir().expect("a folder");
        for (name, text) in [
            ("resolv.conf", "nameserver 10.99.0.53\n"),
            ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
            (
                "nsswitch.conf",
                "passwd: files\ngroup: files\nhosts: files dns\n",
            ),
        ] {
            std::fs::write(etc.path().join(name), text).expect("written");
        }
        let net = Net {
            holder,
            etc,
            ports: 20_000,
        };
        let pid = net.holder.id();
        shell(&format!(
            "ip link set lo up
            ip link add s0 type veth peer name c0 netns {pid}
            ip link set s0 up
            for host in 2 3 4 5 6 7 8 9 53 66 67 68; do
                ip addr add 10.99.0.$host/24 dev s0
                ip addr add fd99::$host/64 dev s0 nodad
            done
            nsenter --target {pid} --net sh -ec '
                ip link set lo up
                ip link set c0 up
                ip addr add 10.99.0.200/24 dev c0
                ip addr add fd99::200/64 dev c0 nodad'
            for file in resolv.conf hosts nsswitch.conf; do
                nsenter --target {pid} --mount --root mount --bind {etc}/$file $(readlink -f /etc/$file)
            done",
            etc = net.etc.path().display()
        ));
        rules(RULES);
        net.use_ports();
        net
    }

    /// What comes from the clients and matches is dropped, or what `verdict` says.
    pub fn filter_in(&self, matches: &str, verdict: &str) {
        rules(&format!(
            "add rule inet lab in iifname s0 {matches} {verdict}\n"
        ));
    }

    /// The same of what they send.
    pub fn filter_out(&self, matches: &str, verdict: &str) {
        rules(&format!(
            "add rule inet lab out oifname s0 {matches} {verdict}\n"
        ));
    }

    /// All goes through again, but to the addresses that are always dead.
    pub fn clear(&self) {
        rules("flush chain inet lab in\nflush chain inet lab out\n");
    }

    /// What is between the clients and the servers forgets all connections that there are, and tells neither end.
    pub fn forget(&mut self) {
        let (first, last) = (self.ports, self.ports + 999);
        self.filter_in(&format!("tcp sport {first}-{last}"), "drop");
        self.filter_out(&format!("tcp dport {first}-{last}"), "drop");
        self.ports += 1_000;
        self.use_ports();
    }

    /// New connections of the clients come from these ports.
    fn use_ports(&self) {
        let (first, last) = (self.ports, self.ports + 999);
        shell(&format!(
            "nsenter --target {} --net sh -c 'echo {first} {last} > /proc/sys/net/ipv4/ip_local_port_range'",
            self.holder.id()
        ));
    }

    /// A command that will run on the clients' side.
    pub fn client(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.holder.id().to_string(),
                "--net",
                "--mount",
                // The holder's root: in a chroot another than that of the mounts.
                "--root",
            ])
            .arg(program)
            .arg0("nsenter");
        command
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn shell(script: &str) {
    let done = Command::new("sh")
        .args(["-ec", script])
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{script}\n{said}");
}

/// Hands rules to nftables.
fn rules(rules: &str) {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nft (Debian: nftables; make test brings it)");
    let mut input = nft.stdin.take().expect("piped");
    input.write_all(rules.as_bytes()).expect("it reads");
    drop(input);
    let done = nft.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{rules}\n{said}");
}
