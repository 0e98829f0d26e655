//! A day in the life, in minutes: three processes on two machines call without a pause while server, names, Redis and proxy
//! fail in turn. No token is dead when it is returned, and every error has its reason: no valid token, and the server out of
//! reach for as long as the call waited, or since so little time that the backoff after it still holds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p21_emulator::{Action, Emulator, Fault, Options};
use p21auth::Client;
use serde_json::{Value, json};
use test_support::redis::RedisServer;

use crate::caller::config;
use crate::client::Process;
use crate::names::{Names, Says};
use crate::net::{Net, enter};
use crate::peers::{Proxy, requests, start};

/// How long a token lives.
const LIFE_S: i64 = 20;
/// A client's whole time for a call.
const TIMEOUT_MS: u64 = 3_000;
/// A call that began in an outage may end with it so much later: the last try began before the outage ended.
const GRACE_MS: u64 = 3_500;
/// The longest backoff.
const BACKOFF_MS: u64 = 30_000;
/// An error that comes at once is one from memory.
const AT_ONCE_MS: u64 = 250;
/// A host name has one look-up at a time; after so long a second one may start.
const LOOKUP_MS: u64 = 5_000;
/// The library's clocks are coarse: what it says of a token's end is exact to a tick (at most 10 ms) of each clock.
const GRAIN_MS: u64 = 10;
const PAUSE: Duration = Duration::from_millis(40);

fn now_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    u64::try_from(now.as_millis()).expect("before the year 500000000")
}

/// What a process does: one thread for each client asks for tokens for so long.
pub fn live(clients: &Value, ms: u64) -> Value {
    let end = Instant::now() + Duration::from_millis(ms);
    let threads: Vec<_> = clients
        .as_array()
        .expect("clients")
        .iter()
        .map(|client| {
            let name = client["name"].as_str().expect("a name").to_owned();
            let open = Client::open(&config(&client["options"])).expect("a client");
            std::thread::spawn(move || (name, calls(&open, end)))
        })
        .collect();
    let lives = threads.into_iter().map(|thread| {
        let (name, mut life) = thread.join().expect("no panic");
        life["name"] = json!(name);
        life
    });
    json!({"clients": lives.collect::<Vec<_>>()})
}

fn calls(client: &Client, end: Instant) -> Value {
    let (mut count, mut dead, mut failed) = (0_u64, Vec::new(), Vec::new());
    let mut took = Vec::new();
    let mut tokens = BTreeSet::new();
    // When the last token ends that this thread has seen, for all that the library knows.
    let mut valid_until = 0;
    while Instant::now() < end {
        let (began, started) = (now_ms(), Instant::now());
        let result = client.token();
        took.push(started.elapsed().as_micros());
        let ended = now_ms();
        count += 1;
        match result {
            Ok(token) => {
                let ends = expiry_ms(token.value());
                tokens.insert(token.fingerprint());
                // As the library counts: from the moment of asking, which a slow server is behind.
                let left = u64::try_from(token.expires_in().as_millis()).expect("short");
                valid_until = valid_until.max(ended + left);
                if ends <= ended {
                    dead.push(json!({"at": ended, "ended": ends, "began": began}));
                }
            }
            Err(error) => failed.push(json!({
                "began": began,
                "ended": ended,
                "code": error.code().name(),
                "valid_ms": valid_until.saturating_sub(ended),
                "message": error.message(),
            })),
        }
        std::thread::sleep(PAUSE);
    }
    took.sort_unstable();
    let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or(0);
    json!({
        "calls": count,
        "dead": dead,
        "failed": failed,
        "tokens": tokens.len(),
        "p99_us": u64::try_from(p99).expect("short"),
        "stats": serde_json::from_str::<Value>(&client.stats().expect("open")).expect("JSON"),
    })
}

/// When a token ends by its own words.
fn expiry_ms(token: &str) -> u64 {
    let claims = token.split('.').nth(1).expect("a JWT");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    // Whole seconds: it lives for up to one more.
    claims["exp"].as_u64().expect("an expiry") * 1_000 + 1_000
}

/// What may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    ServerVanishes,
    ServerRefuses,
    RepliesVanish,
    ServerSays503,
    ServerHangs,
    NamesHang,
    NamesFail,
    ProxyHangs,
    ProxyRefuses,
    RedisHangs,
    RedisDies,
    RedisVanishes,
}

const ALL: [Trouble; 12] = [
    Trouble::ServerVanishes,
    Trouble::ServerRefuses,
    Trouble::RepliesVanish,
    Trouble::ServerSays503,
    Trouble::ServerHangs,
    Trouble::NamesHang,
    Trouble::NamesFail,
    Trouble::ProxyHangs,
    Trouble::ProxyRefuses,
    Trouble::RedisHangs,
    Trouble::RedisDies,
    Trouble::RedisVanishes,
];

impl Trouble {
    /// Whether a client, by way of the proxy or not, cannot reach the server.
    fn cuts_off(self, by_proxy: bool) -> bool {
        match self {
            Trouble::NamesHang | Trouble::NamesFail => !by_proxy,
            Trouble::ProxyHangs | Trouble::ProxyRefuses => by_proxy,
            Trouble::RedisHangs | Trouble::RedisDies | Trouble::RedisVanishes => false,
            _ => true,
        }
    }
}

struct World {
    net: Net,
    names: Names,
    proxy: Proxy,
    redis: RedisServer,
    server: Emulator,
}

impl World {
    fn begin(&mut self, trouble: Trouble) {
        let fails = |action| Fault::on("/token", action).times(0);
        match trouble {
            Trouble::ServerVanishes => self.net.filter_in("tcp dport 3443", "drop"),
            Trouble::ServerRefuses => self
                .net
                .filter_in("tcp dport 3443", "reject with tcp reset"),
            Trouble::RepliesVanish => self.net.filter_out("tcp sport 3443", "drop"),
            Trouble::ServerSays503 => self.server.control().fault(fails(Action::answer(503, ""))),
            Trouble::ServerHangs => self.server.control().hold(),
            Trouble::NamesHang => self.names.say_of_all(Some(Says::Nothing)),
            Trouble::NamesFail => self.names.say_of_all(Some(Says::Failed)),
            Trouble::ProxyHangs => self.proxy.is_mute(true),
            Trouble::ProxyRefuses => self
                .net
                .filter_in("tcp dport 3128", "reject with tcp reset"),
            Trouble::RedisHangs => self.redis.hang(),
            Trouble::RedisDies => self.redis.kill(),
            Trouble::RedisVanishes => {
                let port = self.redis.port();
                self.net.filter_in(&format!("tcp dport {port}"), "drop");
            }
        }
    }

    fn end(&mut self, trouble: Trouble) {
        self.net.clear();
        match trouble {
            Trouble::ServerSays503 => self.server.control().clear_faults(),
            Trouble::ServerHangs => self.server.control().release(),
            Trouble::NamesHang | Trouble::NamesFail => self.names.say_of_all(None),
            Trouble::ProxyHangs => self.proxy.is_mute(false),
            Trouble::RedisHangs => self.redis.go_on(),
            Trouble::RedisDies => self.redis.restart(),
            _ => {}
        }
    }
}

/// When something was in trouble, in Unix milliseconds.
struct Outage {
    trouble: Trouble,
    began: u64,
    ended: u64,
}

impl Outage {
    /// Until when it may be felt: a look-up that began in it has no successor before its time is over.
    fn felt_until(&self) -> u64 {
        match self.trouble {
            Trouble::NamesHang => self.ended + LOOKUP_MS,
            _ => self.ended,
        }
    }
}

/// Why a call failed, as far as the outages explain it.
fn explanation(outages: &[Outage], by_proxy: bool, failed: &Value) -> Option<&'static str> {
    let (began, ended) = (
        failed["began"].as_u64().expect("a time"),
        failed["ended"].as_u64().expect("a time"),
    );
    if failed["valid_ms"].as_u64().expect("a number") > GRAIN_MS {
        return None;
    }
    let mut cuts = outages
        .iter()
        .filter(|outage| outage.trouble.cuts_off(by_proxy));
    let whole = cuts.clone().any(|outage| {
        outage.began <= began + TIMEOUT_MS
            && ended <= outage.felt_until() + GRACE_MS
            && began <= outage.felt_until()
    });
    if whole {
        return Some("out of reach while it waited");
    }
    let at_once = ended - began <= AT_ONCE_MS;
    let recent = cuts.any(|outage| {
        (outage.began..=outage.felt_until() + GRACE_MS + BACKOFF_MS).contains(&began)
    });
    (at_once && recent).then_some("in the backoff after an outage")
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[test]
#[ignore = "takes MINUTES (20)"]
fn a_day_in_the_life() {
    let Some(net) = enter("day::a_day_in_the_life") else {
        return;
    };
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let ms = number("MINUTES").unwrap_or(20) * 60_000;
    let seed = number("SEED").unwrap_or_else(now_ms);
    println!("== a day of {} minutes, SEED={seed}", ms / 60_000);
    let mut dice = Dice(seed);

    let names = Names::start();
    names.at("p21.test", &["10.99.0.2"]);
    names.at("redis.test", &["10.99.0.2"]);
    let mut options = Options::tls();
    options.settings.lifetime_s = LIFE_S;
    let server = start(options);
    let redis = RedisServer::start_with(&["--bind", "0.0.0.0", "--protected-mode", "no"]);
    let proxy = Proxy::start("10.99.0.5:3128");
    let store = format!("redis://redis.test:{}", redis.port());
    let homes = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let timeout = TIMEOUT_MS.to_string();
    let usual = [
        ("base_url", "https://p21.test:3443"),
        ("timeout_ms", &timeout),
        ("min_refresh_interval_s", "1"),
        ("max_retries", "1"),
    ];
    let mut processes: Vec<Process> = (0..3)
        .map(|number| Process::start_at(&net, Some(homes[number / 2].path())))
        .collect();
    let mut world = World {
        net,
        names,
        proxy,
        redis,
        server,
    };
    for process in &mut processes {
        let with = |more: &[(&str, &str)]| -> Vec<(String, String)> {
            let all = usual.iter().chain(more);
            all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let clients = [
            json!({"name": "shared", "options": with(&[("store", &store)])}),
            json!({"name": "proxied", "options": with(&[
                ("username", "readonly"),
                ("password", "readonly-password"),
                ("proxy", "http://10.99.0.5:3128"),
            ])}),
        ];
        process.tell(&json!({"do": "day", "clients": clients, "ms": ms}));
    }

    let end = Instant::now() + Duration::from_millis(ms);
    let mut outages = Vec::new();
    while Instant::now() + Duration::from_secs(20) < end {
        std::thread::sleep(Duration::from_millis(2_000 + dice.below(10_000)));
        let index = usize::try_from(dice.below(12)).expect("small");
        let trouble = ALL[index];
        let began = now_ms();
        world.begin(trouble);
        std::thread::sleep(Duration::from_millis(1_000 + dice.below(14_000)));
        world.end(trouble);
        outages.push(Outage {
            trouble,
            began,
            ended: now_ms(),
        });
    }
    let answers: Vec<Value> = processes.iter_mut().map(Process::answer).collect();
    judge(&world, &outages, &answers, ms);
}

fn judge(world: &World, outages: &[Outage], answers: &[Value], ms: u64) {
    let (mut calls, mut failed, mut p99, mut dead) = (0, 0, 0, 0);
    let (mut reasons, mut unexplained) = (std::collections::BTreeMap::new(), Vec::new());
    for client in answers
        .iter()
        .flat_map(|answer| answer["clients"].as_array().expect("clients"))
    {
        let by_proxy = client["name"] == "proxied";
        calls += client["calls"].as_u64().expect("a number");
        p99 = p99.max(client["p99_us"].as_u64().expect("a number"));
        let ghosts = client["dead"].as_array().expect("a list");
        dead += ghosts.len();
        for ghost in ghosts {
            println!("a dead token: {ghost}");
        }
        for failure in client["failed"].as_array().expect("a list") {
            failed += 1;
            match explanation(outages, by_proxy, failure) {
                Some(reason) => *reasons.entry(reason).or_insert(0_u64) += 1,
                None => unexplained.push(failure),
            }
        }
    }
    let requests = requests(&world.server);
    let issued = world.server.control().counter("token.issued");
    // One identity for the fleet, and one for each process.
    let lives = 4 * ms / 1_000 / u64::try_from(LIFE_S).expect("positive");
    for failure in unexplained.iter().take(10) {
        println!("not explained: {failure}");
    }
    for outage in outages {
        println!(
            "{:?} {} to {} ({} ms)",
            outage.trouble,
            outage.began,
            outage.ended,
            outage.ended - outage.began
        );
    }
    println!(
        "== seen: {calls} calls under {} outages, p99 {p99} us, {dead} dead tokens, {failed} errors, {} without a reason ({}), \
         {requests} requests, {issued} tokens, where {lives} lives of {LIFE_S} s fit",
        outages.len(),
        unexplained.len(),
        reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect::<Vec<_>>()
            .join(", "),
    );
    assert!(calls > 0 && !outages.is_empty());
    assert_eq!((dead, unexplained.len()), (0, 0));
    // A refresh comes before the end of a life, and each outage costs some.
    let most = 2 * lives + 20 * u64::try_from(outages.len()).expect("few");
    assert!(
        requests <= most,
        "{requests} requests, at most {most} are explained"
    );
}
