//! A hit takes no memory from the allocator: `p21_token_get` has places of its own for tokens.

use std::cell::Cell;
use std::ptr;

use p21auth::internal::capi::*;
use test_support::capi::Client;

thread_local! {
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

/// The allocator tells of each block.
pub fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

fn allocations(work: impl FnOnce()) -> u32 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn a_hit_takes_no_memory_of_the_librarys() {
    let emulator = test_support::emulator();
    let client = Client::demo(&emulator);
    client.get(0).expect("a token");
    let mut buffer = vec![0; 8192];
    let copy = |buffer: &mut Vec<_>| {
        let mut len = 0;
        let buf = buffer.as_mut_ptr();
        let err = ptr::null_mut();
        let status = unsafe { p21_token_copy(client.0, 0, 0, buf, 8192, &raw mut len, err) };
        assert_eq!(status, P21_OK);
    };
    copy(&mut buffer);
    assert_eq!(allocations(|| (0..1000).for_each(|_| copy(&mut buffer))), 0);

    let get = || {
        let mut token = ptr::null_mut();
        let status = unsafe { p21_token_get(client.0, 0, 0, &raw mut token, ptr::null_mut()) };
        assert_eq!(status, P21_OK);
        p21_free(token.cast());
    };
    get();
    assert_eq!(allocations(|| (0..1000).for_each(|_| get())), 0);
}
