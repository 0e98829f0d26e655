//! There is one version and one number of the binary interface, wherever they are written.

use std::fs;
use std::path::Path;

use p21auth::internal::capi::p21_abi_version;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands in a file between two pieces of text; each time they occur.
fn between(file: &str, before: &str, after: &str) -> Vec<String> {
    let text = read(file).replace("\r\n", "\n");
    let found = text.split(before).skip(1).map(|rest| {
        let (value, _) = rest
            .split_once(after)
            .unwrap_or_else(|| panic!("{file}: no {after:?} after {before:?}"));
        value.to_owned()
    });
    let all: Vec<String> = found.collect();
    assert!(!all.is_empty(), "{file}: no {before:?}");
    all
}

#[test]
fn the_version_is_the_same_everywhere() {
    let places = [
        (
            "Cargo.toml",
            "[workspace.package]\nversion = \"",
            "\"",
            VERSION,
        ),
        (
            "Cargo.lock",
            "name = \"libp21auth\"\nversion = \"",
            "\"",
            VERSION,
        ),
        (
            "Cargo.lock",
            "name = \"p21-emulator\"\nversion = \"",
            "\"",
            VERSION,
        ),
        (
            "Cargo.lock",
            "name = \"p21auth-cli\"\nversion = \"",
            "\"",
            VERSION,
        ),
        (
            "fuzz/Cargo.lock",
            "name = \"libp21auth\"\nversion = \"",
            "\"",
            VERSION,
        ),
        (
            "bindings/csharp/Directory.Build.props",
            "<Version>",
            "</Version>",
            VERSION,
        ),
        (
            "examples/csharp/Get-P21Token.ps1",
            "-Package C:\\tools\\LibP21Auth.",
            "\n",
            VERSION,
        ),
        (
            "packaging/vcpkg/p21auth/vcpkg.json",
            "\"version\": \"",
            "\"",
            VERSION,
        ),
    ];
    for (name, before, after, wanted) in places {
        let found = between(name, before, after);
        assert!(
            found.iter().all(|version| version == wanted),
            "{name}: {before}{found:?}, but Cargo.toml says {VERSION}"
        );
    }
    let entries = between("CHANGELOG.md", "\n## [", "]");
    let newest = entries.iter().find(|entry| *entry != "Unreleased");
    assert_eq!(
        newest.map(String::as_str),
        Some(VERSION),
        "the newest entry of CHANGELOG.md"
    );
}

/// Files that are filled in when a release is made, from Cargo.toml or from what agrees with it.
#[test]
fn the_templates_name_no_version_of_their_own() {
    let digits = |text: &str| text.starts_with(|letter: char| letter.is_ascii_digit());
    for (name, before) in [
        ("packaging/p21auth.pc.in", "\nVersion: "),
        ("packaging/p21auth-static.pc.in", "\nVersion: "),
        (
            "packaging/p21auth-config-version.cmake.in",
            "set(PACKAGE_VERSION \"",
        ),
        ("tools/dist/nupkg.py", "<version>"),
    ] {
        let found = between(name, before, "\n");
        assert!(
            !found.iter().any(|value| digits(value)),
            "{name}: {found:?}"
        );
    }
    let python = read("bindings/python/pyproject.toml");
    assert!(python.contains("\ndynamic = [\"version\"]\n"));
    assert!(!python.contains("\nversion ="));
}

#[test]
fn the_number_of_the_binary_interface_is_the_same_everywhere() {
    let abi = p21_abi_version().to_string();
    let file = format!("libp21auth.so.{abi}");
    for (name, before, after, wanted) in [
        ("include/p21auth.h", "#define P21_ABI_VERSION ", "\n", &abi),
        ("tests/abi/1.txt", "#define P21_ABI_VERSION ", "\n", &abi),
        (
            "bindings/python/src/p21auth/_table.py",
            "\nABI_VERSION = ",
            "\n",
            &abi,
        ),
        (
            "bindings/csharp/src/LibP21Auth/Interop/Native.cs",
            "const int AbiVersion = ",
            ";",
            &abi,
        ),
        (
            "bindings/csharp/src/LibP21Auth/Interop/Platform.cs",
            "{ \"libp21auth.so\", \"",
            "\"",
            &file,
        ),
        (
            "bindings/csharp/src/LibP21Auth/Interop/Platform.cs",
            "{ \"libp21auth.dylib\", \"libp21auth.",
            ".dylib",
            &abi,
        ),
    ] {
        assert_eq!(
            between(name, before, after),
            [wanted.as_str()],
            "{name}: {before}"
        );
    }
}
