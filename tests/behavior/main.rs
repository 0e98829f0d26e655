//! What callers get, with how many requests: the scenario files, many threads, forked children, the inputs of the fuzzers.

#[cfg(target_os = "linux")]
mod commands;
mod concurrency;
mod corpus;
mod doctor;
#[cfg(unix)]
mod fork;
mod scenarios;
#[cfg(target_os = "linux")]
mod sources;
mod words;
