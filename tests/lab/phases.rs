//! Each phase, each fault in it, and what a caller is told: the table in docs/errors.md.

use std::fmt::Write as _;

use p21_emulator::{Action, Certificate, Fault, Options};

use crate::client::{Process, Said};
use crate::names::{Names, Says};
use crate::net::enter;
use crate::peers::{Proxy, answering, mute, start};

const PAGE: &str = "docs/errors.md";

struct Rows {
    process: Process,
    text: String,
}

impl Rows {
    /// Asks for a token with these options, over https, and enters what came of it.
    #[track_caller]
    fn add(&mut self, phase: &str, fault: &str, code: &str, options: &[(&str, &str)]) {
        let all: Vec<_> = [("base_url", "https://p21.test:3443")]
            .iter()
            .chain(options)
            .copied()
            .collect();
        // A name of its own: no row finds an error that another left.
        let user = format!("user-{}", self.text.lines().count());
        let all: Vec<_> = all.into_iter().chain([("username", &*user)]).collect();
        self.process.open(fault, &all);
        let said = self.process.token(fault);
        assert_eq!(said.code(), code, "{phase}, {fault}: {said:?}");
        assert!(!said.hint().is_empty(), "{said:?}");
        writeln!(
            self.text,
            "| {phase} | {fault} | `{}` | {} | {} |",
            code.trim_start_matches("P21_E_"),
            cell(said.message()),
            hint(&said)
        )
        .expect("memory");
    }
}

fn hint(said: &Said) -> String {
    cell(said.hint())
}

/// What differs from run to run is left out.
fn cell(text: &str) -> String {
    let words = text.replace('|', "\\|");
    let mut shown: Vec<String> = Vec::new();
    let mut previous = "";
    for word in words.split(' ') {
        let is_time = previous == "within" && word.bytes().all(|byte| byte.is_ascii_digit());
        let long = word
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '/')
            .find(|part| part.len() >= 40);
        let is_date = word.trim_end_matches(',').len() == 10
            && word.chars().filter(|c| *c == '-').count() == 2;
        shown.push(match long {
            _ if is_time => "N".to_owned(),
            _ if is_date && word.starts_with("20") => word.replace(&word[..10], "DATE"),
            Some(long) => word.replace(long, "…"),
            None => word.to_owned(),
        });
        previous = word;
    }
    shown.join(" ")
}

#[allow(clippy::too_many_lines, reason = "a row is a few of them")]
#[test]
fn the_table_of_faults_is_what_callers_are_told() {
    let Some(net) = enter("phases::the_table_of_faults_is_what_callers_are_told") else {
        return;
    };
    let names = Names::start();
    let mut rows = Rows {
        process: Process::start(&net),
        text: "| Phase | Fault | Code | Message | Hint |\n|---|---|---|---|---|\n".to_owned(),
    };
    let server = start(Options {
        tls: Some(Certificate::SelfSigned),
        ..Options::default()
    });
    let at = |address: &str| names.at("p21.test", &[address]);
    let fault = |action: Action| {
        server.control().clear_faults();
        server.control().fault(Fault::on("/token", action).times(0));
    };

    names.say("p21.test", Says::Unknown);
    rows.add("look-up", "the name is unknown", "P21_E_DNS", &[]);
    names.say("p21.test", Says::Failed);
    rows.add("look-up", "the name server fails", "P21_E_DNS", &[]);
    // A look-up that hangs is shared by all who ask for that name: this one has a name of its own.
    names.say("silent.test", Says::Nothing);
    let silent = [("base_url", "https://silent.test:3443")];
    rows.add("look-up", "the name server is silent", "P21_E_DNS", &silent);

    at("10.99.0.66");
    rows.add("connect", "packets vanish", "P21_E_CONNECT", &[]);
    at("10.99.0.6");
    rows.add("connect", "nothing listens there", "P21_E_CONNECT", &[]);
    at("10.99.0.2");
    net.filter_in("tcp dport 3443", "reject with icmp type host-unreachable");
    rows.add("connect", "a router knows no way", "P21_E_CONNECT", &[]);
    net.clear();
    rows.add(
        "connect",
        "nothing listens at the proxy's port",
        "P21_E_PROXY",
        &[("proxy", "http://10.99.0.6:3128")],
    );

    let proxy = Proxy::start("10.99.0.5:3128");
    let through = [("proxy", "http://10.99.0.5:3128")];
    proxy.is_mute(true);
    rows.add("tunnel", "the proxy is silent", "P21_E_PROXY", &through);
    for (number, (what, answer)) in [
        (
            "the proxy cannot reach the server",
            "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "the proxy requires a login",
            "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "the proxy wants NTLM",
            "HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "the proxy forbids it",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        ),
        ("it is no proxy", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let place = format!("10.99.0.7:{}", 3128 + number);
        answering(&place, answer.as_bytes());
        rows.add(
            "tunnel",
            what,
            "P21_E_PROXY",
            &[("proxy", &format!("http://{place}"))],
        );
    }

    mute("10.99.0.3:3443");
    at("10.99.0.3");
    rows.add("TLS", "the server accepts and is silent", "P21_E_TLS", &[]);
    at("10.99.0.2");
    net.filter_out("tcp sport 3443 ip length > 576", "drop");
    rows.add("TLS", "large packets vanish", "P21_E_TLS", &[]);
    net.clear();
    answering("10.99.0.8:3443", b"");
    at("10.99.0.8");
    rows.add("TLS", "the connection is reset", "P21_E_TLS", &[]);
    answering(
        "10.99.0.9:3443",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    );
    at("10.99.0.9");
    rows.add("TLS", "the port speaks plain http", "P21_E_TLS", &[]);
    at("10.99.0.2");
    rows.add(
        "TLS",
        "the certificate is not trusted",
        "P21_E_TLS",
        &[("tls_verify", "1")],
    );

    let plain = ("base_url", "http://p21.test:3443");
    at("10.99.0.8");
    rows.add("send", "the connection is reset", "P21_E_IO", &[plain]);
    at("10.99.0.2");
    rows.add(
        "send",
        "the port speaks TLS, the URL plain http",
        "P21_E_IO",
        &[plain],
    );

    fault(Action::Pass);
    server.control().hold();
    rows.add("reply", "none comes", "P21_E_TIMEOUT", &[]);
    server.control().release();
    fault(Action::Drip { bytes_per_s: 1 });
    rows.add("reply", "it drips", "P21_E_TIMEOUT", &[]);
    fault(Action::Reset);
    rows.add("reply", "the connection is reset", "P21_E_IO", &[]);
    fault(Action::Truncate { bytes: 10 });
    rows.add("reply", "it is cut off", "P21_E_IO", &[]);
    fault(Action::Flood);
    rows.add("reply", "it never ends", "P21_E_TOO_LARGE", &[]);
    fault(Action::answer(503, ""));
    rows.add("reply", "503", "P21_E_SERVER", &[]);
    fault(Action::answer(429, ""));
    rows.add("reply", "429", "P21_E_RATE_LIMITED", &[]);
    fault(Action::Html);
    rows.add("reply", "a web page", "P21_E_PARSE", &[]);
    test_support::pages::keep_table(PAGE, "faults", &rows.text);
}
