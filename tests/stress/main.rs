//! Stress: what a long time, a hostile server, a failing system and a crowd do to a client.
#![allow(unsafe_code, reason = "fork has no safe form")]

mod crowd;
mod flights;
mod secrets;
mod time;
