//! Under fire: what a long time, a hostile server, a failing system and a crowd do to a client.
#![allow(unsafe_code, reason = "fork has no safe form")]

#[path = "../common/child.rs"]
mod child;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/planted.rs"]
mod planted;
#[path = "../common/scripted.rs"]
mod scripted;

mod crowd;
mod flights;
mod secrets;
mod time;
