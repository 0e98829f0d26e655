//! Types
//!
//! Handles are opaque: they are checked keys, not addresses. One that was freed, is of another kind or never came from
//! here gives P21_E_INVALID_HANDLE.

/// Result of a call: P21_OK, or one of P21_E_... below.
pub type p21_status = i32;

/// Options on their way into a client. One thread at a time.
pub struct p21_config {
    _opaque: (),
}

/// Access to one P21 server under one identity; shares its token with every other client of that identity in the process.
pub struct p21_client {
    _opaque: (),
}

/// Snapshot of one token: it stays as it is, whatever the cache does, until it is freed.
pub struct p21_token {
    _opaque: (),
}

/// What went wrong in one call, and what to do about it.
pub struct p21_error {
    _opaque: (),
}

/// Version of the binary interface, the digit in the shared library's name.
pub const P21_ABI_VERSION: i32 = 1;
