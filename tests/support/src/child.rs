//! A test that runs once more in a process of its own, with other environment variables.

/// Runs the calling test once more in a process of its own with these variables, those that decide about proxies and
/// certificates taken away. True inside that process.
pub fn in_child(test: &str, variables: &[(&str, &str)]) -> bool {
    const MARK: &str = "P21AUTH_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
    command
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "1");
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ] {
        command.env_remove(name);
    }
    let output = command
        .envs(variables.iter().copied())
        .output()
        .expect("the child runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}
