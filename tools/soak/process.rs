//! What the process uses.

use std::fs;

/// Numbers of one moment.
pub struct Sample {
    /// What is allocated and not freed, without what the allocator keeps for later.
    heap_kib: u64,
    rss_kib: u64,
    threads: u64,
    descriptors: u64,
}

impl Sample {
    pub fn take() -> Sample {
        let heap_kib = heap() / 1024;
        let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            number.and_then(|n| n.parse().ok()).expect("a number")
        };
        Sample {
            heap_kib,
            rss_kib: field("VmRSS:"),
            threads: field("Threads:"),
            // The folder itself is open while it is read.
            descriptors: fs::read_dir("/proc/self/fd").expect("/proc").count() as u64 - 1,
        }
    }
}

/// Bytes allocated and not freed; 0 where glibc is too old to tell (before 2.33). What was freed is given back to the system:
/// the emulators' memory of thousands of tokens, above all.
#[cfg(target_env = "gnu")]
fn heap() -> u64 {
    // SAFETY: both may be called at any time, and the name ends with a zero.
    let found = unsafe {
        libc::malloc_trim(0);
        libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr())
    };
    if found.is_null() {
        return 0;
    }
    // SAFETY: this is the type of the function of that name; it may be called at any time.
    let info = unsafe {
        std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> libc::mallinfo2>(found)()
    };
    (info.uordblks + info.hblkhd) as u64
}

/// Not to be had.
#[cfg(not(target_env = "gnu"))]
fn heap() -> u64 {
    0
}

/// Prints both and tells whether more was left behind than chance explains: what is made once and late, a few threads of
/// pools, and in RSS what the allocator cannot give back because a little of it is in use.
pub fn compare(start: &Sample, end: &Sample) -> bool {
    println!("{:<12} {:>12} {:>12} {:>12}", "", "start", "end", "allowed");
    let mut leaks = false;
    for (name, start, end, more) in [
        ("heap KiB", start.heap_kib, end.heap_kib, 1024),
        ("RSS KiB", start.rss_kib, end.rss_kib, 48 * 1024),
        ("threads", start.threads, end.threads, 4),
        ("descriptors", start.descriptors, end.descriptors, 8),
    ] {
        println!("{name:<12} {start:>12} {end:>12} {:>12}", start + more);
        leaks |= end > start + more;
    }
    leaks
}
