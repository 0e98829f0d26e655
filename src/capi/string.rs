//! Text that the caller owns until `p21_free`.
//!
//! A string as short as a token has a place in the arena of `arena.rs`, if there is one. Any other is a block of its own
//! with its size in front of the text. The address of a block's text is registered, so that a pointer that
//! is foreign, or was freed before, is told apart without being followed. The registry is a hash table of buckets that
//! fill one cache line each. It takes no lock: adding and removing are one compare-and-swap, so threads do not wait for
//! each other, and a forked child finds it whole.
//!
//! A freed block rests, wiped, until 64 others of its size have been freed: only then does its address come back to the
//! allocator. So a second `p21_free` of the same address, a common mistake, meets no string that was made meanwhile.

#![allow(
    clippy::cast_ptr_alignment,
    reason = "every block is allocated with the alignment that it is used with"
)]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use zeroize::Zeroize as _;

use super::arena;
use crate::error::{Code, Error, Result};

/// What stands before the text: the size of the text with its NUL.
const HEADER: usize = size_of::<usize>();

#[repr(align(64))]
struct Bucket([AtomicUsize; 8]);

/// Buckets of the first table, as a power of two; each next table has eight times as many.
const FIRST_BITS: usize = 6;
const STEP_BITS: usize = 3;

static TABLES: [AtomicPtr<Bucket>; 8] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 8];

const fn bits(table: usize) -> usize {
    FIRST_BITS + STEP_BITS * table
}

/// The bucket for an address in a table that has been made.
fn bucket(buckets: *const Bucket, table: usize, address: usize) -> &'static Bucket {
    // Blocks are aligned, so the low bits say nothing; the multiplication carries the rest into the high ones.
    let hash = (address as u64 >> 3).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let index = (hash >> (64 - bits(table))) as usize;
    // SAFETY: `buckets` is a published table, which has `1 << bits` buckets and is never freed; `index` keeps that many
    // bits.
    unsafe { &*buckets.add(index) }
}

/// The table, made if it is not there yet; `None` when there is no memory for it.
fn table(table: usize) -> Option<*const Bucket> {
    let known = TABLES[table].load(Ordering::Acquire);
    if !known.is_null() {
        return Some(known);
    }
    let layout = Layout::array::<Bucket>(1 << bits(table)).ok()?;
    // SAFETY: the layout is that of at least `1 << FIRST_BITS` buckets, so not empty. All zeros are empty entries.
    let made = unsafe { alloc_zeroed(layout) }.cast::<Bucket>();
    if made.is_null() {
        return None;
    }
    match TABLES[table].compare_exchange(
        std::ptr::null_mut(),
        made,
        Ordering::AcqRel,
        Ordering::Acquire,
    ) {
        Ok(_) => Some(made),
        Err(first) => {
            // SAFETY: it was allocated above with this layout, and the exchange failed, so it was not published.
            unsafe { dealloc(made.cast(), layout) };
            Some(first)
        }
    }
}

fn register(address: usize) -> Option<()> {
    for index in 0..TABLES.len() {
        let entries = &bucket(table(index)?, index, address).0;
        for entry in entries {
            if entry.load(Ordering::Relaxed) == 0
                && entry
                    .compare_exchange(0, address, Ordering::Release, Ordering::Relaxed)
                    .is_ok()
            {
                return Some(());
            }
        }
    }
    None
}

/// Whether the address was registered. Of several threads that ask at once, one gets true.
fn unregister(address: usize) -> bool {
    if address == 0 {
        // What an empty entry holds.
        return false;
    }
    let made = TABLES
        .iter()
        .map(|table| table.load(Ordering::Acquire))
        .take_while(|table| !table.is_null());
    for (index, buckets) in made.enumerate() {
        for entry in &bucket(buckets, index, address).0 {
            if entry.load(Ordering::Relaxed) == address {
                return entry
                    .compare_exchange(address, 0, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok();
            }
        }
    }
    false
}

/// Strings alive.
pub(super) fn live() -> u64 {
    let mut count = arena::live();
    for (index, table) in TABLES.iter().enumerate() {
        let buckets = table.load(Ordering::Acquire);
        if buckets.is_null() {
            break;
        }
        for at in 0..1 << bits(index) {
            // SAFETY: not NULL, so the table is published, has the `1 << bits` buckets that are counted here and is never
            // freed.
            let entries = unsafe { &(*buckets.add(at)).0 };
            count += entries
                .iter()
                .filter(|entry| entry.load(Ordering::Relaxed) != 0)
                .count();
        }
    }
    count as u64
}

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(HEADER.checked_add(size)?, HEADER).ok()
}

/// Copies text that ends with a NUL into a string that the caller will own.
///
/// # Errors
///
/// `NoMemory`.
#[inline]
pub(super) fn from_bytes_with_nul(text: &[u8]) -> Result<*mut c_char> {
    let Some(at) = arena::take(text.len()) else {
        return block_of(text, &[]);
    };
    // SAFETY: `at` has room for `text.len()` bytes that no other string uses, so it does not overlap the text.
    unsafe { at.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    Ok(at.cast())
}

/// Copies text into a string that the caller will own.
///
/// # Errors
///
/// `NoMemory`.
pub(super) fn from_text(text: &str) -> Result<*mut c_char> {
    let text = text.as_bytes();
    let Some(at) = arena::take(text.len() + 1) else {
        return block_of(text, b"\0");
    };
    // SAFETY: `at` has room for the text and its NUL, which no other string uses, so it does not overlap the text.
    unsafe {
        at.copy_from_nonoverlapping(text.as_ptr(), text.len());
        at.add(text.len()).write(0);
    }
    Ok(at.cast())
}

/// A string in a block of its own: the text, and what ends it.
fn block_of(text: &[u8], end: &[u8]) -> Result<*mut c_char> {
    allocate(text.len() + end.len())
        .and_then(|at| {
            // SAFETY: `at` has room for both, is new, and so overlaps neither.
            unsafe {
                at.copy_from_nonoverlapping(text.as_ptr(), text.len());
                at.add(text.len())
                    .copy_from_nonoverlapping(end.as_ptr(), end.len());
            }
            hand_out(at)
        })
        .ok_or_else(no_memory)
}

/// A block for `size` bytes of text; the address is the text's.
fn allocate(size: usize) -> Option<*mut u8> {
    let layout = layout(size)?;
    // SAFETY: the layout is not empty: it holds the header.
    let block = unsafe { alloc(layout) };
    if block.is_null() {
        return None;
    }
    // SAFETY: the block is `HEADER` bytes and the text's size long and aligned to `HEADER`, which is enough for a `usize`,
    // so both the header and the text's address lie in it.
    unsafe {
        block.cast::<usize>().write(size);
        Some(block.add(HEADER))
    }
}

fn hand_out(text: *mut u8) -> Option<*mut c_char> {
    if register(text.addr()).is_some() {
        return Some(text.cast());
    }
    // SAFETY: from `allocate`, and no caller has seen it.
    unsafe { retire(text) };
    None
}

/// Freed blocks of one size that rest.
#[repr(align(64))]
struct Resting {
    /// How many blocks have come here; tells whose place is next.
    arrived: AtomicUsize,
    blocks: [AtomicPtr<u8>; RESTING],
}

/// This many freed blocks of each size rest.
const RESTING: usize = 64;
/// The sizes, as powers of two: 16 bytes to 16 KiB, at most 2 MiB in all.
const SMALLEST_BITS: u32 = 4;
const SIZES: usize = 11;

static RESTS: [Resting; SIZES] = [const {
    Resting {
        arrived: AtomicUsize::new(0),
        blocks: [const { AtomicPtr::new(std::ptr::null_mut()) }; RESTING],
    }
}; SIZES];

/// Where blocks of this many bytes rest; `None`: too large, they go at once.
fn resting(bytes: usize) -> Option<&'static Resting> {
    let bits = bytes.next_power_of_two().trailing_zeros();
    RESTS.get(bits.saturating_sub(SMALLEST_BITS) as usize)
}

impl Resting {
    /// Takes a block in, and returns the one whose time is over.
    fn exchange(&self, block: *mut u8) -> *mut u8 {
        let place = self.arrived.fetch_add(1, Ordering::Relaxed) % RESTING;
        // Neighbors in time are kept in different cache lines, so that threads which free do not share one.
        let place = place % 8 * 8 + place / 8;
        self.blocks[place].swap(block, Ordering::AcqRel)
    }
}

/// Zeroizes a block and lets it rest; frees the one that has rested longest instead.
///
/// # Safety
///
/// `text` is from [`allocate`], and no other thread and no caller uses it any more.
unsafe fn retire(text: *mut u8) {
    // SAFETY: the header stands in front of the text and holds the size that the block was made with.
    let (block, size) = unsafe {
        let block = text.sub(HEADER);
        let size = block.cast::<usize>().read();
        std::slice::from_raw_parts_mut(text, size).zeroize();
        (block, size)
    };
    let rested = match resting(HEADER + size) {
        Some(resting) => resting.exchange(block),
        None => block,
    };
    if rested.is_null() {
        return;
    }
    // SAFETY: a block that rests keeps its header, and the exchange gave it to this thread alone.
    unsafe {
        if let Some(layout) = layout(rested.cast::<usize>().read()) {
            dealloc(rested, layout);
        }
    }
}

/// Zeroizes a string and frees it; ignores every other pointer.
pub(super) fn free(pointer: *mut c_void) {
    if arena::free(pointer.addr()) {
        return;
    }
    // NULL is what an empty entry holds, so it must not be looked for.
    if !pointer.is_null() && unregister(pointer.addr()) {
        // SAFETY: it was registered, so it is from `allocate`; unregistering it gave it to this thread alone.
        unsafe { retire(pointer.cast()) };
    }
}

#[cold]
fn no_memory() -> Error {
    Error::new(Code::NoMemory, "no memory for the result")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::ffi::CStr;

    /// As [`from_text`], in a block of its own.
    fn block(text: &str) -> Result<*mut c_char> {
        block_of(text.as_bytes(), b"\0")
    }

    #[test]
    fn strings_are_copies_that_end_with_a_nul() {
        for text in ["", "x", "tökén"] {
            let string = from_text(text).expect("memory");
            // SAFETY: just made.
            assert_eq!(unsafe { CStr::from_ptr(string) }.to_str(), Ok(text));
            free(string.cast());
            let string = block(text).expect("memory");
            // SAFETY: just made.
            assert_eq!(unsafe { CStr::from_ptr(string) }.to_str(), Ok(text));
            free(string.cast());
        }
        let string = from_bytes_with_nul(b"abc\0").expect("memory");
        // SAFETY: just made.
        assert_eq!(unsafe { CStr::from_ptr(string) }, c"abc");
        free(string.cast());
    }

    #[test]
    fn foreign_and_freed_pointers_are_ignored() {
        let string = block("once").expect("memory");
        free(string.cast());
        assert!(!unregister(string.addr()));
        free(string.cast());
        let mut local = 0_u64;
        free((&raw mut local).cast());
        free(std::ptr::null_mut());
        free(std::ptr::without_provenance_mut(usize::MAX));
    }

    #[test]
    fn a_freed_address_is_not_handed_out_while_its_block_rests() {
        // Sizes that other tests of this process do not use: a class of blocks is shared by all threads.
        for len in [5_000, 9_000] {
            let text = "x".repeat(len);
            let first = block(&text).expect("memory");
            free(first.cast());
            for round in 1..RESTING {
                let next = block(&text).expect("memory");
                assert_ne!(next, first, "block {round} after it");
                // A second free of the first is ignored and harms no string that lives.
                free(first.cast());
                // SAFETY: `next` lives.
                assert_eq!(unsafe { CStr::from_ptr(next) }.count_bytes(), len);
                free(next.cast());
            }
        }
    }

    #[test]
    fn blocks_rest_by_size_and_at_most_two_mebibytes_of_them() {
        let class = |bytes| resting(bytes).map(std::ptr::from_ref);
        assert_eq!(class(9), class(16));
        assert_ne!(class(16), class(17));
        assert!(class(16 * 1024).is_some() && class(16 * 1024 + 1).is_none());
        assert!(class(usize::MAX / 2).is_none());
        let most: usize = (0..SIZES)
            .map(|n| RESTING << (SMALLEST_BITS as usize + n))
            .sum();
        assert!(most <= 2 * 1024 * 1024, "{most}");
    }

    #[test]
    fn many_strings_overflow_into_larger_tables_and_all_come_back() {
        let strings: Vec<_> = (0..20_000)
            .map(|n| block(&n.to_string()).expect("memory").addr())
            .collect();
        assert_eq!(strings.iter().collect::<HashSet<_>>().len(), strings.len());
        assert!(!TABLES[2].load(Ordering::Relaxed).is_null());
        for address in &strings {
            assert!(unregister(*address), "registered");
            assert!(!unregister(*address), "once");
            assert!(register(*address).is_some());
        }
        for (n, address) in strings.into_iter().enumerate() {
            let string = std::ptr::with_exposed_provenance_mut::<c_char>(address);
            // SAFETY: still registered.
            let text = unsafe { CStr::from_ptr(string) };
            assert_eq!(text.to_str(), Ok(n.to_string().as_str()));
            free(string.cast());
            assert!(!unregister(address));
        }
    }

    #[test]
    fn threads_make_and_free_side_by_side_and_each_string_is_freed_once() {
        let freed = AtomicUsize::new(0);
        let shared: Vec<_> = (0..500)
            .map(|_| block("shared").expect("memory").addr())
            .collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for address in &shared {
                        if unregister(*address) {
                            freed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(freed.into_inner(), 500);
        for address in shared {
            // SAFETY: from `from_text`, taken out of the registry above.
            unsafe { retire(std::ptr::with_exposed_provenance_mut(address)) };
        }
    }
}
