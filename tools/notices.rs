//! Writes the licences of everything that a binary release contains into a folder, as they ask for:
//! `cargo run --example notices -- DIST [TARGET]`.
//!
//! `THIRD-PARTY-NOTICES.md` has a table of the crates that are linked for the target, then each licence text once, from the
//! sources that were built. `RUST-STANDARD-LIBRARY.html` is the toolchain's own file about what it brings. A crate whose
//! licence cannot be found is an error, never an omission.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate that is linked.
#[derive(Debug)]
pub struct Linked {
    /// Its name, as in the registry.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX expression.
    pub license: String,
    /// Where its source lives; may be empty.
    pub repository: String,
    folder: PathBuf,
}

#[allow(dead_code, reason = "a test takes in this file for its functions")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (dist, target) = match arguments.as_slice() {
        [dist] => (dist, None),
        [dist, target] => (dist, Some(target.as_str())),
        _ => {
            eprintln!("usage: notices DIST [TARGET]");
            std::process::exit(2);
        }
    };
    match write_into(Path::new(dist), target) {
        Ok(crates) => println!("{crates} crates in {dist}/THIRD-PARTY-NOTICES.md"),
        Err(error) => {
            eprintln!("notices: {error}");
            std::process::exit(1);
        }
    }
}

/// Writes both files into `dist`, which is made if need be, and tells the number of crates.
///
/// # Errors
///
/// What could not be run, read or written.
pub fn write_into(dist: &Path, target: Option<&str>) -> Result<usize, String> {
    let host = output("rustc", &["-vV"])?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let target = target.or(host).ok_or("rustc names no host")?;
    let crates = linked(target)?;
    let text = notices(&crates, target)?;
    let sysroot = output("rustc", &["--print", "sysroot"])?;
    let standard = Path::new(sysroot.trim()).join("share/doc/rust/COPYRIGHT-library.html");
    let write = |name: &str, content: Vec<u8>| {
        fs::write(dist.join(name), content).map_err(|e| format!("{name}: {e}"))
    };
    fs::create_dir_all(dist).map_err(|e| format!("{}: {e}", dist.display()))?;
    let standard = fs::read(&standard).map_err(|e| format!("{}: {e}", standard.display()))?;
    write("RUST-STANDARD-LIBRARY.html", standard)?;
    write("THIRD-PARTY-NOTICES.md", text.into_bytes())?;
    Ok(crates.len())
}

/// The crates that the library and the command line tool link for `target`: what is reached through ordinary
/// dependencies, macros that run at build time aside.
///
/// # Errors
///
/// What could not be run, read or understood.
pub fn linked(target: &str) -> Result<Vec<Linked>, String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let metadata = output(
        &std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()),
        &[
            "metadata",
            "--format-version=1",
            "--locked",
            "--all-features",
            "--filter-platform",
            target,
            "--manifest-path",
            manifest,
        ],
    )?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|e| e.to_string())?;
    // The crates of this workspace: the library, the tool and the emulator in the tool.
    let own: BTreeSet<String> = ids(&metadata["workspace_members"]);
    let by_id = |list: &Value| -> BTreeMap<String, Value> {
        let all = list.as_array().into_iter().flatten();
        all.map(|entry| (id(&entry["id"]), entry.clone())).collect()
    };
    let packages = by_id(&metadata["packages"]);
    let nodes = by_id(&metadata["resolve"]["nodes"]);
    let (mut seen, mut next) = (own.clone(), Vec::from_iter(own.clone()));
    while let Some(at) = next.pop() {
        for dependency in nodes[&at]["deps"].as_array().into_iter().flatten() {
            let to = id(&dependency["pkg"]);
            let mut kinds = dependency["dep_kinds"].as_array().into_iter().flatten();
            let ordinary = kinds.any(|kind| kind["kind"].is_null());
            if ordinary && !is_macro(&packages[&to]) && seen.insert(to.clone()) {
                next.push(to);
            }
        }
    }
    let crates = seen.difference(&own).map(|id| {
        let package = &packages[id];
        let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        let manifest = PathBuf::from(text("manifest_path"));
        Linked {
            name: text("name"),
            version: text("version"),
            license: text("license"),
            repository: text("repository"),
            folder: manifest.parent().unwrap_or(Path::new("")).to_owned(),
        }
    });
    let mut crates: Vec<Linked> = crates.collect();
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(crates)
}

/// The text of `THIRD-PARTY-NOTICES.md`.
///
/// # Errors
///
/// What could not be run, read or understood.
pub fn notices(crates: &[Linked], target: &str) -> Result<String, String> {
    let mut text = format!(
        "# Third-party notices\n\nThe binaries of libp21auth {} for {target} contain the following crates under the licences \
         below, and the Rust standard library, for which see RUST-STANDARD-LIBRARY.html.\n\n\
         | Crate | Version | Licence | Source |\n|---|---|---|---|\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in crates {
        let Linked { name, version, .. } = one;
        let _ = writeln!(
            text,
            "| {name} | {version} | {} | {} |",
            one.license, one.repository
        );
        let sibling = || {
            let same =
                |other: &&Linked| other.repository == one.repository && !one.repository.is_empty();
            crates
                .iter()
                .filter(same)
                .map(license_files)
                .find(|files| !files.is_empty())
        };
        let mut files = license_files(one);
        if files.is_empty() {
            // Some crates of a family leave the file to the first of them.
            files = sibling().ok_or_else(|| format!("{name} {version} ships no licence text"))?;
        }
        for file in files {
            let bytes = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let license = String::from_utf8_lossy(&bytes).replace('\r', "");
            let users = texts.entry(license.trim_end().to_owned()).or_default();
            let user = format!("{name} {version}");
            if !users.contains(&user) {
                users.push(user);
            }
        }
    }
    for (license, users) in texts {
        let fence = "~".repeat(4);
        let _ = write!(
            text,
            "\n## {}\n\n{fence}text\n{license}\n{fence}\n",
            users.join(", ")
        );
    }
    Ok(text)
}

/// The licence files of a crate that count: where MIT may be chosen, that one.
fn license_files(one: &Linked) -> Vec<PathBuf> {
    let upper = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().to_uppercase()
    };
    let mut files: Vec<PathBuf> = fs::read_dir(&one.folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = upper(path);
            path.is_file()
                && ["LICEN", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"]
                    .iter()
                    .any(|start| name.starts_with(start))
        })
        .collect();
    files.sort();
    let choice = !one.license.contains("AND");
    if choice
        && one
            .license
            .split(['/', ' ', '(', ')'])
            .any(|word| word == "MIT")
    {
        let mit: Vec<PathBuf> = files
            .iter()
            .filter(|path| upper(path).contains("MIT") || upper(path).starts_with("NOTICE"))
            .cloned()
            .collect();
        if !mit.is_empty() {
            return mit;
        }
    }
    files
}

fn is_macro(package: &Value) -> bool {
    let mut targets = package["targets"].as_array().into_iter().flatten();
    targets.any(|target| {
        let mut kinds = target["kind"].as_array().into_iter().flatten();
        kinds.any(|kind| kind == "proc-macro")
    })
}

fn ids(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().map(id).collect()
}

fn id(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {}: {said}", arguments.join(" ")));
    }
    String::from_utf8(output.stdout).map_err(|e| e.to_string())
}
