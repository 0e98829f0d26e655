//! Shared stores: what is in them comes first, and what keeps them from being used is named.

use std::os::unix::fs::PermissionsExt as _;

use super::Setup;
use crate::tool::PLANTED;
use test_support::redis::RedisServer;
use test_support::server::closed_port;

/// A set-up with a file store in a folder of its own.
fn with_store() -> Setup {
    let setup = Setup::new();
    let folder = setup.tool.folder.path().join("store");
    let store = format!("file://{}", folder.display());
    setup.set("P21_STORE", &store)
}

#[test]
fn a_stored_token_is_used_and_none_is_asked_for() {
    let setup = with_store();
    setup.tool.run(&["token"]).value();
    for args in [&["--no-token-request"][..], &["--yes"], &[]] {
        let report = setup.report(args);
        assert_eq!(report.value["exit_status"], 0, "{:#}", report.value);
        report
            .step("store")
            .is("ok", &["usable, 1 entries", "yours: token"], &[]);
        report
            .step("token")
            .is("ok", &["taken from the store"], &[]);
        report.skips(&["reply"]);
        for name in ["clock"].iter().chain(&super::token::AFTER[1..]) {
            report.step(name).is("ok", &[], &[]);
        }
        assert_eq!(report.token_requests(), 0);
    }
    // What it asks for is there for the next.
    let setup = with_store();
    assert_eq!(setup.report(&["--yes"]).token_requests(), 1);
    setup.tool.run(&["token"]).value();
    assert_eq!(setup.token_requests(), 1);
}

#[test]
fn a_stored_token_that_was_revoked() {
    let setup = with_store();
    setup.tool.run(&["token"]).value();
    setup.emulator.control().revoke_all();
    let report = setup.report(&["--yes"]);
    report.fails(
        5,
        "router",
        &["does not accept the token"],
        &["stored token is no longer accepted", "p21auth store clear"],
    );
    report
        .step("odata")
        .is("fail", &[], &["p21auth store clear"]);
    assert_eq!(report.token_requests(), 0);
    setup.tool.run(&["store", "clear"]).value();
    setup.report(&["--yes"]).is_well();
}

#[test]
fn a_refusal_in_the_store_is_not_repeated() {
    let setup = with_store().set("P21_PASSWORD", PLANTED);
    assert_eq!(setup.tool.run(&["token"]).status, 5);
    let report = setup.report(&["--yes"]);
    report.step("store").is(
        "warn",
        &["refused these credentials 1 times in a row"],
        &["p21auth store clear"],
    );
    report.fails(
        5,
        "token",
        &["rejects the username or password"],
        &["Not sooner than in"],
    );
    assert_eq!(report.token_requests(), 0, "the account is left in peace");
}

#[test]
fn a_folder_that_cannot_be_used() {
    let setup = with_store();
    let folder = setup.tool.folder.path().join("store");
    std::fs::create_dir(&folder).expect("made");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("set");
    let report = setup.report(&["--yes"]);
    report.fails(
        3,
        "store",
        &[
            "the shared store cannot be used",
            &folder.display().to_string(),
        ],
        &[
            "no other user may be able to write to it",
            "more tokens than they need",
        ],
    );
    // The rest is looked at all the same, as the library goes on.
    report.step("odata").is("ok", &[], &[]);
    assert_eq!(report.token_requests(), 1);

    let setup = setup.set("P21_STORE_REQUIRED", "1");
    let report = setup.report(&["--yes"]);
    report.fails(3, "store", &[], &["store_required=1"]);
    report
        .step("token")
        .is("fail", &["the shared store cannot be used"], &[]);
    assert_eq!(report.token_requests(), 0);

    let file = setup.tool.file("plain", "");
    let setup = setup.set("P21_STORE", &format!("file://{}", file.display()));
    let report = setup.report(&["--no-token-request"]);
    report.fails(3, "store", &["plain"], &["name another"]);
}

#[test]
fn a_redis_that_is_there_and_one_that_is_not() {
    let redis = RedisServer::start();
    let setup = Setup::new().set("P21_STORE", &redis.url());
    let home = setup.tool.folder.path().to_str().expect("UTF-8").to_owned();
    let setup = setup.set("XDG_CACHE_HOME", &home);
    setup.tool.run(&["token"]).value();
    let report = setup.report(&["--no-token-request"]);
    report
        .step("store")
        .is("ok", &["redis://127.0.0.1", "yours: token"], &[]);
    report.step("odata").is("ok", &[], &[]);
    assert_eq!(report.token_requests(), 0);

    let (_socket, address) = closed_port();
    let setup = setup.set("P21_STORE", &format!("redis://:{PLANTED}@{address}/0"));
    let report = setup.report(&["--yes"]);
    report.fails(
        3,
        "store",
        &["the shared store cannot be used", &address.to_string()],
        &["the Redis server runs"],
    );
    report.step("token").is("ok", &[], &[]);
    assert_eq!(report.token_requests(), 1);
}
