//! Types
//!
//! Handles are opaque keys, not addresses, and every call checks them. A handle that was freed, has the wrong type or did
//! not come from this library causes P21_E_INVALID_HANDLE.

/// Result of a call: P21_OK or one of the P21_E_ codes below.
pub type p21_status = i32;

/// Options for a client that is about to be created. Use it from one thread at a time.
pub struct p21_config {
    _opaque: (),
}

/// Access to one P21 server as one user or consumer key. All clients of the same identity in a process share one token.
pub struct p21_client {
    _opaque: (),
}

/// Snapshot of one token. It does not change, even if the cache does, until you free it.
pub struct p21_token {
    _opaque: (),
}

/// Why a call failed, and what to do about it.
pub struct p21_error {
    _opaque: (),
}

/// Version of the binary interface (ABI): the digit in the shared library's name.
pub const P21_ABI_VERSION: i32 = 1;
