//! Configuration
//!
//! Options are names and values as text; p21_options_json lists them. A bad option is reported at once, and again by
//! p21_client_new, so it is enough to check that call. You may free a configuration as soon as its client exists.

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

/// Creates a configuration with every option at its default. Free it with p21_config_free.
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

/// Sets one option, such as "base_url". A NULL value restores the default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p21_config_set(
    config: *mut p21_config,
    name: *const c_char,
    value: *const c_char,
    err: *mut *mut p21_error,
) -> p21_status {
    // SAFETY: `name` and `value` are checked for NULL and else C strings that no one changes during the call, after which
    // no reference to them is left: the option keeps copies.
    unsafe {
        guard::status("p21_config_set", err, || {
            let name = text(name, "name")?;
            let value = optional_text(value, "value")?;
            change(config, |config| config.set(name, value))
        })
    }
}

/// Reads the options from environment variables: base_url from P21_BASE_URL, and so on. A NULL prefix means "P21_". With another
/// prefix, such as "P21_PLAY_", settings for a play server and for production can be set side by side. Ignores other variables.
/// Returns P21_E_CONFIG in a set-uid program.
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

/// Reads options from a .env file: lines such as P21_BASE_URL=https://p21.example.com, with optional quotes and comments.
/// Returns P21_E_TIMEOUT if the file cannot be read within 5 seconds.
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
/// ~/.config/p21auth, on Windows %APPDATA%\p21auth. Options from p21_config_set override the profile, in any order of calls, and
/// the profile overrides the environment. A credential in the profile replaces the whole credential of the environment. Takes at
/// most 5 seconds.
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

/// Frees a configuration. Ignores NULL and handles already freed.
#[unsafe(no_mangle)]
pub extern "C" fn p21_config_free(config: *mut p21_config) {
    guard::value("p21_config_free", (), || {
        handle::remove::<ArcSwap<Config>>(config, |_| {});
        None
    });
}
