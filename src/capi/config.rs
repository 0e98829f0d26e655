//! Configuration
//!
//! Options are named and textual; p21_options_json lists them. A bad one is reported at once, and again by
//! p21_client_new, so checking only there misses nothing. A configuration may be freed as soon as its client is made.

use std::ffi::c_char;
use std::path::Path;

use arc_swap::ArcSwap;

use super::args::{Out, optional_text, text};
use super::types::{p21_config, p21_error, p21_status};
use super::{guard, handle};
use crate::error::Result;
use crate::options::Config;

/// Changes a configuration. Changes are made on a copy, so no lock is held while a file is read.
fn change(config: *mut p21_config, work: impl Fn(&mut Config) -> Result<()>) -> Result<()> {
    handle::with(config.cast_const(), |config: &ArcSwap<Config>| {
        let mut result = Ok(());
        config.rcu(|old| {
            let mut new = (**old).clone();
            result = work(&mut new);
            new
        });
        result
    })
}

/// Makes an empty configuration: every option at its default. Free it with p21_config_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_config_new(
    out: *mut *mut p21_config,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `out` is checked for NULL and else points to memory for a pointer for as long as this call lasts.
    unsafe {
        guard::status("p21_config_new", err, || {
            let out = Out::new(out, std::ptr::null_mut(), "out")?;
            out.set(handle::insert(ArcSwap::from_pointee(Config::new()))?);
            Ok(())
        })
    }
}

/// Sets one option, such as "base_url"; a value of NULL puts it back to its default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_config_set(
    config: *mut p21_config,
    name: *const c_char,
    value: *const c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `name` and `value` are checked for NULL and else C strings that nobody changes during the call, after which
    // no reference to them is left: the option keeps copies.
    unsafe {
        guard::status("p21_config_set", err, || {
            let name = text(name, "name")?;
            let value = optional_text(value, "value")?;
            change(config, |config| config.set(name, value))
        })
    }
}

/// Reads every option from the environment: base_url from P21_BASE_URL and so on. A prefix of NULL means "P21_"; with
/// another, such as "P21_PLAY_", a play server's settings live beside production's. Other variables are ignored.
/// P21_E_CONFIG in a set-uid program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_config_load_env(
    config: *mut p21_config,
    prefix: *const c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `prefix` is checked for NULL and else a C string that lasts for the call, and is only read during it.
    unsafe {
        guard::status("p21_config_load_env", err, || {
            let prefix = optional_text(prefix, "prefix")?.unwrap_or("P21_");
            change(config, |config| config.load_env(prefix))
        })
    }
}

/// Reads options from a .env file: lines such as P21_BASE_URL=https://p21.example.com, quotes and comments understood. A file
/// that cannot be read within 5 seconds is P21_E_TIMEOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_config_load_file(
    config: *mut p21_config,
    path: *const c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `path` is checked for NULL and else a C string that lasts for the call, and is only read during it.
    unsafe {
        guard::status("p21_config_load_file", err, || {
            let path = Path::new(text(path, "path")?);
            change(config, |config| config.load_file(path))
        })
    }
}

/// Reads a profile: the section of that name in profiles.toml in the user's configuration folder, $XDG_CONFIG_HOME/p21auth or
/// ~/.config/p21auth, on Windows %APPDATA%\p21auth. Options that p21_config_set sets come before it, in whatever order the calls
/// are made, and it comes before the environment; its credential replaces the whole credential of the environment.
/// Takes at most 5 seconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_config_load_profile(
    config: *mut p21_config,
    name: *const c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `name` is checked for NULL and else a C string that lasts for the call, and is only read during it.
    unsafe {
        guard::status("p21_config_load_profile", err, || {
            let name = text(name, "name")?;
            change(config, |config| config.load_profile(name))
        })
    }
}

/// Frees a configuration; NULL and handles already freed are ignored.
#[unsafe(no_mangle)]
pub extern "C" fn p21_config_free(config: *mut p21_config) {
    guard::value("p21_config_free", (), || {
        handle::remove::<ArcSwap<Config>>(config, |_| {});
        None
    });
}
