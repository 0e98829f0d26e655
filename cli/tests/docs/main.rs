//! The documentation says what the code says: tables are generated, code blocks compiled or run, names, links and pictures
//! checked. `P21AUTH_REFRESH=1 cargo test -p p21auth-cli --test docs` writes the generated parts again.
//!
//! Rust blocks are doc tests (see the end of `src/lib.rs`); Python and C# blocks are run and compiled by the bindings' own
//! tests. All else is here.

mod code;
mod layers;
mod links;
mod names;
mod pages;
mod pictures;
mod tables;
mod words;
