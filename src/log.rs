//! Events that a program may read: a bounded ring, never a callback.
//!
//! A library that calls back into .NET or Python while it holds its own state invites deadlocks. So events are kept here,
//! the newest [`CAPACITY`] of them, and the bindings read them after slow calls. No event ever holds a secret.

use std::collections::VecDeque;

use serde_json::json;

use crate::clock::{Clock as _, SystemClock};
use crate::fork::Guarded;

/// How serious an event is, and how much a reader wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
#[non_exhaustive]
pub enum Level {
    /// A call failed, or soon will.
    Error = 1,
    /// Something to fix: TLS checks are off, the store is degraded.
    Warn = 2,
    /// A token was fetched, rejected or replaced.
    Info = 3,
    /// Why a decision was taken.
    Debug = 4,
    /// Every request.
    Trace = 5,
}

impl Level {
    /// The name in the JSON lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

/// Every event: its name, its level, and when it is recorded. The documentation's table is made of this.
pub const EVENTS: [(&str, Level, &str); 12] = [
    (
        "token.refreshed",
        Level::Info,
        "The server issued a token; its fingerprint and remaining life are in the message.",
    ),
    (
        "token.adopted",
        Level::Info,
        "A token that another process fetched was taken from the shared store.",
    ),
    (
        "token.rejected",
        Level::Info,
        "An API rejected the current token, and it was dropped.",
    ),
    (
        "token.failed",
        Level::Error,
        "A token request failed; the message has the code and the reason.",
    ),
    (
        "flight.no_thread",
        Level::Error,
        "No thread could be started for a token request.",
    ),
    (
        "store.degraded",
        Level::Warn,
        "A shared store cannot be used, and the next lower one is in use.",
    ),
    (
        "tls.unverified",
        Level::Warn,
        "A client was opened with `tls_verify=0`: it accepts any certificate.",
    ),
    (
        "tls.authorities",
        Level::Warn,
        "A file with certificate authorities cannot be read; those that were read before stay in use.",
    ),
    (
        "file.exposed",
        Level::Warn,
        "A secret, a trusted certificate or options were read from a file that every user of the machine can change.",
    ),
    (
        "proxy.ignored",
        Level::Warn,
        "`NO_PROXY` has an entry that is not understood, so hosts that it means may be reached through the proxy.",
    ),
    (
        "config.unread",
        Level::Warn,
        "A `.env` file has lines of other programs that cannot be read; the message has their numbers.",
    ),
    (
        "log.lost",
        Level::Warn,
        "Events were overwritten before they were read; the message says how many.",
    ),
];

/// Events kept.
pub const CAPACITY: usize = 1024;

struct Event {
    level: Level,
    line: String,
}

struct Ring {
    /// Number of the oldest event kept; numbers begin at 0 and never repeat.
    first: u64,
    events: VecDeque<Event>,
}

static RING: Guarded<Ring> = Guarded::new_static(Ring {
    first: 0,
    events: VecDeque::new(),
});

/// Records an event. `event` is a stable name such as `token.refreshed`.
pub(crate) fn record(level: Level, event: &str, message: &str) {
    record_timed(level, event, message, None);
}

/// Records an event that ends something which took this many milliseconds.
pub(crate) fn record_timed(level: Level, event: &str, message: &str, took_ms: Option<i64>) {
    debug_assert!(
        cfg!(test)
            || EVENTS
                .iter()
                .any(|known| (known.0, known.1) == (event, level)),
        "{event} is not among EVENTS"
    );
    let line = line(level, event, message, took_ms);
    RING.with(|ring| {
        if ring.events.len() == CAPACITY {
            ring.events.pop_front();
            ring.first += 1;
        }
        ring.events.push_back(Event { level, line });
    });
}

/// One JSON object and a line break; `time` is in Unix seconds with milliseconds.
fn line(level: Level, event: &str, message: &str, took_ms: Option<i64>) -> String {
    #[allow(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 fit a double for 280,000 years"
    )]
    let time = SystemClock.now().wall as f64 / 1000.0;
    let mut fields =
        json!({ "time": time, "level": level.name(), "event": event, "message": message });
    if let Some(took_ms) = took_ms {
        fields["took_ms"] = took_ms.into();
    }
    format!("{fields}\n")
}

/// Events from `cursor` on, up to `max_level`, as JSON lines; moves the cursor behind them. `None` when nothing is new.
///
/// Cursor 0 is the oldest event kept. Each line is a JSON object with `time`, `level`, `event` and `message`; when events
/// were overwritten before they were read, the first line says how many.
#[must_use]
pub fn read(cursor: &mut u64, max_level: i32) -> Option<String> {
    RING.with(|ring| {
        let end = ring.first + ring.events.len() as u64;
        let lost = if *cursor == 0 {
            0
        } else {
            ring.first.saturating_sub(*cursor - 1)
        };
        // A cursor is the number of the next event plus one, so that 0 can mean "from the start".
        let from = (*cursor).saturating_sub(1).clamp(ring.first, end);
        *cursor = end + 1;
        let mut text = String::new();
        if lost > 0 {
            text += &line(
                Level::Warn,
                "log.lost",
                &format!("{lost} events were overwritten before they were read"),
                None,
            );
        }
        let skip = usize::try_from(from - ring.first).unwrap_or(usize::MAX);
        for event in ring
            .events
            .iter()
            .skip(skip)
            .filter(|event| event.level as i32 <= max_level)
        {
            text += &event.line;
        }
        (!text.is_empty()).then_some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ring is the process', so other tests write into it too: look for our own events only.
    fn mine(text: Option<String>, tag: &str) -> usize {
        text.unwrap_or_default()
            .lines()
            .filter(|line| line.contains(tag))
            .count()
    }

    #[test]
    fn events_are_read_once_by_each_cursor_and_filtered_by_level() {
        let (mut a, mut b) = (0, 0);
        record(Level::Info, "test.a", "tag-once");
        record(Level::Trace, "test.a", "tag-once");
        assert_eq!(mine(read(&mut a, 3), "tag-once"), 1);
        assert_eq!(mine(read(&mut a, 5), "tag-once"), 0);
        assert_eq!(mine(read(&mut b, 5), "tag-once"), 2);
    }

    #[test]
    fn what_took_time_says_how_much() {
        let mut cursor = 0;
        record(Level::Info, "test.a", "tag-timed");
        record_timed(Level::Info, "test.a", "tag-timed", Some(250));
        let text = read(&mut cursor, 5).expect("something new");
        let took: Vec<_> = text
            .lines()
            .filter(|line| line.contains("tag-timed"))
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).expect("JSON")["took_ms"].as_i64()
            })
            .collect();
        assert_eq!(took, [None, Some(250)]);
    }

    #[test]
    fn what_was_lost_is_said_in_a_line_of_its_own() {
        let mut cursor = 0;
        let _ = read(&mut cursor, 5);
        for _ in 0..CAPACITY + 10 {
            record(Level::Debug, "test.flood", "tag-flood");
        }
        let text = read(&mut cursor, 5).expect("something new");
        let first: serde_json::Value =
            serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        assert_eq!(first["event"], "log.lost");
        for line in text.lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(
                event["time"].as_f64() > Some(1.7e9)
                    && event["level"].is_string()
                    && event["message"].is_string()
            );
        }
        assert!(text.ends_with('\n'));
    }
}
