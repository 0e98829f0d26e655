//! A store that behaves as the scripts do, and takes as long.

use std::collections::BTreeMap;

use crate::store::Mark;
use crate::token::Life;

/// What Redis needs for each, in microseconds of its processor, as `tests/tools/redis_costs.py` measured: the scripts, a
/// blocking read, a waiter that it wakes, a connection that it accepts.
pub(super) const LOOK_US: i64 = 30;
pub(super) const ACQUIRE_US: i64 = 50;
pub(super) const BUSY_US: i64 = 35;
pub(super) const PUBLISH_US: i64 = 50;
pub(super) const BLOCK_US: i64 = 8;
pub(super) const WAKE_US: i64 = 16;
pub(super) const ACCEPT_US: i64 = 40;
/// Commands inside each script, as `INFO commandstats` counts them, itself included.
pub(super) const LOOK_COMMANDS: u64 = 4;
pub(super) const ACQUIRE_COMMANDS: u64 = 7;
pub(super) const BUSY_COMMANDS: u64 = 4;
pub(super) const PUBLISH_COMMANDS: u64 = 7;
/// There and back in a data center.
pub(super) const TRIP_US: i64 = 500;
/// A file store's read, lock or write.
pub(super) const FILE_US: i64 = 150;
/// A blocking read ends after this.
pub(super) const MAX_BLOCK_MS: i64 = 4_000;
pub(super) const LEASE_MS: i64 = 6_000;
pub(super) const STORE_TIMEOUT_US: i64 = 500_000;
/// A store that failed is left alone for so long.
pub(super) const REST_US: i64 = 1_000_000;

/// A store, as its scripts behave.
#[derive(Default)]
pub(super) struct StoreModel {
    pub(super) is_redis: bool,
    pub(super) busy_until: i64,
    pub(super) lease: Option<(usize, u64)>,
    pub(super) lease_ends: i64,
    /// The holder renews it.
    pub(super) is_kept: bool,
    pub(super) fence: u64,
    pub(super) token: Option<Life>,
    pub(super) failed_until: i64,
    pub(super) mark: Mark,
    pub(super) turn: Option<usize>,
    pub(super) waiting: Vec<(usize, u64)>,
    pub(super) commands: u64,
    /// By tenths of a second.
    pub(super) load: BTreeMap<i64, u64>,
    pub(super) connections: usize,
    pub(super) most_connections: usize,
}

impl StoreModel {
    /// Takes a command that arrives at `at` and is so long; returns when it is done.
    pub(super) fn serve(&mut self, at: i64, us: i64, commands: u64) -> i64 {
        self.busy_until = self.busy_until.max(at) + us;
        self.commands += commands;
        *self.load.entry(self.busy_until / 100_000).or_default() += commands;
        self.busy_until
    }

    pub(super) fn holder(&self, at: i64) -> Option<(usize, u64)> {
        self.lease.filter(|_| self.is_kept || at < self.lease_ends)
    }
}
