//! `docs/doctor.md` shows a run as it is.

use std::path::Path;

use super::Setup;

/// Ports, days, fingerprints and times differ from run to run.
fn masked(text: &str, setup: &Setup) -> String {
    let address = setup.emulator.address().to_string();
    let pin = setup.emulator.leaf_sha256().expect("TLS");
    text.replace(&address, "127.0.0.1:8443")
        .replace(pin, "c536…3687")
        .lines()
        .map(|line| {
            let line = between(line, "valid from ", ", SHA-256", "2026-11-24 to 2027-11-25");
            let line = between(&line, " in ", " ms", "1");
            line.trim_end().to_owned() + "\n"
        })
        .collect()
}

/// `line` with what stands between `begin` and `end`, if it has both, replaced.
fn between(line: &str, begin: &str, end: &str, by: &str) -> String {
    match line.split_once(begin) {
        Some((before, rest)) => match rest.split_once(end) {
            Some((_, after)) => format!("{before}{begin}{by}{end}{after}"),
            None => line.to_owned(),
        },
        None => line.to_owned(),
    }
}

#[test]
fn the_page_shows_what_it_says() {
    let setup = Setup::new().set("P21_CA_FILE", "");
    let seen = setup.tool.run(&["doctor"]);
    assert_eq!(seen.status, 4);
    let seen = masked(&seen.out, &setup);
    test_support::pages::keep_part("docs/doctor.md", ("```text\n", "```"), &seen);
}

#[test]
fn the_page_names_every_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let setup = Setup::new();
    for step in setup.report(&[]).steps() {
        let name = step.0["id"].as_str().expect("text");
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
    assert!(page.contains("| `tunnel` |"));
}
