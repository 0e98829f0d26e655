//! Waiting for other processes: a blocking read of the streams in which they say what they do.
//!
//! A process has one connection for that, however many of its identities wait: the first thread to come reads for all, and
//! when it has what it came for, another goes on. One that comes while a read is under way interrupts it, so that its own
//! stream is read too; nothing is lost by that, because everyone keeps the place up to which it has heard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, ConnectionLike as _, Value, cmd};

use super::connection::{Connection, Interrupt};
use super::server::Server;
use crate::store::{Mark, Ticket, Wake};
use crate::sync::Pulse;

/// A load balancer may forget what is silent for longer.
const MAX_BLOCK: Duration = Duration::from_secs(4);
/// Where nothing is told, or cannot be heard, the store is read again after so long, growing to the second.
const FIRST_POLL: Duration = Duration::from_millis(50);
const LAST_POLL: Duration = Duration::from_secs(1);
/// A server that has no streams for us is asked for them again after this.
const DEAF: Duration = Duration::from_mins(1);

#[derive(Default)]
pub(super) struct Waits {
    waiting: Vec<Waiting>,
    /// A thread reads for all.
    is_read: bool,
    /// How to interrupt it.
    interrupt: Option<Interrupt>,
    pulse: Arc<Pulse>,
    tickets: u64,
    /// Until then there is nothing to be heard.
    deaf_until: Option<Instant>,
}

struct Waiting {
    number: u64,
    stream: String,
    owner: String,
    mark: Mark,
    end: Instant,
    /// Reads what the store holds.
    look: Cmd,
    heard: Option<Wake>,
    /// What it answered right behind what was heard.
    looked: Option<Value>,
}

/// What one read came to.
enum Read {
    /// What was heard is with those who wait for it.
    Done,
    /// Another thread has come with a stream of its own.
    Interrupted,
    /// The connection broke.
    Lost,
    /// The server has no streams, or not for this account.
    Deaf,
}

impl Server {
    /// What was heard in the stream, and what `look` answered then, unless others waited for other streams as well.
    pub(super) fn wait(
        &self,
        stream: &str,
        look: Cmd,
        ticket: &mut Ticket,
        most: Duration,
    ) -> (Wake, Option<Value>) {
        let end = Instant::now() + most;
        let can_hear = ticket.wakes
            && self
                .waits
                .with(|waits| waits.deaf_until.is_none_or(|end| end < Instant::now()));
        let heard = if can_hear {
            self.hear(stream, look, ticket, end)
        } else {
            None
        };
        let Some(heard) = heard else {
            poll_pause(ticket, most);
            return (Wake::Nothing, None);
        };
        ticket.vain = 0;
        heard
    }

    /// `None`: nothing can be heard.
    fn hear(
        &self,
        stream: &str,
        look: Cmd,
        ticket: &mut Ticket,
        end: Instant,
    ) -> Option<(Wake, Option<Value>)> {
        let number = self.waits.with(|waits| {
            waits.tickets += 1;
            waits.waiting.push(Waiting {
                number: waits.tickets,
                stream: stream.to_owned(),
                owner: ticket.owner.clone(),
                mark: ticket.mark,
                end,
                look,
                heard: None,
                looked: None,
            });
            if let Some(interrupt) = &waits.interrupt {
                interrupt.now();
            }
            waits.tickets
        });
        let mut is_deaf = false;
        // Made for this wait: one that was idle may be dead, and a read that waits would not notice.
        let mut connection = None;
        loop {
            let (over, reads, pulse, seen) = self.waits.with(|waits| {
                let seen = waits.pulse.seen();
                let own = waits.waiting.iter().find(|wait| wait.number == number);
                let over = is_deaf
                    || own.is_none_or(|own| own.heard.is_some() || own.end <= Instant::now());
                let reads = !over && !waits.is_read;
                waits.is_read |= reads;
                (over, reads, Arc::clone(&waits.pulse), seen)
            });
            if over {
                break;
            }
            if !reads {
                pulse.wait(seen, end.saturating_duration_since(Instant::now()), |_| {
                    false
                });
                continue;
            }
            let read = self.read_streams(&mut connection);
            self.waits.with(|waits| {
                (waits.is_read, waits.interrupt) = (false, None);
                if matches!(read, Read::Deaf) {
                    waits.deaf_until = Some(Instant::now() + DEAF);
                }
                waits.pulse.beat();
            });
            is_deaf = matches!(read, Read::Lost | Read::Deaf);
        }
        let own = self.waits.with(|waits| {
            let at = waits
                .waiting
                .iter()
                .position(|wait| wait.number == number)?;
            Some(waits.waiting.swap_remove(at))
        })?;
        ticket.mark = own.mark;
        match own.heard {
            None if is_deaf => None,
            heard => Some((heard.unwrap_or(Wake::Nothing), own.looked)),
        }
    }

    /// Reads what all wait for, until something is heard or the first of them has waited for long enough.
    fn read_streams(&self, kept: &mut Option<Connection>) -> Read {
        let (streams, look, block) = self.waits.with(|waits| {
            let now = Instant::now();
            let pending = waits.waiting.iter().filter(|wait| wait.heard.is_none());
            let mut streams: Vec<(String, Mark)> = Vec::new();
            let mut look = None;
            let mut block = MAX_BLOCK;
            for wait in pending {
                look.get_or_insert_with(|| wait.look.clone());
                block = block.min(wait.end.saturating_duration_since(now));
                match streams
                    .iter_mut()
                    .find(|(stream, _)| *stream == wait.stream)
                {
                    Some((_, mark)) => *mark = wait.mark.min(*mark),
                    None => streams.push((wait.stream.clone(), wait.mark)),
                }
            }
            // Of several streams most say nothing, so that looks would be in vain.
            let look = look.filter(|_| streams.len() == 1);
            (streams, look, block.max(Duration::from_millis(1)))
        });
        let deadline = Instant::now() + block + self.timeout;
        let made = kept
            .take()
            .map_or_else(|| self.connected(Instant::now() + self.timeout), Ok);
        let Ok(mut connection) = made else {
            return Read::Lost;
        };
        connection.until(deadline);
        let Ok(interrupt) = connection.interrupt() else {
            return Read::Lost;
        };
        let interrupted = interrupt.clone();
        // Who came since the streams were gathered would not be heard.
        let is_all = self.waits.with(|waits| {
            waits.interrupt = Some(interrupt);
            waits.waiting.iter().all(|wait| {
                let is_read =
                    |(stream, mark): &(String, Mark)| *stream == wait.stream && *mark <= wait.mark;
                wait.heard.is_some() || streams.iter().any(is_read)
            })
        });
        if !is_all {
            *kept = Some(connection);
            return Read::Interrupted;
        }
        let mut command = cmd("XREAD");
        command
            .arg("BLOCK")
            .arg(block.as_millis().max(1).to_string())
            .arg("STREAMS");
        for (stream, _) in &streams {
            command.arg(stream);
        }
        for (_, Mark(first, second)) in &streams {
            command.arg(format!("{first}-{second}"));
        }
        // The server runs the look as soon as the read is over: the woken thread has the entries without asking.
        let mut commands = command.get_packed_command();
        if let Some(look) = &look {
            commands.extend(look.get_packed_command());
        }
        let count = 1 + usize::from(look.is_some());
        let answers = connection.req_packed_commands(&commands, 0, count);
        let mut answers = match answers {
            Ok(answers) => answers.into_iter(),
            Err(_) if interrupted.is_done() => return Read::Interrupted,
            Err(_) => return Read::Lost,
        };
        let (told, looked) = (answers.next(), answers.next());
        match told.map(Value::extract_error) {
            Some(Ok(told)) => {
                *kept = Some(connection);
                self.waits
                    .with(|waits| waits.hand_out(&told, looked.as_ref()));
                Read::Done
            }
            _ => Read::Deaf,
        }
    }
}

impl Waits {
    /// Tells those who wait what has come in their streams, and what the only one of them led to.
    fn hand_out(&mut self, answer: &Value, looked: Option<&Value>) {
        for (stream, entries) in streams(answer) {
            let waiting = self.waiting.iter_mut();
            for wait in waiting.filter(|wait| wait.stream == stream && wait.heard.is_none()) {
                let news = entries.iter().filter(|(mark, _)| *mark > wait.mark);
                wait.heard = understood(news.map(|(_, to)| to.as_str()), &wait.owner);
                if let Some((last, _)) = entries.last() {
                    wait.mark = wait.mark.max(*last);
                }
                if wait.heard.is_some() {
                    wait.looked = looked.cloned();
                }
            }
        }
    }
}

/// What these entries, oldest first, say to `owner`.
fn understood<'a>(entries: impl Iterator<Item = &'a str>, owner: &str) -> Option<Wake> {
    let mut heard = None;
    for to in entries {
        heard = match (to, heard) {
            (_, Some(Wake::News)) | ("*", _) => Some(Wake::News),
            ("", _) => Some(Wake::Held),
            (to, _) if to == owner => Some(Wake::Yours),
            _ => Some(Wake::Others),
        };
    }
    heard
}

/// The streams of an answer, each with its entries: their place, and to whom they speak.
fn streams(answer: &Value) -> impl Iterator<Item = (String, Vec<(Mark, String)>)> {
    parts(answer).iter().filter_map(|stream| {
        let stream = parts(stream);
        let name = text(stream.first()?)?;
        let entries = parts(stream.get(1)?).iter().filter_map(entry);
        Some((name, entries.collect()))
    })
}

fn entry(value: &Value) -> Option<(Mark, String)> {
    let parts = parts(value);
    let id = text(parts.first()?)?;
    let (first, second) = id.split_once('-')?;
    let mark = Mark(first.parse().ok()?, second.parse().ok()?);
    // What has no field `to` speaks to all.
    let mut fields = self::parts(parts.get(1)?).chunks_exact(2);
    let to = fields.find(|pair| text(&pair[0]).as_deref() == Some("to"));
    let to = to.and_then(|pair| text(&pair[1]));
    Some((mark, to.unwrap_or_else(|| "*".to_owned())))
}

fn parts(value: &Value) -> &[Value] {
    match value {
        Value::Array(parts) => parts,
        _ => &[],
    }
}

fn text(value: &Value) -> Option<String> {
    redis::from_redis_value_ref(value).ok()
}

/// Waits longer each time, and a little by chance, so that many do not come back in step.
fn poll_pause(ticket: &mut Ticket, most: Duration) {
    let whole = FIRST_POLL
        .saturating_mul(1 << ticket.vain.min(5))
        .min(LAST_POLL);
    ticket.vain = ticket.vain.saturating_add(1);
    let mut chance = [0; 1];
    let _ = getrandom::fill(&mut chance);
    let pause = whole.mul_f32(0.5 + f32::from(chance[0]) / 512.0);
    std::thread::sleep(pause.min(most));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_unless_there_are_news() {
        for (entries, heard) in [
            (&[][..], None),
            (&[""], Some(Wake::Held)),
            (&["*"], Some(Wake::News)),
            (&["*", ""], Some(Wake::News)),
            (&["me"], Some(Wake::Yours)),
            (&["me", ""], Some(Wake::Held)),
            (&["other"], Some(Wake::Others)),
            (&["other", "", "me"], Some(Wake::Yours)),
            (&["", "other", "*"], Some(Wake::News)),
        ] {
            assert_eq!(
                understood(entries.iter().copied(), "me"),
                heard,
                "{entries:?}"
            );
        }
    }

    /// The stream `s` with these entries, each to all.
    fn told(ids: &[&str]) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let entry = |id: &&str| {
            let fields = Value::Array(vec![text("to"), text("*")]);
            Value::Array(vec![text(id), fields])
        };
        let entries = Value::Array(ids.iter().map(entry).collect());
        Value::Array(vec![Value::Array(vec![text("s"), entries])])
    }

    #[test]
    fn only_who_is_woken_gets_what_was_read_then() {
        let waiting = |number, mark| Waiting {
            number,
            stream: "s".to_owned(),
            owner: "me".to_owned(),
            mark,
            end: Instant::now(),
            look: Cmd::new(),
            heard: None,
            looked: None,
        };
        let mut waits = Waits {
            waiting: vec![waiting(1, Mark(1, 0)), waiting(2, Mark(2, 0))],
            ..Waits::default()
        };
        waits.hand_out(&Value::Nil, Some(&Value::Int(1)));
        assert!(waits.waiting.iter().all(|wait| wait.looked.is_none()));
        waits.hand_out(&told(&["1-1"]), Some(&Value::Int(2)));
        let looked = |waits: &Waits| {
            let looked = waits.waiting.iter().map(|wait| wait.looked.clone());
            looked.collect::<Vec<_>>()
        };
        assert_eq!(looked(&waits), [Some(Value::Int(2)), None]);
        // The first was woken already: what it read is from then.
        waits.hand_out(&told(&["1-1", "2-1"]), Some(&Value::Int(3)));
        assert_eq!(looked(&waits), [Some(Value::Int(2)), Some(Value::Int(3))]);
        waits.waiting[0].heard = None;
        waits.hand_out(&told(&["3-1"]), None);
        assert_eq!(waits.waiting[0].looked, None);
    }

    #[test]
    fn what_is_no_stream_says_nothing() {
        for value in [
            Value::Nil,
            Value::Int(1),
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![Value::Array(vec![Value::Int(1), Value::Int(2)])]),
        ] {
            assert!(streams(&value).all(|(_, entries)| entries.is_empty()));
        }
    }
}
