//! What came of the calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters of a run.
#[derive(Default)]
pub struct Tally {
    rows: Mutex<BTreeMap<&'static str, u64>>,
    explained: Mutex<BTreeMap<&'static str, u64>>,
    faults: Mutex<BTreeMap<&'static str, u64>>,
    unexplained: AtomicU64,
}

impl Tally {
    pub fn count(&self, row: &'static str) {
        self.add(row, 1);
    }

    pub fn add(&self, row: &'static str, more: u64) {
        *lock(&self.rows).entry(row).or_default() += more;
    }

    pub fn fault(&self, name: &'static str) {
        *lock(&self.faults).entry(name).or_default() += 1;
    }

    /// A failure that the faults explain.
    pub fn explained(&self, code: &'static str) {
        self.count("failures explained");
        *lock(&self.explained).entry(code).or_default() += 1;
    }

    /// A failure that nothing explains.
    pub fn wrong(&self, what: &str) {
        if self.unexplained.fetch_add(1, Ordering::Relaxed) < 20 {
            println!("UNEXPLAINED {what}");
        }
    }

    pub fn unexplained(&self) -> u64 {
        self.unexplained.load(Ordering::Relaxed)
    }

    pub fn print(&self) {
        let table = |title: &str, rows: &Mutex<BTreeMap<&'static str, u64>>| {
            println!("{title}");
            for (name, count) in lock(rows).iter() {
                println!("  {name:<28} {count:>10}");
            }
        };
        table("faults", &self.faults);
        table("explained failures by code", &self.explained);
        table("total", &self.rows);
        println!(
            "  {:<28} {:>10}",
            "failures NOT explained",
            self.unexplained()
        );
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
