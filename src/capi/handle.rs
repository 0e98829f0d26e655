//! Handles as checked keys: kind, slot and generation in the bits of a pointer that no one ever follows.
//!
//! A handle leads to a slot of a table; the slot's entry holds the key it was made under. A handle that is not that very
//! key is stale, foreign or of another kind. Slots are used again, generations do not come back for a long time, and the
//! first one of each slot is random, so that no handle can be guessed from its neighbour.
//!
//! A look-up is two loads (segment, entry) and a comparison: no lock, and no write to memory that other threads use. The
//! hits of a client do not even take a share in the entry: see [`hit`]. Each slot has a cache line of its own, so that
//! making and freeing snapshots does not slow down the look-up of a client next to them. Segments are never freed: a stale
//! handle may point into any of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::args::null;
use super::objects::{Failure, Snapshot};
use super::types::{p21_client, p21_config, p21_error, p21_token};
use crate::client::{Client, ClientCell};
use crate::error::{Code, Error, Result};
use crate::fork::Guarded;
use crate::options::Config;
use crate::token::Token;

/// Where the parts of a key lie in a pointer.
#[derive(Clone, Copy)]
struct Layout {
    slot_bits: u32,
    generation_bits: u32,
    /// Set in every key.
    mark: u64,
}

/// Room for the four kinds, which count from 1, so that no key is NULL.
const KIND_BITS: u32 = 3;

/// 4 million slots. With the highest bit set and odd low bits a key looks like no address of user memory.
const WIDE: Layout = Layout {
    slot_bits: 22,
    generation_bits: 38,
    mark: 1 << 63,
};
/// 65,536 slots. A slot's generations come round after 8,192 uses; [`RESTING`] spreads them over many slots.
const NARROW: Layout = Layout {
    slot_bits: 16,
    generation_bits: 13,
    mark: 0,
};
const LAYOUT: Layout = if usize::BITS == 64 { WIDE } else { NARROW };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    kind: u8,
    slot: usize,
    generation: u64,
}

impl Layout {
    const fn encode(self, key: Key) -> u64 {
        let generation = key.generation & ((1 << self.generation_bits) - 1);
        self.mark
            | generation << (KIND_BITS + self.slot_bits)
            | (key.slot as u64) << KIND_BITS
            | key.kind as u64
    }

    #[inline]
    const fn slot(self, key: u64) -> usize {
        ((key >> KIND_BITS) & ((1 << self.slot_bits) - 1)) as usize
    }

    const fn slots(self) -> usize {
        1 << self.slot_bits
    }
}

const SEGMENT: usize = 1024;

static SEGMENTS: [AtomicPtr<Slot>; LAYOUT.slots() / SEGMENT] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; LAYOUT.slots() / SEGMENT];

#[repr(align(64))]
struct Slot {
    entry: ArcSwapOption<Entry>,
    /// Of the last handle; changed under the lock of [`FREE`] only.
    generation: AtomicU64,
    /// The handle of a client that is in the slot, or 0.
    client: AtomicUsize,
    /// That client's cell.
    cell: AtomicPtr<ClientCell>,
}

struct Entry {
    key: u64,
    object: Object,
}

/// What a handle stands for.
pub(super) enum Object {
    Config(ArcSwap<Config>),
    Client(Client),
    Token(Snapshot),
    Error(Failure),
}

/// One of the four kinds of object, and the opaque type that C knows it by.
pub(super) trait Kind: Sized {
    type Opaque;
    const KIND: u8;
    const NAME: &'static str;
    fn of(object: &Object) -> Option<&Self>;
    fn into_object(self) -> Object;
}

macro_rules! kinds {
    ($($number:literal $name:literal $variant:ident $object:ty => $opaque:ty;)+) => {
        $(impl Kind for $object {
            type Opaque = $opaque;
            const KIND: u8 = $number;
            const NAME: &'static str = $name;

            #[inline]
            fn of(object: &Object) -> Option<&Self> {
                match object {
                    Object::$variant(object) => Some(object),
                    _ => None,
                }
            }

            fn into_object(self) -> Object {
                Object::$variant(self)
            }
        })+
    };
}

kinds! {
    1 "config" Config ArcSwap<Config> => p21_config;
    2 "client" Client Client => p21_client;
    3 "token" Token Snapshot => p21_token;
    4 "error" Error Failure => p21_error;
}

/// Freed slots rest at least until this many others have been freed, and fresh ones are taken instead: that keeps stale
/// handles recognizable for longer.
const RESTING: usize = 256;

struct Free {
    /// Slots made so far.
    made: usize,
    /// Slots ready for use, longest rested first.
    resting: VecDeque<usize>,
}

static FREE: Guarded<Free> = Guarded::new_static(Free {
    made: 0,
    resting: VecDeque::new(),
});

impl Free {
    fn take(&mut self) -> Result<usize> {
        let fresh = self.made < LAYOUT.slots();
        if let Some(slot) = (self.resting.len() > RESTING || !fresh)
            .then(|| self.resting.pop_front())
            .flatten()
        {
            return Ok(slot);
        }
        if !fresh {
            return Err(
                Error::new(Code::NoMemory, "too many handles are in use").with_hint(
                    "Something is never freed: watch p21_live_objects while the program runs.",
                ),
            );
        }
        if self.made.is_multiple_of(SEGMENT) {
            SEGMENTS[self.made / SEGMENT].store(new_segment()?, Ordering::Release);
        }
        self.made += 1;
        Ok(self.made - 1)
    }
}

fn new_segment() -> Result<*mut Slot> {
    let mut random = [0; SEGMENT * 8];
    // Without the system's generator handles are merely easier to guess.
    let _ = getrandom::fill(&mut random);
    let mut slots = Vec::new();
    slots
        .try_reserve_exact(SEGMENT)
        .map_err(|_| Error::new(Code::NoMemory, "no memory for more handles"))?;
    slots.extend(random.as_chunks().0.iter().map(|bytes| Slot {
        entry: ArcSwapOption::empty(),
        generation: AtomicU64::new(u64::from_le_bytes(*bytes)),
        client: AtomicUsize::new(0),
        cell: AtomicPtr::new(std::ptr::null_mut()),
    }));
    Ok(Box::leak(slots.into_boxed_slice()).as_mut_ptr())
}

#[inline]
fn slot_of(key: u64) -> Option<&'static Slot> {
    let index = LAYOUT.slot(key);
    let segment = SEGMENTS[index / SEGMENT].load(Ordering::Acquire);
    // SAFETY: not NULL, so it was published by the release store in `take` with `SEGMENT` slots, of which the remainder is
    // one, and it is never freed or moved.
    (!segment.is_null()).then(|| unsafe { &*segment.add(index % SEGMENT) })
}

/// Makes a handle.
///
/// # Errors
///
/// `NoMemory`.
pub(super) fn insert<T: Kind>(object: T) -> Result<*mut T::Opaque> {
    let object = object.into_object();
    let key = FREE.with(|free| {
        let index = free.take()?;
        let mut key = LAYOUT.encode(Key {
            kind: T::KIND,
            slot: index,
            generation: 0,
        });
        if let Some(slot) = slot_of(key) {
            let generation = slot
                .generation
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_add(1);
            key = LAYOUT.encode(Key {
                kind: T::KIND,
                slot: index,
                generation,
            });
            let cell = match &object {
                Object::Client(client) => Some(client.cell()),
                _ => None,
            };
            slot.entry.store(Some(Arc::new(Entry { key, object })));
            if let Some(cell) = cell {
                slot.cell
                    .store(std::ptr::from_ref(cell).cast_mut(), Ordering::Relaxed);
                slot.client.store(address(key), Ordering::Release);
            }
        }
        Ok(key)
    })?;
    Ok(std::ptr::without_provenance_mut(address(key)))
}

/// A key as an address; it fits by its layout.
fn address(key: u64) -> usize {
    usize::try_from(key).unwrap_or_default()
}

/// A client's hit, without a share in its handle; `None` when there is none, for any reason. By the system's clocks, as
/// all clients of C are.
///
/// A cell is never freed, so what is read there is always some client's. It is this one's if the slot still holds the
/// handle after the hit was taken hold of: a cell changes hands only when its client is gone, and that comes after the
/// handle has left the slot.
#[inline]
pub(super) fn hit<R>(handle: *const p21_client, look: impl FnOnce(&Token) -> R) -> Option<R> {
    let key = handle.addr();
    let slot = slot_of(key as u64)?;
    let is_here = || key != 0 && slot.client.load(Ordering::Acquire) == key;
    if !is_here() {
        return None;
    }
    // SAFETY: NULL, or the address of a cell, which is never freed, so that a stale one is still a cell; whether it is this
    // client's, `hit` asks again by `is_here`.
    let cell = unsafe { slot.cell.load(Ordering::Relaxed).as_ref() }?;
    cell.hit_now(is_here, look)
}

/// Hands the object of a handle to `work`; it lives until `work` is done, even if another thread frees the handle meanwhile.
///
/// # Errors
///
/// `NullArgument`, `InvalidHandle`; what `work` returns.
#[inline]
pub(super) fn with<T: Kind, R>(
    handle: *const T::Opaque,
    work: impl FnOnce(&T) -> Result<R>,
) -> Result<R> {
    let key = handle.addr() as u64;
    if let Some(slot) = slot_of(key)
        && let Some(entry) = &*slot.entry.load()
        && entry.key == key
        && let Some(object) = T::of(&entry.object)
    {
        return work(object);
    }
    Err(refused::<T>(key))
}

#[cold]
fn refused<T: Kind>(key: u64) -> Error {
    if key == 0 {
        return null(T::NAME);
    }
    let message = format!("the {} handle is not valid", T::NAME);
    Error::new(Code::InvalidHandle, message)
        .with_hint("It was freed, has the wrong type, or did not come from this library.")
}

/// As [`with`] for functions that answer a value: `None` for NULL and for handles that are not valid.
pub(super) fn get<T: Kind, R>(
    handle: *const T::Opaque,
    work: impl FnOnce(&T) -> Option<R>,
) -> Option<R> {
    with(handle, |object| Ok(work(object))).ok().flatten()
}

/// Frees a handle, once; `last` sees its object before it goes. Anything else is ignored.
pub(super) fn remove<T: Kind>(handle: *const T::Opaque, last: impl FnOnce(&T)) {
    let key = handle.addr() as u64;
    let Some(slot) = slot_of(key) else { return };
    let Some(entry) = slot.entry.load_full() else {
        return;
    };
    if entry.key != key {
        return;
    }
    let Some(object) = T::of(&entry.object) else {
        return;
    };
    let mine = FREE.with(|free| {
        // First of all: from here on no one finds the client's cell.
        let _ = slot
            .client
            .compare_exchange(handle.addr(), 0, Ordering::AcqRel, Ordering::Relaxed);
        let before = slot.entry.compare_and_swap(&entry, None);
        let mine = before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, &entry));
        if mine {
            free.resting.push_back(LAYOUT.slot(key));
        }
        mine
    });
    if mine {
        last(object);
    }
}

/// Handles alive.
pub(super) fn live() -> u64 {
    FREE.with(|free| (free.made - free.resting.len()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(layout: Layout, key: u64) -> Key {
        Key {
            kind: u8::try_from(key & ((1 << KIND_BITS) - 1)).expect("few bits"),
            slot: layout.slot(key),
            generation: (key & !layout.mark) >> (KIND_BITS + layout.slot_bits),
        }
    }

    #[test]
    fn the_layouts_fill_their_pointers() {
        assert_eq!(KIND_BITS + WIDE.slot_bits + WIDE.generation_bits, 63);
        assert_eq!(KIND_BITS + NARROW.slot_bits + NARROW.generation_bits, 32);
        assert_eq!(WIDE.mark, 1 << 63, "no user address has the highest bit");
        for layout in [WIDE, NARROW] {
            assert!(layout.slots().is_multiple_of(SEGMENT));
        }
    }

    proptest! {
        #[test]
        fn keys_keep_their_parts_in_both_widths(kind in 1_u8..=4, slot in any::<usize>(), generation in any::<u64>()) {
            for (layout, limit) in [(WIDE, u64::MAX), (NARROW, u64::from(u32::MAX))] {
                let key = Key { kind, slot: slot % layout.slots(), generation };
                let encoded = layout.encode(key);
                prop_assert!(encoded != 0 && encoded <= limit);
                let generation = generation & ((1 << layout.generation_bits) - 1);
                prop_assert_eq!(decode(layout, encoded), Key { generation, ..key });
            }
        }

        #[test]
        fn a_number_that_is_no_handle_finds_nothing(number in any::<usize>()) {
            let handle = std::ptr::without_provenance(number);
            prop_assert!(with::<Client, ()>(handle, |_| Ok(())).is_err());
        }
    }

    fn config() -> ArcSwap<Config> {
        ArcSwap::from_pointee(Config::new())
    }

    #[test]
    fn a_freed_handle_stays_invalid_when_its_slot_is_used_again() {
        let first = insert(config()).expect("a handle");
        let slot = LAYOUT.slot(first.addr() as u64);
        remove::<ArcSwap<Config>>(first, |_| {});
        let mut others = Vec::new();
        // No matter what other tests do, the slot comes round once enough others have rested.
        loop {
            let next = insert(config()).expect("a handle");
            remove::<ArcSwap<Config>>(next, |_| {});
            others.push(next);
            if LAYOUT.slot(next.addr() as u64) == slot {
                break;
            }
        }
        assert!(others.len() > RESTING);
        assert!(!others.contains(&first), "another generation");
        for stale in others.iter().chain([&first]) {
            assert!(get::<ArcSwap<Config>, ()>(*stale, |_| Some(())).is_none());
        }
    }

    #[test]
    fn one_of_many_threads_frees() {
        let handle = insert(config()).expect("a handle").addr();
        let freed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    remove::<ArcSwap<Config>>(std::ptr::without_provenance(handle), |_| {
                        freed.fetch_add(1, Ordering::Relaxed);
                    });
                });
            }
        });
        assert_eq!(freed.into_inner(), 1);
    }

    #[test]
    fn neighbours_do_not_share_a_generation() {
        let handles: Vec<_> = (0..4)
            .map(|_| insert(config()).expect("a handle"))
            .collect();
        let mut generations: Vec<_> = handles
            .iter()
            .map(|handle| decode(LAYOUT, handle.addr() as u64).generation)
            .collect();
        generations.sort_unstable();
        generations.dedup();
        assert_eq!(generations.len(), 4);
        for handle in handles {
            remove::<ArcSwap<Config>>(handle, |_| {});
        }
    }
}
