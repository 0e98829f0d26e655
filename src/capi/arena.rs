//! Memory for the strings that come and go with every call: tokens.
//!
//! An arena of places of one size, which is made once and never freed. Threads take turns at eight groups of places, so two
//! that make and free strings do not write to the same cache lines. A string that is too long, or for which its group has no
//! place, is a block of its own (see `string.rs`).
//!
//! One word for each place tells whether it is taken and at which address its string begins, so handing out and registering
//! are one compare-and-swap, and so are recognizing and taking back. Each string in a place begins eight bytes behind the
//! one before: an address comes back only after the place was used for [`STEPS`] others, and a second `p21_free` of the same
//! address, a common mistake, meets no string that was made meanwhile.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use zeroize::Zeroize as _;

/// A thread's strings are in one of these.
const GROUPS: usize = 8;
/// Each test has one that no thread uses.
const ALL_GROUPS: usize = if cfg!(test) { GROUPS + 4 } else { GROUPS };
/// How many strings of a group may be alive.
const PLACES: usize = 8;
const PLACE_BYTES: usize = 2048;
const TOTAL_BYTES: usize = ALL_GROUPS * PLACES * PLACE_BYTES;

/// Where in its place a string may begin.
const STEPS: usize = 64;
const STEP_BYTES: usize = 8;

/// The longest string, with its NUL.
pub(super) const LONGEST: usize = PLACE_BYTES - STEPS * STEP_BYTES;

/// The word of a place: below [`STEPS`] it is free, and this is the step of its next string; `BUSY`: its string is being
/// wiped; else the address of its string.
struct Place {
    word: AtomicUsize,
    /// The size of the string with its NUL; changed by the thread that has taken the place.
    size: AtomicUsize,
}

const BUSY: usize = STEPS;

#[repr(align(128))]
struct Group([Place; PLACES]);

static PLACES_OF: [Group; ALL_GROUPS] = [const {
    Group(
        [const {
            Place {
                word: AtomicUsize::new(0),
                size: AtomicUsize::new(0),
            }
        }; PLACES],
    )
}; ALL_GROUPS];

static ARENA: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

/// The group of this thread.
#[inline]
fn group() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % GROUPS);
        }
        mine.get()
    })
}

#[inline]
fn arena() -> Option<*mut u8> {
    let known = ARENA.load(Ordering::Acquire);
    if known.is_null() { make() } else { Some(known) }
}

#[cold]
fn make() -> Option<*mut u8> {
    let layout = Layout::from_size_align(TOTAL_BYTES, 4096).ok()?;
    // SAFETY: the layout is not empty.
    let made = unsafe { alloc_zeroed(layout) };
    if made.is_null() {
        return None;
    }
    let before = ARENA.compare_exchange(
        std::ptr::null_mut(),
        made,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    Some(match before {
        Ok(_) => made,
        Err(first) => {
            // SAFETY: it was allocated above with this layout, and the exchange failed, so it was not published.
            unsafe { dealloc(made, layout) };
            first
        }
    })
}

/// Room for a string of `size` bytes, its NUL included, registered as alive; `None` when there is no place for it.
#[inline]
pub(super) fn take(size: usize) -> Option<*mut u8> {
    take_of(group(), size)
}

#[inline]
fn take_of(group: usize, size: usize) -> Option<*mut u8> {
    if size > LONGEST {
        return None;
    }
    let arena = arena()?;
    for (index, place) in PLACES_OF[group].0.iter().enumerate() {
        let step = place.word.load(Ordering::Relaxed);
        if step >= STEPS {
            continue;
        }
        let offset = (group * PLACES + index) * PLACE_BYTES + step * STEP_BYTES;
        // SAFETY: `group`, `index` and `step` are below their numbers, so the offset is inside the arena.
        let text = unsafe { arena.add(offset) };
        let taken =
            place
                .word
                .compare_exchange(step, text.addr(), Ordering::Acquire, Ordering::Relaxed);
        if taken.is_ok() {
            place.size.store(size, Ordering::Relaxed);
            return Some(text);
        }
    }
    None
}

/// Whether the address is in the arena. If a string is alive there it is wiped and its place is free; any other address is
/// ignored.
#[inline]
pub(super) fn free(address: usize) -> bool {
    let arena = ARENA.load(Ordering::Acquire);
    let offset = address.wrapping_sub(arena.addr());
    if arena.is_null() || offset >= TOTAL_BYTES {
        return false;
    }
    let number = offset / PLACE_BYTES;
    let place = &PLACES_OF[number / PLACES].0[number % PLACES];
    // The compare-and-swap gives the string to this thread alone; it is wiped before another may have the place.
    if place.word.load(Ordering::Relaxed) == address
        && place
            .word
            .compare_exchange(address, BUSY, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    {
        let size = place.size.load(Ordering::Relaxed);
        // SAFETY: `address` was handed out by `take` for `size` bytes inside the arena, and no other thread has the place.
        unsafe { std::slice::from_raw_parts_mut(arena.add(offset), size) }.zeroize();
        let step = offset % PLACE_BYTES / STEP_BYTES;
        place.word.store((step + 1) % STEPS, Ordering::Release);
    }
    true
}

/// Strings alive.
pub(super) fn live() -> usize {
    let places = PLACES_OF.iter().flat_map(|group| &group.0);
    places
        .filter(|place| place.word.load(Ordering::Relaxed) > BUSY)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_after_this_many_others() {
        let first = take_of(GROUPS, 900).expect("a place");
        assert!(free(first.addr()));
        for _ in 1..STEPS {
            let next = take_of(GROUPS, 900).expect("a place");
            assert_ne!(next, first);
            // A second free of the first is ignored and harms no string that is alive.
            assert!(free(first.addr()));
            // SAFETY: `next` has room for 900 bytes.
            let bytes = unsafe { std::slice::from_raw_parts_mut(next, 900) };
            assert!(bytes.iter().all(|byte| *byte == 0), "wiped");
            bytes.fill(b'x');
            assert!(free(next.addr()));
        }
    }

    #[test]
    fn strings_do_not_overlap_and_the_longest_ends_in_its_place() {
        let mut spans: Vec<_> = (0..PLACES)
            .map(|_| take_of(GROUPS + 1, LONGEST).expect("a place").addr())
            .collect();
        spans.sort_unstable();
        for pair in spans.windows(2) {
            assert!(pair[0] + LONGEST <= pair[1]);
        }
        assert!(take_of(GROUPS + 1, LONGEST + 1).is_none());
        assert!(take_of(GROUPS + 1, 1).is_none(), "no place is left");
        for address in spans {
            assert!(free(address));
        }
    }

    #[test]
    fn what_is_not_in_the_arena_is_not_freed_here() {
        let text = take_of(GROUPS + 2, 10).expect("a place");
        let local = 0;
        assert!(!free(std::ptr::from_ref(&local).addr()));
        assert!(!free(0) && !free(usize::MAX));
        assert!(free(text.addr() + 1), "in the arena, and ignored");
        // SAFETY: `text` has room for 10 bytes.
        unsafe { text.write(b'x') };
        assert!(free(text.addr()));
    }

    #[test]
    fn of_many_threads_one_frees() {
        for _ in 0..200 {
            let address = take_of(GROUPS + 3, 64).expect("a place").addr();
            let live_there = || {
                let arena = ARENA.load(Ordering::Relaxed).addr();
                let number = (address - arena) / PLACE_BYTES;
                PLACES_OF[number / PLACES].0[number % PLACES]
                    .word
                    .load(Ordering::Relaxed)
            };
            assert_eq!(live_there(), address);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| assert!(free(address)));
                }
            });
            assert_ne!(live_there(), address);
        }
    }
}
