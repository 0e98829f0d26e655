//! Short forms for what C programs do at length.
#![allow(unsafe_code, reason = "these are C's functions")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "what each call is given stands right above it"
)]

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use p21_emulator::Emulator;
use p21auth::internal::capi::*;

/// A configuration; freed on drop.
pub struct Config(pub *mut p21_config);

impl Config {
    pub fn new(options: &[(&str, &str)]) -> Config {
        let mut config = ptr::null_mut();
        assert_eq!(
            unsafe { p21_config_new(&raw mut config, ptr::null_mut()) },
            P21_OK
        );
        let config = Config(config);
        for (name, value) in options {
            assert_eq!(config.set(name, value), P21_OK, "{name}");
        }
        config
    }

    /// For the user `demo` of the emulator.
    pub fn demo(emulator: &Emulator) -> Config {
        Config::new(&[
            ("base_url", emulator.base_url()),
            ("username", "demo"),
            ("password", "demo-password"),
        ])
    }

    pub fn set(&self, name: &str, value: &str) -> p21_status {
        let (name, value) = (c(name), c(value));
        unsafe { p21_config_set(self.0, name.as_ptr(), value.as_ptr(), ptr::null_mut()) }
    }

    pub fn open(&self) -> Client {
        let mut client = ptr::null_mut();
        let mut err = ptr::null_mut();
        let status = unsafe { p21_client_new(self.0, &raw mut client, &raw mut err) };
        assert_eq!(status, P21_OK, "{}", Failure(err).message());
        Client(client)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        p21_config_free(self.0);
    }
}

/// A client; freed on drop.
pub struct Client(pub *mut p21_client);

impl Client {
    pub fn demo(emulator: &Emulator) -> Client {
        Config::demo(emulator).open()
    }

    pub fn get(&self, flags: u32) -> Result<String, Failure> {
        self.get_within(flags, 0)
    }

    pub fn get_within(&self, flags: u32, wait_ms: u32) -> Result<String, Failure> {
        let (mut token, mut err) = (ptr::null_mut(), ptr::null_mut());
        let status = unsafe { p21_token_get(self.0, flags, wait_ms, &raw mut token, &raw mut err) };
        assert_eq!(status == P21_OK, err.is_null());
        assert_eq!(status == P21_OK, !token.is_null());
        if err.is_null() {
            Ok(take(token))
        } else {
            Err(Failure(err))
        }
    }

    pub fn snapshot(&self, flags: u32, min_valid_s: u32) -> Snapshot {
        let (mut token, mut err) = (ptr::null_mut(), ptr::null_mut());
        let status = unsafe {
            p21_token_snapshot(self.0, flags, 0, min_valid_s, &raw mut token, &raw mut err)
        };
        assert_eq!(status, P21_OK, "{}", Failure(err).message());
        Snapshot(token)
    }

    pub fn report(&self, token: &str, status: i32, body: &str) -> i32 {
        let token = c(token);
        let mut verdict = -1;
        let status = unsafe {
            p21_token_report(
                self.0,
                token.as_ptr(),
                status,
                body.as_ptr(),
                body.len(),
                &raw mut verdict,
                ptr::null_mut(),
            )
        };
        assert_eq!(status, P21_OK);
        verdict
    }

    pub fn stats(&self) -> serde_json::Value {
        let mut json = ptr::null_mut();
        assert_eq!(
            unsafe { p21_client_stats(self.0, &raw mut json, ptr::null_mut()) },
            P21_OK
        );
        serde_json::from_str(&take(json)).expect("JSON")
    }

    pub fn word(&self) -> u64 {
        let mut word = ptr::null();
        assert_eq!(
            unsafe { p21_client_generation(self.0, &raw mut word, ptr::null_mut()) },
            P21_OK
        );
        unsafe { word.read_volatile() }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        p21_client_free(self.0);
    }
}

/// A snapshot; freed on drop.
pub struct Snapshot(pub *mut p21_token);

impl Snapshot {
    pub fn value(&self) -> String {
        text(p21_token_value(self.0))
    }

    pub fn field(&self, name: &str) -> Option<String> {
        let name = c(name);
        let field = unsafe { p21_token_field(self.0, name.as_ptr()) };
        (!field.is_null()).then(|| text(field))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        p21_token_free(self.0);
    }
}

/// An error; freed on drop.
pub struct Failure(pub *mut p21_error);

impl Failure {
    pub fn code(&self) -> p21_status {
        p21_error_code(self.0)
    }

    pub fn message(&self) -> String {
        if self.0.is_null() {
            String::new()
        } else {
            text(p21_error_message(self.0))
        }
    }

    pub fn hint(&self) -> String {
        text(p21_error_hint(self.0))
    }

    pub fn retry_after_ms(&self) -> i64 {
        p21_error_retry_after_ms(self.0)
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code(), self.message())
    }
}

impl Drop for Failure {
    fn drop(&mut self) {
        p21_error_free(self.0);
    }
}

pub fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL inside")
}

/// Borrowed text.
pub fn text(pointer: *const c_char) -> String {
    assert!(!pointer.is_null());
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().expect("UTF-8").to_owned()
}

/// Owned text, freed.
pub fn take(pointer: *mut c_char) -> String {
    let taken = text(pointer);
    p21_free_text(pointer);
    taken
}

pub fn p21_free_text(pointer: *mut c_char) {
    p21_free(pointer.cast());
}
