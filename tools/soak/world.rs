//! Servers, identities, and the run: storm, calm, storm, calm.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use p21_emulator::{ConsumerKey, Emulator, Options, User};
use p21auth::{Client, Code, Config, Token};

use crate::caller;
use crate::dice::Dice;
use crate::fork::{self, Said};
use crate::storm::{self, Storm};
use crate::tally::Tally;

const CALLERS: usize = 8;

/// Who asks for tokens, and the client that all callers share for it.
pub struct Identity {
    pub server: usize,
    config: Config,
    user: String,
    /// Uid of the consumer key; empty with a password.
    uid: String,
    client: Mutex<Client>,
    /// Clients that were taken away from callers so far.
    pub replaced: AtomicU64,
}

impl Identity {
    fn new(
        server: usize,
        emulator: &Emulator,
        user: &str,
        secret: (&str, &str),
        uid: &str,
        hurried: bool,
    ) -> Identity {
        let mut config = Config::new();
        for (name, value) in [
            ("base_url", emulator.base_url()),
            ("proxy", "direct"),
            ("tls_verify", "0"),
            ("username", user),
            secret,
            ("min_refresh_interval_s", "0"),
            ("bad_credentials_cooldown_s", "1"),
            ("max_retries", "1"),
            ("timeout_ms", if hurried { "2000" } else { "20000" }),
        ] {
            config.set(name, Some(value)).expect("valid");
        }
        Identity {
            server,
            client: Mutex::new(Client::open(&config).expect("a client")),
            config,
            user: user.to_owned(),
            uid: uid.to_owned(),
            replaced: AtomicU64::new(0),
        }
    }

    pub fn client(&self) -> Client {
        self.client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Another client of the same identity.
    pub fn open(&self) -> Client {
        Client::open(&self.config).expect("a client")
    }

    /// Switches the callers to a new client and closes the old one while they use it.
    pub fn replace(&self) {
        let new = self.open();
        self.replaced.fetch_add(1, Ordering::SeqCst);
        let old = std::mem::replace(
            &mut *self.client.lock().unwrap_or_else(PoisonError::into_inner),
            new,
        );
        old.close();
    }

    pub fn update(&self) -> p21auth::Result<()> {
        self.client().update(&self.config)
    }

    /// Whether a token was issued to it.
    pub fn owns(&self, token: &Token) -> bool {
        token.field("Claims.sub").as_deref() == Some(&self.user)
            && token.field("Claims.P21.ConsumerUid").unwrap_or_default() == self.uid
    }

    pub fn name(&self) -> String {
        format!("{} {}", self.user, self.uid)
    }
}

/// What goes for calls made now.
pub struct Weather {
    pub calm: bool,
    /// The codes that are explained, by server.
    pub explained: Vec<BTreeSet<Code>>,
    /// What the last storm was made of, by server.
    troubles: Vec<String>,
}

impl Weather {
    /// Judges a failure.
    pub fn judge(&self, identity: &Identity, what: &str, code: Code, message: &str, tally: &Tally) {
        if self.explained[identity.server].contains(&code) {
            tally.explained(code.name());
        } else {
            let season = if self.calm { "after" } else { "during" };
            let troubles = &self.troubles[identity.server];
            tally.wrong(&format!(
                "{what} as {} {season} a storm of [{troubles}]: {message}",
                identity.name()
            ));
        }
    }
}

/// Runs for `time` with servers of its own, which are gone when it returns.
pub fn run(time: Duration, dice: &mut Dice, tally: &Tally) {
    let end = Instant::now() + time;
    let users: Vec<Vec<User>> = ["a", "b"]
        .iter()
        .map(|server| {
            (0..6)
                .map(|number| {
                    User::new(
                        &format!("{server}{number}"),
                        &format!("password-{server}{number}"),
                    )
                })
                .collect()
        })
        .collect();
    let emulators: Vec<Emulator> = (0..2)
        .map(|server| emulator(server, &users[server]))
        .collect();
    let identities: Vec<Identity> = (0..2)
        .flat_map(|server| identities(server, &emulators[server], &users[server]))
        .collect();
    let weather = RwLock::new(Weather {
        calm: true,
        explained: vec![BTreeSet::new(); 2],
        troubles: vec![String::new(); 2],
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            let mut dice = dice.fork();
            let (identities, weather, done) = (&identities, &weather, &done);
            scope.spawn(move || caller::calls(identities, weather, done, &mut dice, tally));
        }
        while Instant::now() < end {
            let storms: Vec<Storm> = (0..2)
                .map(|server| Storm::choose(&emulators[server], &users[server], dice))
                .collect();
            {
                let mut weather = weather.write().unwrap_or_else(PoisonError::into_inner);
                weather.calm = false;
                weather.explained = storms.iter().map(Storm::explains).collect();
                weather.troubles = storms.iter().map(Storm::names).collect();
                // Callers report tokens in storms, and a token reported thrice gives up.
                for codes in &mut weather.explained {
                    codes.insert(Code::Rejected);
                }
            }
            tally.count("storms");
            let time = Duration::from_millis(1_500 + dice.below(2_500));
            storm::rage(&storms, time, dice, tally, |dice| {
                fork_one(&identities, &weather, dice, tally);
            });
            calm(&storms, &identities, &weather, tally);
            for _ in 0..3 {
                fork_one(&identities, &weather, dice, tally);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    for identity in &identities {
        identity.client().close();
    }
    for emulator in &emulators {
        let control = emulator.control();
        tally.add("requests", control.counter("requests"));
        tally.add("token requests", control.counter("token.requests"));
        tally.add("tokens issued", control.counter("token.issued"));
        tally.add("token requests refused", control.counter("token.refused"));
    }
}

fn emulator(server: usize, users: &[User]) -> Emulator {
    let mut options = if server == 0 {
        Options::default()
    } else {
        Options::tls()
    };
    options.users = users.to_vec();
    // Short enough that refreshes come by themselves.
    options.settings.lifetime_s = 8;
    for key in &mut options.keys {
        key.lifetime_s = Some(12);
    }
    Emulator::start(options).expect("the emulator starts")
}

fn identities(server: usize, emulator: &Emulator, users: &[User]) -> Vec<Identity> {
    let keys = ConsumerKey::defaults();
    let mut all: Vec<Identity> = users[..4]
        .iter()
        .enumerate()
        .map(|(number, user)| {
            let secret = ("password", user.password.as_str());
            Identity::new(server, emulator, &user.name, secret, "", number % 2 == 0)
        })
        .collect();
    for (key, user) in keys.iter().zip(&users[4..6]) {
        let secret = ("consumer_key", key.key.as_str());
        all.push(Identity::new(
            server, emulator, &user.name, secret, &key.uid, false,
        ));
    }
    all
}

/// Ends the storm: nothing fails any more once this returns, and what failed is forgotten.
fn calm(storms: &[Storm], identities: &[Identity], weather: &RwLock<Weather>, tally: &Tally) {
    storms.iter().for_each(Storm::calm);
    let mut weather = weather.write().unwrap_or_else(PoisonError::into_inner);
    // No caller is inside a call now; flights in the background may still be under way.
    let end = Instant::now() + Duration::from_mins(1);
    for identity in identities {
        let client = identity.client();
        while client
            .stats()
            .is_ok_and(|stats| stats.contains("\"refreshing\":true"))
        {
            if Instant::now() > end {
                tally.wrong(&format!("a flight of {} does not end", identity.name()));
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Err(error) = client.invalidate(None) {
            tally.wrong(&format!("invalidate: {error}"));
        }
    }
    weather.calm = true;
    weather.explained.iter_mut().for_each(BTreeSet::clear);
}

fn fork_one(identities: &[Identity], weather: &RwLock<Weather>, dice: &mut Dice, tally: &Tally) {
    let identity = &identities[dice.index(identities.len())];
    tally.count("forks");
    let weather = weather.read().unwrap_or_else(PoisonError::into_inner);
    match fork::child(identity) {
        Said::Token => {}
        Said::Stranger => tally.wrong("a child got someone else's token"),
        // Someone closed the parent's client just then.
        Said::Failed(Code::Closed) => tally.count("closed meanwhile"),
        Said::Failed(code) => weather.judge(identity, "a child", code, code.name(), tally),
        Said::Lost => tally.wrong(&format!("a child of {} hung or died", identity.name())),
    }
}
