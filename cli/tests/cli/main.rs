//! The real binary, as people and programs call it.

mod calls;
mod commands;
#[cfg(unix)]
mod doctor;
#[cfg(unix)]
mod login;
mod man_pages;
#[cfg(unix)]
mod secrets;
mod tool;
