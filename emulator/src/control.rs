//! The emulator's control object.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::apis::{Answer, Session};
use super::fault::Fault;
use super::message::Request;
use super::options::{ConsumerKey, User};
use super::redact;
use super::settings::Settings;
use super::state::{Counters, Shared};

/// Calls and tokens that the page gets at a time.
const MOST_SHOWN: usize = 300;

/// Looks into a running emulator and changes it, from inside the process.
///
/// Everything here is also on the HTTP control endpoint, for tests in other languages. Cheap to
/// clone; usable from any thread; after [`crate::Emulator::stop`] the counters stay readable.
#[derive(Clone)]
pub struct Control(pub(super) Arc<Shared>);

impl Control {
    /// All counters; those of the list in `docs/emulator.md` are always there.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.lock().snapshot()
    }

    /// One counter.
    ///
    /// # Panics
    ///
    /// When there is none of that name: a test that compares a misspelt counter with 0 would always pass.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.counters();
        let known = || panic!("no counter '{name}'; there are {:?}", counters.keys());
        counters.get(name).copied().unwrap_or_else(known)
    }

    /// The last request of each route (`"POST /api/security/token/v2"`): `method`, `path`, `query`,
    /// `headers` (lower-case names), `body` (the fields of a JSON object), `body_bytes`. Secrets
    /// show as `sha256:…` of their text.
    #[must_use]
    pub fn last_requests(&self) -> Value {
        let last: Vec<_> = {
            let state = self.0.lock();
            let request =
                |(route, request): (&String, &Arc<Request>)| (route.clone(), request.clone());
            state.last.iter().map(request).collect()
        };
        last.into_iter()
            .map(|(route, request)| (route, redact::request(&request)))
            .collect()
    }

    /// Waits until `counter` has reached `at_least`; false if `timeout` passes or the emulator stops first.
    #[must_use]
    pub fn wait_for(&self, counter: &str, at_least: u64, timeout: Duration) -> bool {
        self.wait_until(timeout, |c| c.get(counter).is_some_and(|n| *n >= at_least))
    }

    /// Waits until `done` says so; false if `timeout` passes or the emulator stops first.
    #[must_use]
    pub fn wait_until(&self, timeout: Duration, done: impl Fn(&Counters) -> bool) -> bool {
        self.0.wait_until(timeout, done)
    }

    /// Everything as at the start: settings, users, keys, clock, counters; tokens, faults and the
    /// gate are gone, and anything that was held continues.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// Counters and last requests alone.
    pub fn reset_counters(&self) {
        self.0.reset_counters();
    }

    /// Moves the emulator's clock by this many seconds, back if negative. `Date` headers follow.
    pub fn advance(&self, seconds: i64) {
        self.0
            .change(|s| s.offset_s = s.offset_s.saturating_add(seconds));
    }

    /// Sets how far the emulator's clock is ahead of the machine's, in seconds.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.0.change(|s| s.offset_s = seconds);
    }

    /// Queues a fault.
    pub fn fault(&self, fault: Fault) {
        self.0.change(|s| s.faults.push(fault));
    }

    /// Drops all queued faults; requests that already hang stay so until a release.
    pub fn clear_faults(&self) {
        self.0.change(|s| s.faults.clear());
    }

    /// Holds token requests back until [`Control::release`]; the counter `held` tells how many.
    pub fn hold(&self) {
        self.hold_path("/api/security/token");
    }

    /// Holds requests back whose path contains `path` (no regard to case).
    pub fn hold_path(&self, path: &str) {
        self.0.hold(path);
    }

    /// Opens the gate and lets hanging requests go on.
    pub fn release(&self) {
        self.0.release(None);
    }

    /// Lets the next `n` held requests pass; the gate stays closed for others.
    pub fn release_some(&self, n: u64) {
        self.0.release(Some(n));
    }

    /// Makes a token invalid; false if it wasn't valid.
    #[allow(clippy::must_use_candidate)] // done for its effect
    pub fn revoke(&self, token: &str) -> bool {
        self.0.change(|s| s.tokens.remove(token).is_some())
    }

    /// Makes all tokens invalid and tells how many there were.
    #[allow(clippy::must_use_candidate)] // done for its effect
    pub fn revoke_all(&self) -> usize {
        self.0.change(|s| std::mem::take(&mut s.tokens).len())
    }

    /// Makes the tokens with this fingerprint (the first 8 digits of their SHA-256) invalid and tells how many there were.
    #[allow(clippy::must_use_candidate)] // done for its effect
    pub fn revoke_fingerprint(&self, print: &str) -> usize {
        self.0.change(|s| {
            let before = s.tokens.len();
            s.tokens.retain(|_, issued| issued.fingerprint != print);
            before - s.tokens.len()
        })
    }

    /// Adds an answer of your own, or replaces that of the same method and path.
    ///
    /// # Errors
    /// Where its status is none.
    pub fn answer(&self, answer: Answer) -> Result<(), String> {
        answer.check()?;
        self.0.change(|s| {
            s.answers.retain(|other| !answer.replaces(other));
            s.answers.push(answer);
        });
        Ok(())
    }

    /// Removes all answers of your own.
    pub fn clear_answers(&self) {
        self.0.change(|s| s.answers.clear());
    }

    /// The calls after number `after`, oldest first, without secrets: `n`, `at_ms` (Unix time), `method`, `path`, `query`,
    /// `who`, `dialect` (of token requests), `token` (the fingerprint of the one sent along), `status`, `ms`, `fault`.
    #[must_use]
    pub fn calls(&self, after: u64) -> Vec<Value> {
        self.0
            .lock()
            .calls
            .after(after)
            .map(|call| json!(call))
            .collect()
    }

    /// All that the page shows, once something changed after `version` or `timeout` has passed.
    #[must_use]
    pub(super) fn watch(&self, version: u64, after: u64, timeout: Duration) -> Value {
        self.0.wait_change(version, timeout);
        let state = self.0.lock();
        let now = state.now();
        let mut live: Vec<_> = state.tokens.values().filter(|t| now < t.expires).collect();
        live.sort_by_key(|issued| std::cmp::Reverse(issued.since));
        let tokens = live.iter().take(MOST_SHOWN).map(|issued| {
            json!({
                "token": issued.fingerprint,
                "who": issued.owner.shown(&state),
                "issued": issued.since,
                "expires": issued.expires,
                "windows": issued.session.as_ref().map(Session::windows),
            })
        });
        let tokens: Vec<Value> = tokens.collect();
        let mut calls: Vec<_> = state.calls.after(after).rev().take(MOST_SHOWN).collect();
        calls.reverse();
        json!({
            "version": state.version,
            "base_url": self.0.base_url,
            "now": now,
            "clock_offset_s": state.offset_s,
            "counters": state.snapshot(),
            "calls": calls,
            "last_call": state.calls.last(),
            "token_requests": state.calls.token_requests(),
            "tokens": tokens,
            "faults": state.faults.shown(),
            "held_path": state.held_path(),
            "throttle_max": state.settings.throttle_max,
            "throttle_window_s": state.settings.throttle_window_s,
            "users": state.users.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(),
        })
    }

    /// The present settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.0.lock().settings.clone()
    }

    /// Replaces the settings.
    pub fn set_settings(&self, settings: Settings) {
        self.0.change(|s| s.settings = settings);
    }

    /// Adds a user, or replaces the one of that name.
    pub fn set_user(&self, user: User) {
        self.0.change(|s| {
            s.users.retain(|u| !u.name.eq_ignore_ascii_case(&user.name));
            s.users.push(user);
        });
    }

    /// Adds a consumer key, or replaces the one of that uid.
    pub fn set_key(&self, key: ConsumerKey) {
        self.0.change(|s| {
            s.keys.retain(|k| k.uid != key.uid);
            s.keys.push(key);
        });
    }

    /// Merges a JSON object into the settings. Besides the fields of [`Settings`] it may hold
    /// `users` and `keys`: lists of objects that change the user of that `name` or the key of that
    /// `uid` in the fields given, or add one. Either all of it is applied or nothing.
    ///
    /// # Errors
    /// A sentence that names what is unknown or doesn't fit.
    pub fn configure(&self, patch: &Map<String, Value>) -> Result<(), String> {
        let mut fields = patch.clone();
        let users = fields.remove("users");
        let keys = fields.remove("keys");
        self.0.change(|s| {
            let settings = s.settings.patched(&fields)?;
            let new_users = merged(&s.users, users, "name", |u| {
                json!({"name": u.name, "password": u.password, "odata": u.odata, "disabled": u.disabled})
            })?;
            let new_keys = merged(&s.keys, keys, "uid", |k| {
                json!({"key": k.key, "uid": k.uid, "scope": k.scope, "lifetime_s": k.lifetime_s,
                       "disabled": k.disabled})
            })?;
            (s.settings, s.users, s.keys) = (settings, new_users, new_keys);
            Ok(())
        })
    }

    /// Settings, users and keys without passwords and keys, the clock's offset: what
    /// `GET /_control/config` shows.
    #[must_use]
    pub fn config(&self) -> Value {
        let state = self.0.lock();
        let users: Vec<Value> = state
            .users
            .iter()
            .map(|u| json!({"name": u.name, "odata": u.odata, "disabled": u.disabled}))
            .collect();
        let keys: Vec<Value> = state
            .keys
            .iter()
            .map(|k| {
                json!({"uid": k.uid, "scope": k.scope, "lifetime_s": k.lifetime_s, "disabled": k.disabled})
            })
            .collect();
        json!({
            "settings": state.settings,
            "users": users,
            "keys": keys,
            "clock_offset_s": state.offset_s,
            "base_url": self.0.base_url,
        })
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("base_url", &self.0.base_url)
            .finish_non_exhaustive()
    }
}

/// `old` with the changes of `patch`, told apart by the field `id`.
fn merged<T: Clone + serde::de::DeserializeOwned>(
    old: &[T],
    patch: Option<Value>,
    id: &str,
    to_json: impl Fn(&T) -> Value,
) -> Result<Vec<T>, String> {
    let Some(patch) = patch else {
        return Ok(old.to_vec());
    };
    let Value::Array(changes) = patch else {
        return Err(format!("a list of objects with '{id}' was expected"));
    };
    let mut all: Vec<Value> = old.iter().map(to_json).collect();
    for change in changes {
        let Value::Object(fields) = change else {
            return Err(format!("an object with '{id}' was expected"));
        };
        let name = fields
            .get(id)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let same = |entry: &&mut Value| {
            entry[id]
                .as_str()
                .is_some_and(|n| n.to_ascii_lowercase() == name)
        };
        match all.iter_mut().find(same).and_then(Value::as_object_mut) {
            Some(entry) => entry.extend(fields),
            None => all.push(Value::Object(fields)),
        }
    }
    // Serde's messages about a wrong type quote the value, which may be a password.
    all.into_iter()
        .map(|entry| {
            serde_json::from_value(entry).map_err(|_| {
                format!(
                    "an entry with '{id}' has a field that is unknown, missing or of the wrong type"
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn control() -> Control {
        Control(Arc::new(Shared::new(
            Options::default(),
            String::new(),
            String::new(),
        )))
    }

    fn configure(control: &Control, patch: &Value) -> Result<(), String> {
        control.configure(patch.as_object().unwrap())
    }

    #[test]
    fn configure_changes_fields_and_adds_entries() {
        let control = control();
        configure(
            &control,
            &json!({
                "lifetime_s": 60,
                "users": [{"name": "Demo", "password": "new"}, {"name": "x", "password": "y"}],
                "keys": [{"uid": "1", "disabled": true}],
            }),
        )
        .unwrap();
        let state = control.0.lock();
        assert_eq!(state.settings.lifetime_s, 60);
        let demo = state.user("demo").unwrap();
        assert!(demo.password == "new" && demo.odata);
        assert!(state.user("x").is_some());
        assert!(state.keys[0].disabled && state.keys[0].key.ends_with("0001"));
    }

    #[test]
    fn a_bad_configuration_changes_nothing_and_quotes_no_secret() {
        let control = control();
        let error = configure(
            &control,
            &json!({"lifetime_s": 1, "users": [{"name": "demo", "passwort": "hunter2"}]}),
        )
        .unwrap_err();
        assert!(!error.contains("hunter2"));
        assert!(configure(&control, &json!({"users": [{"name": "new"}]})).is_err());
        assert!(configure(&control, &json!({"users": {"name": "new"}})).is_err());
        assert_eq!(control.settings(), Settings::default());
    }

    #[test]
    fn the_shown_configuration_holds_no_secret() {
        let text = control().config().to_string();
        assert!(text.contains("readonly") && !text.contains("-password"));
        assert!(!text.contains("4000-8000"));
    }
}
