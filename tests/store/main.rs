//! One token for several processes: each test starts this binary again as the processes that share.

mod processes;

#[cfg(unix)]
mod costs;
#[cfg(unix)]
mod disks;
mod file;
#[cfg(unix)]
mod fleet;
#[cfg(unix)]
mod redis;
#[cfg(unix)]
mod redis_trouble;
#[cfg(unix)]
mod refusals;
#[cfg(unix)]
mod reports;
