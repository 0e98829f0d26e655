//! Compiles C and C++ programs and runs them against an emulator. The libraries are those that cargo built for this very
//! test run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use p21_emulator::{Emulator, Options};
use tempfile::TempDir;

/// The top of the source tree: the folder of this package, or one above it.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|folder| folder.join("cbindgen.toml").is_file())
        .expect("the tests lie in the source tree")
}
/// Every warning is an error: the header must be clean in other people's builds too.
const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"];
/// What the static library needs; `rustc --print native-static-libs` tells.
pub const SYSTEM: [&str; 6] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

/// The folder in which cargo put this test and the libraries.
pub fn built() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    test.parent().expect("it lies in a folder").to_owned()
}

#[derive(Clone, Copy)]
pub enum Link {
    Shared,
    Static,
}

/// A folder with the shared library under the name that programs look for, and room for programs.
pub struct Bench {
    pub folder: TempDir,
    pub emulator: Emulator,
}

impl Bench {
    pub fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = built().join("libp21auth.so");
        assert!(library.exists(), "cargo builds {}", library.display());
        for name in ["libp21auth.so", "libp21auth.so.1"] {
            std::os::unix::fs::symlink(&library, folder.path().join(name)).expect("a link");
        }
        let emulator = Emulator::start(Options::default()).expect("a free port on loopback");
        Bench { folder, emulator }
    }

    pub fn compile(&self, source: &str, link: Link, extra: &[&str]) -> PathBuf {
        let source = root().join(source);
        let is_cpp = source.extension().is_some_and(|ending| ending == "cpp");
        let program = self.folder.path().join(source.file_stem().expect("a name"));
        let mut command = Command::new(if is_cpp { "c++" } else { "cc" });
        command
            .arg(if is_cpp { "-std=c++17" } else { "-std=c99" })
            .args(WARNINGS)
            .args(["-g", "-pthread", "-I"])
            .arg(root().join("include"))
            .arg("-o")
            .args([&program, &source])
            .args(extra);
        match link {
            Link::Shared => command.arg("-L").arg(self.folder.path()).arg("-lp21auth"),
            Link::Static => command.arg(built().join("libp21auth.a")).args(SYSTEM),
        };
        run(&mut command);
        program
    }

    /// The environment of someone who has read the quick start, and nothing else of ours.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("P21_") {
                command.env_remove(name);
            }
        }
        command
            .env("P21_BASE_URL", self.emulator.base_url())
            .env("P21_USERNAME", "demo")
            .env("P21_PASSWORD", "demo-password")
            .env("LD_LIBRARY_PATH", self.folder.path());
        command
    }

    pub fn compile_and_run(&self, source: &str, link: Link) -> String {
        let program = self.compile(source, link, &[]);
        output(&run(&mut self.command(program)))
    }
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Output {
    let result = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(
        result.status.success(),
        "{command:?}: {}\n{}{}",
        result.status,
        String::from_utf8_lossy(&result.stdout),
        String::from_utf8_lossy(&result.stderr)
    );
    result
}

pub fn output(result: &Output) -> String {
    assert_eq!(
        String::from_utf8_lossy(&result.stderr),
        "",
        "nothing is printed by the library"
    );
    String::from_utf8_lossy(&result.stdout).into_owned()
}
