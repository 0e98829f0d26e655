//! Generates the C header into `OUT_DIR` and sets what the shared library tells the loader.
//!
//! `include/p21auth.h` is committed; `tests/docs/header.rs` compares the two. Nothing is written into the source tree.

use std::path::Path;
use std::{env, fs};

/// The files of `src/capi` with something to declare, in the header's order.
const SECTIONS: [&str; 11] = [
    "types", "status", "flags", "library", "config", "client", "token", "snapshot", "error", "log",
    "doctor",
];

const HEAD: &str = "\
/* libp21auth: access tokens for the Epicor Prophet 21 APIs: fetched once, shared by all threads, renewed before they
 * expire.
 *
 * C99 and C++. Generated from src/capi by cbindgen; change it there.
 */
#ifndef P21AUTH_H
#define P21AUTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {
#endif
";

const TAIL: &str = "
#ifdef __cplusplus
}
#endif

#endif /* P21AUTH_H */
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    println!("cargo::rerun-if-changed=src/capi");
    let root = env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    let out = env::var("OUT_DIR").expect("set by cargo");
    fs::write(Path::new(&out).join("p21auth.h"), header(Path::new(&root)))
        .expect("OUT_DIR is writable");
    link_arguments(&abi_version(Path::new(&root)));
}

fn header(root: &Path) -> String {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))
        .expect("cbindgen.toml is well formed");
    let files = SECTIONS.map(|section| root.join("src/capi").join(section).with_extension("rs"));
    let builder = cbindgen::Builder::new().with_config(config);
    let bindings = files
        .iter()
        .fold(builder, cbindgen::Builder::with_src)
        .generate()
        .expect("src/capi is understood by cbindgen");
    let mut declarations = Vec::new();
    bindings.write(&mut declarations);
    let declarations = String::from_utf8(declarations).expect("cbindgen writes UTF-8");

    let sources = files.map(|file| fs::read_to_string(file).expect("src/capi is readable"));
    let mut sections = sources.each_ref().map(|source| introduction(source));
    for declaration in declarations.trim().split("\n\n") {
        let name = declared(declaration);
        let section = sources.iter().position(|source| declares(source, name));
        let section = section.unwrap_or_else(|| panic!("no file of src/capi declares {name}"));
        sections[section].extend(["\n", declaration.trim(), "\n"]);
    }
    [HEAD, &versions(), &sections.concat(), TAIL].concat()
}

/// The name that a C declaration declares.
fn declared(declaration: &str) -> &str {
    let code = declaration.rsplit("*/").next().unwrap_or_default().trim();
    let name = match code.strip_prefix("#define ") {
        Some(define) => define.split(' ').next(),
        None => code
            .split(['(', ';'])
            .next()
            .and_then(|start| start.rsplit([' ', '*']).next()),
    };
    name.unwrap_or_default()
}

/// Whether a source file makes something of this name public.
fn declares(source: &str, name: &str) -> bool {
    source
        .lines()
        .filter(|line| line.starts_with("pub "))
        .flat_map(|line| line.split(|c: char| c != '_' && !c.is_alphanumeric()))
        .any(|word| word == name)
}

/// The package's version for the preprocessor.
fn versions() -> String {
    let part = |name: &str| -> u32 {
        let text = env::var(format!("CARGO_PKG_VERSION_{name}")).expect("set by cargo");
        text.parse().expect("a number")
    };
    let number = part("MAJOR") * 1_000_000 + part("MINOR") * 1_000 + part("PATCH");
    let text = env::var("CARGO_PKG_VERSION").expect("set by cargo");
    format!(
        "
/* Version of this header. p21_version() returns the version of the loaded library.
 * P21_VERSION_NUMBER is major * 1000000 + minor * 1000 + patch. */
#define P21_VERSION \"{text}\"
#define P21_VERSION_NUMBER {number}
"
    )
}

/// The digit in the shared library's name, which is written down in `src/capi/types.rs` alone.
fn abi_version(root: &Path) -> String {
    let types = fs::read_to_string(root.join("src/capi/types.rs")).expect("src/capi is readable");
    let (_, rest) = types
        .split_once("P21_ABI_VERSION: i32 = ")
        .expect("the version of the binary interface");
    rest.split(';').next().unwrap_or_default().to_owned()
}

/// The text at the head of a source file as a comment.
fn introduction(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut text = format!("\n/* {}\n", "-".repeat(100));
    for line in lines.filter(|line| !line.contains("```")) {
        text.push_str(" *");
        text.push_str(line);
        text.push('\n');
    }
    text + " */\n"
}

/// Its name on disk, and that it stays in memory once loaded: threads of its own may still run when its user is gone.
fn link_arguments(version: &str) {
    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux" | "android" | "freebsd") => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libp21auth.so.{version}");
            println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
        Ok("macos") => {
            println!(
                "cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libp21auth.{version}.dylib"
            );
        }
        _ => {}
    }
}
