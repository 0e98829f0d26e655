//! Networks as they are: the library in a network of its own, whose wires, names, servers and proxies fail in the ways in
//! which they fail in the field.
//!
//! Each test runs in namespaces that only its own processes see and that end with them; root is not needed where the
//! kernel lets users make them (`tools/can-unshare.sh` tells). Time runs out in some of these tests: that is what they
//! are about.
#![cfg(target_os = "linux")]

mod caller;
mod client;
mod day;
mod moved;
mod names;
mod net;
mod peers;
mod phases;
mod roads;
