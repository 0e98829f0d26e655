//! Several addresses of one host, tried with staggered starts: the first that comes up whole is used.
//!
//! A dead address costs a quarter of a second and not its whole time-out; nor does one that accepts connections and stays
//! silent, because what is raced is everything up to the first request, TLS included (RFC 8305 races TCP alone).

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::sys;

/// The next address starts this long after the last one, or as soon as that one fails (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Attempts end at the deadline by themselves; their reports may take this much longer on a busy machine.
const GRACE: Duration = Duration::from_millis(250);

/// TLS handshakes need some of it.
const STACK_BYTES: usize = 512 * 1024;

/// An attempt that failed.
#[derive(Debug)]
pub(crate) struct Lost<E> {
    pub(crate) error: E,
    /// Other addresses would say the same, or must not be asked: the race is over.
    pub(crate) end: bool,
}

/// How a race ended.
pub(crate) struct Race<T, E> {
    pub(crate) won: Option<(SocketAddr, T)>,
    /// The attempts that failed, in the order in which they did.
    pub(crate) lost: Vec<(SocketAddr, E)>,
    /// Those that were under way when it ended.
    pub(crate) silent: Vec<SocketAddr>,
}

/// One attempt: brings up a connection to an address by a deadline. It must end by itself then.
pub(crate) type Attempt<T, E> =
    Arc<dyn Fn(SocketAddr, Instant) -> Result<T, Lost<E>> + Send + Sync>;

/// Runs attempts until one succeeds, all have failed, or the deadline passes. A single address is tried on this thread,
/// several on a thread each; those that are still under way in the end finish unheard.
pub(crate) fn race<T: Send + 'static, E: Send + 'static>(
    addresses: &[SocketAddr],
    deadline: Instant,
    attempt: &Attempt<T, E>,
) -> Race<T, E> {
    let mut race = Race {
        won: None,
        lost: Vec::new(),
        silent: Vec::new(),
    };
    let (sender, receiver) = mpsc::channel();
    let addresses = interleaved(addresses);
    let alone = addresses.len() == 1;
    let mut rest = addresses.into_iter().peekable();
    // With little time for all, each start gets a share of it.
    let stagger = STAGGER.min(deadline.saturating_duration_since(Instant::now()) / 4);
    let (mut running, mut next_start) = (0, Instant::now());
    loop {
        let now = Instant::now();
        let due = running == 0 || now >= next_start;
        let in_time = now < deadline || (running == 0 && race.lost.is_empty());
        if due
            && in_time
            && let Some(address) = rest.next()
        {
            let job = || {
                let (attempt, sender) = (Arc::clone(attempt), sender.clone());
                move || drop(sender.send((address, attempt(address, deadline))))
            };
            // Without a thread to be had, addresses are tried one after another.
            if alone || start_thread(Box::new(job())).is_err() {
                job()();
            }
            running += 1;
            race.silent.push(address);
            next_start = now + stagger;
        } else if running == 0 {
            return race;
        }
        let wake = match rest.peek() {
            Some(_) if now < deadline => next_start.min(deadline),
            _ => deadline + GRACE,
        };
        match receiver.recv_timeout(wake.saturating_duration_since(Instant::now())) {
            Ok((address, Ok(won))) => {
                race.silent.retain(|other| *other != address);
                race.won = Some((address, won));
                return race;
            }
            Ok((address, Err(lost))) => {
                running -= 1;
                race.silent.retain(|other| *other != address);
                next_start = Instant::now();
                race.lost.push((address, lost.error));
                if lost.end {
                    return race;
                }
            }
            Err(_) if Instant::now() >= deadline + GRACE => return race,
            Err(_) => {}
        }
    }
}

fn start_thread(job: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
    sys::pin_library();
    sys::start_thread(c"p21auth-connect", STACK_BYTES, job)
}

/// Both families in turn, beginning with that of the first: one whole family may be dead.
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !unique.contains(address) {
            unique.push(*address);
        }
    }
    let Some(first) = unique.first().copied() else {
        return unique;
    };
    let (same, other): (Vec<SocketAddr>, Vec<SocketAddr>) = unique
        .into_iter()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] {
            return all;
        }
        all.extend(pair.into_iter().flatten());
    }
}

/// These addresses, on port 443.
#[cfg(test)]
pub(crate) fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    let parsed = texts.iter().map(|text| text.parse().expect("an address"));
    parsed.map(|ip| SocketAddr::new(ip, 443)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// What happens at an address, by the last part of it.
    fn attempt(started: &Arc<Mutex<Vec<SocketAddr>>>) -> Attempt<&'static str, &'static str> {
        let started = Arc::clone(started);
        Arc::new(move |address, deadline| {
            started.lock().expect("started").push(address);
            let lost = |error, end| Err(Lost { error, end });
            match address.to_string().split(['.', ':']).nth_back(1) {
                Some("1") => Ok("up"),
                Some("2") => lost("refused", false),
                Some("3") => lost("forbidden", true),
                _ => {
                    std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
                    lost("silent", false)
                }
            }
        })
    }

    fn run(texts: &[&str], deadline: Instant) -> (Race<&'static str, &'static str>, usize) {
        let started = Arc::default();
        let race = race(&addresses(texts), deadline, &attempt(&started));
        let count = started.lock().expect("started").len();
        (race, count)
    }

    #[test]
    fn families_take_turns_and_no_address_comes_twice() {
        let mixed = addresses(&["::1", "::2", "::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let expected = addresses(&["::1", "10.0.0.1", "::2", "10.0.0.2", "10.0.0.3"]);
        assert_eq!(interleaved(&mixed), expected);
        assert_eq!(interleaved(&[]), []);
    }

    #[test]
    fn silent_addresses_are_left_behind() {
        let begun = Instant::now();
        let (race, started) = run(&["10.0.0.9", "10.0.1.9", "10.0.0.1"], soon());
        assert_eq!(race.won.map(|(_, what)| what), Some("up"));
        assert_eq!(started, 3);
        assert_eq!(race.silent, addresses(&["10.0.0.9", "10.0.1.9"]));
        // Two staggers; the deadline is far off.
        let took = begun.elapsed();
        assert!(
            took >= 2 * STAGGER && took < Duration::from_secs(10),
            "{took:?}"
        );
    }

    #[test]
    fn a_failure_starts_the_next_at_once_and_the_first_success_ends_it() {
        let (race, started) = run(&["10.0.0.2", "10.0.1.2", "10.0.0.1", "10.0.1.1"], soon());
        assert_eq!(race.won.map(|(_, what)| what), Some("up"));
        assert_eq!((race.lost.len(), started), (2, 3));
    }

    #[test]
    fn some_failures_end_it() {
        let (race, started) = run(&["10.0.0.3", "10.0.0.1"], soon());
        assert!(race.won.is_none());
        assert_eq!((race.lost[0].1, started), ("forbidden", 1));
    }

    #[test]
    fn all_failures_are_reported_and_nothing_waits_beyond_the_deadline() {
        let soon = Instant::now() + Duration::from_millis(200);
        let (race, _) = run(&["10.0.0.9", "10.0.0.2", "10.0.1.9"], soon);
        let mut lost: Vec<_> = race.lost.iter().map(|(_, error)| *error).collect();
        lost.sort_unstable();
        assert_eq!(lost, ["refused", "silent", "silent"]);
        assert!(Instant::now() >= soon);
        let (race, started) = run(&[], soon);
        assert!(race.won.is_none() && race.lost.is_empty() && started == 0);
    }
}
