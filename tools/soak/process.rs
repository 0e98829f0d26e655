//! What the process uses.

use std::fs;

/// Numbers of one moment.
pub struct Sample {
    rss_kib: u64,
    threads: u64,
    descriptors: u64,
}

impl Sample {
    pub fn take() -> Sample {
        // What was freed and only kept by the allocator is no leak: the emulators' memory of thousands of tokens, above all.
        #[cfg(target_env = "gnu")]
        // SAFETY: it may be called at any time.
        unsafe {
            libc::malloc_trim(0);
        }
        let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            number.and_then(|n| n.parse().ok()).expect("a number")
        };
        Sample {
            rss_kib: field("VmRSS:"),
            threads: field("Threads:"),
            // The folder itself is open while it is read.
            descriptors: fs::read_dir("/proc/self/fd").expect("/proc").count() as u64 - 1,
        }
    }
}

/// Prints both and tells whether more was left behind than chance explains: a few threads of allocators and pools, the
/// allocator's own memory.
pub fn compare(start: &Sample, end: &Sample) -> bool {
    println!("{:<12} {:>12} {:>12} {:>12}", "", "start", "end", "allowed");
    let mut leaks = false;
    for (name, start, end, more) in [
        ("RSS KiB", start.rss_kib, end.rss_kib, 48 * 1024),
        ("threads", start.threads, end.threads, 4),
        ("descriptors", start.descriptors, end.descriptors, 8),
    ] {
        println!("{name:<12} {start:>12} {end:>12} {:>12}", start + more);
        leaks |= end > start + more;
    }
    leaks
}
