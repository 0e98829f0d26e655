//! Client processes to share tokens between: the test binary starts itself again and talks to it over pipes.
#![allow(dead_code, reason = "no test uses all of it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use p21_emulator::Emulator;
use p21auth::internal::cache::ThreadSpawner;
use p21auth::internal::client::Runtime;
use p21auth::internal::clock::{Clock, Now, SystemClock};
use p21auth::internal::http::Transport;
use p21auth::{Client, Config, TokenOptions};

/// What begins a line that is meant for the parent; the test harness prints its own.
const MARK: &str = "\u{1}";

/// The variable that names the folder of the user.
const HOME: &str = if cfg!(windows) {
    "LOCALAPPDATA"
} else {
    "HOME"
};

#[test]
#[ignore = "the other tests run it, as a process of its own"]
fn child() {
    serve();
}

/// A folder for a user, empty as yet.
pub fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Token requests that reached the server so far.
pub fn requests(emulator: &Emulator) -> u64 {
    emulator.control().counter("token.requests")
}

/// A process with one client. It ends with its owner.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a process whose options are these, and whose home is `home`.
    pub fn start(emulator: &Emulator, home: &Path, options: &[(&str, &str)]) -> Process {
        Process::start_with(emulator, &[(HOME, Some(home))], options)
    }

    /// As [`Process::start`], with these environment variables and no other that the library reads.
    pub fn start_with(
        emulator: &Emulator,
        environment: &[(&str, Option<&Path>)],
        options: &[(&str, &str)],
    ) -> Process {
        let command = Command::new(std::env::current_exe().expect("the test binary"));
        Process::start_as(command, emulator, environment, options)
    }

    /// As [`Process::start`], on a disk that takes no file larger than this many blocks of 512 bytes.
    pub fn start_on_full_disk(
        emulator: &Emulator,
        home: &Path,
        blocks: u32,
        options: &[(&str, &str)],
    ) -> Process {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""))
            .arg("sh")
            .arg(std::env::current_exe().expect("the test binary"));
        Process::start_as(command, emulator, &[(HOME, Some(home))], options)
    }

    /// As [`Process::start`], by a command of one's own that runs this binary.
    pub fn start_as(
        mut command: Command,
        emulator: &Emulator,
        environment: &[(&str, Option<&Path>)],
        options: &[(&str, &str)],
    ) -> Process {
        command
            .args([
                "--exact",
                "processes::child",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env_remove("XDG_CACHE_HOME")
            .env_remove(HOME)
            .env("P21_TEST_BASE_URL", emulator.base_url())
            .env("P21_TEST_USERNAME", "demo")
            .env("P21_TEST_PASSWORD", "demo-password")
            .env("P21_TEST_MAX_RETRIES", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        for (name, value) in options {
            command.env(format!("P21_TEST_{}", name.to_ascii_uppercase()), value);
        }
        let mut child = command.spawn().expect("a process");
        Process {
            input: child.stdin.take().expect("piped"),
            output: BufReader::new(child.stdout.take().expect("piped")),
            child,
        }
    }

    /// Sends a command.
    pub fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").expect("the process lives");
    }

    /// Waits for the answer to the oldest command without one.
    pub fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("readable");
            assert!(read > 0, "the process ended without an answer");
            if let Some((_, answer)) = line.split_once(MARK) {
                return answer.trim_end().to_owned();
            }
        }
    }

    /// Sends a command and waits for its answer.
    pub fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.answer()
    }

    /// Asks for a token and expects one.
    pub fn token(&mut self) -> String {
        token_in(&self.ask("token"))
    }

    /// The process' stats.
    pub fn stats(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.ask("stats")).expect("JSON")
    }

    /// Stops it and waits until all of it stands still: the signal alone is on its way for a while.
    #[cfg(unix)]
    pub fn stop(&self) {
        use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a pid");
        kill_process(pid, Signal::STOP).expect("stopped");
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED)
            .expect("a child")
            .expect("a change");
        assert!(status.stopped(), "it ended instead of stopping");
    }

    /// Lets it go on after [`Process::stop`].
    #[cfg(unix)]
    pub fn go_on(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), Signal::CONT).expect("goes on");
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without warning.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The token in a good answer.
pub fn token_in(answer: &str) -> String {
    let token = answer.strip_prefix("ok ");
    token
        .unwrap_or_else(|| panic!("no token: {answer}"))
        .to_owned()
}

/// Sends all a command.
pub fn tell_all(processes: &mut [Process], command: &str) {
    for process in processes {
        process.tell(command);
    }
}

/// The answers of all to their oldest command, in order.
pub fn answers(processes: &mut [Process]) -> Vec<String> {
    processes.iter_mut().map(Process::answer).collect()
}

/// Asks all at once; their answers in order.
pub fn ask_all(processes: &mut [Process], command: &str) -> Vec<String> {
    tell_all(processes, command);
    answers(processes)
}

/// Has the emulator hold back the token request that this process makes.
pub fn hold_request_of(emulator: &Emulator, process: &mut Process) {
    emulator.control().hold();
    process.tell("token");
    let is_held = emulator
        .control()
        .wait_for("held", 1, test_support::PATIENCE);
    assert!(is_held, "no request");
}

/// The token that all have.
#[track_caller]
pub fn one_token(answers: &[String]) -> String {
    let token = token_in(&answers[0]);
    let is_it = |answer: &String| token_in(answer) == token;
    assert!(answers.iter().all(is_it), "different tokens: {answers:?}");
    token
}

/// The one entry of this kind in a folder.
pub fn entry(folder: &Path, kind: &str) -> PathBuf {
    std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|found| found == kind))
        .expect("an entry")
}

/// Half-written files in a folder.
pub fn left_behind(folder: &Path) -> usize {
    std::fs::read_dir(folder)
        .expect("the folder")
        .filter(|entry| {
            let name = entry.as_ref().expect("an entry").file_name();
            name.to_string_lossy().ends_with(".tmp")
        })
        .count()
}

/// Neither the token nor what a wrong password brought can be read in what a store keeps.
#[track_caller]
pub fn is_sealed(place: &str, bytes: &[u8], token: &str, emulator: &Emulator) {
    for planted in [
        token,
        token.rsplit('.').next().expect("a signature"),
        "demo",
        "planted-wrong-password",
        emulator.base_url(),
        "invalid_grant",
        "Bearer",
    ] {
        let mut parts = bytes.windows(planted.len());
        let found = parts.any(|part| part == planted.as_bytes());
        assert!(!found, "{planted} can be read in {place}");
    }
}

/// The system's clock, moved by hand as well.
pub struct MovedClock(pub AtomicI64);

impl Clock for MovedClock {
    fn now(&self) -> Now {
        SystemClock.now().plus(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration);
    }
}

/// A runtime like the process' own, whose clock can be moved.
pub fn runtime(clock: &Arc<MovedClock>) -> Arc<Runtime> {
    Runtime::new(
        Arc::clone(clock) as Arc<dyn Clock>,
        Arc::new(ThreadSpawner),
        |below| {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).expect("random bytes");
            u64::from_le_bytes(bytes) % below.max(1)
        },
        Box::new(|settings| {
            Ok(p21auth::internal::http::transport_for(settings)? as Arc<dyn Transport>)
        }),
    )
}

/// What a child process does: anything it is told, until its parent goes.
pub fn serve() {
    let mut config = Config::new();
    config.load_env("P21_TEST_").expect("options");
    let clock = Arc::new(MovedClock(AtomicI64::new(0)));
    let runtime = runtime(&clock);
    let client = Client::open_in(&runtime, &config).expect("a client");
    for line in std::io::stdin().lines() {
        let line = line.expect("readable");
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            "token" => got(client.token()),
            // With the time in front, in Unix microseconds.
            "timed" => {
                let got = got(client.token());
                let now = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .expect("after 1970");
                format!("{} {got}", now.as_micros())
            }
            "start" => {
                let pending = client.token_with(&TokenOptions {
                    no_wait: true,
                    ..TokenOptions::default()
                });
                assert_eq!(
                    pending.err().map(|error| error.code()),
                    Some(p21auth::Code::Pending)
                );
                "started".to_owned()
            }
            "force" => force(&client),
            // New tokens without end, until the process is killed.
            "churn" => loop {
                force(&client);
            },
            "uncached" => match client.request_uncached() {
                Ok(json) => format!("ok {}", json.as_str()),
                Err(error) => failed(&error),
            },
            "cached" => got(client.token_with(&TokenOptions {
                cached_only: true,
                ..TokenOptions::default()
            })),
            "report" => {
                let verdict = client
                    .report(rest, 401, b"<TokenError>dead</TokenError>")
                    .expect("a verdict");
                wait_until_told(&client);
                format!("{verdict:?}")
            }
            "invalidate" => {
                client
                    .invalidate((!rest.is_empty()).then_some(rest))
                    .expect("open");
                wait_until_told(&client);
                "done".to_owned()
            }
            // Hits until the token is another one, or until there is none.
            "spin" => spin(&client, rest),
            "advance" => {
                clock
                    .0
                    .fetch_add(rest.parse().expect("milliseconds"), Ordering::SeqCst);
                "done".to_owned()
            }
            #[cfg(unix)]
            "fork" => fork_one_that_sleeps(),
            #[cfg(unix)]
            "fork_and_force" => {
                fork_and_run(|| println!("{MARK}{}", force(&client)));
                force(&client)
            }
            "stats" => client.stats().expect("open"),
            other => panic!("no command {other}"),
        };
        println!("{MARK}{answer}");
    }
}

/// The store is told in the background; what others do next is to find it told.
fn wait_until_told(client: &Client) {
    let pending = || {
        let stats: serde_json::Value =
            serde_json::from_str(&client.stats().expect("open")).expect("JSON");
        stats["store"]["pending"] != 0
    };
    while pending() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn force(client: &Client) -> String {
    got(client.token_with(&TokenOptions {
        force_refresh: true,
        ..TokenOptions::default()
    }))
}

fn got(result: p21auth::Result<Arc<p21auth::Token>>) -> String {
    match result {
        Ok(token) => format!("ok {}", token.value()),
        Err(error) => failed(&error),
    }
}

fn failed(error: &p21auth::Error) -> String {
    let wait = error.retry_after().map_or(-1, |wait| {
        i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
    });
    format!("err {} {wait} ms {}", error.code().name(), error.message())
}

fn spin(client: &Client, old: &str) -> String {
    let started = std::time::Instant::now();
    loop {
        let token = client.token_with(&TokenOptions {
            cached_only: true,
            ..TokenOptions::default()
        });
        let hit = client.with_token(
            &TokenOptions {
                no_wait: true,
                ..TokenOptions::default()
            },
            |token| token.value() == old,
        );
        let ms = started.elapsed().as_millis();
        match (token, hit) {
            (Ok(token), _) if token.value() != old => return format!("{ms} {}", token.value()),
            // Still the old one, or the new one came between the two looks: look again.
            (Ok(_), Ok(_)) => std::thread::yield_now(),
            _ => return format!("{ms} none"),
        }
        assert!(ms < 20_000, "nothing changed");
    }
}

/// Leaves a forked child behind that does nothing any more; answers its pid.
#[cfg(unix)]
#[allow(unsafe_code, reason = "fork has no safe form")]
fn fork_one_that_sleeps() -> String {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    // SAFETY: the child only says that it is there, and sleeps until it is killed.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        let _ = writer.write_all(b"!");
        loop {
            std::thread::sleep(Duration::from_hours(1));
        }
    }
    // The library's own work in the child is done before it comes to that.
    std::io::Read::read_exact(&mut reader, &mut [0]).expect("the child is there");
    pid.to_string()
}

/// Runs `work` in a forked child and waits for it.
#[cfg(unix)]
#[allow(unsafe_code, reason = "fork and waitpid have no safe form")]
fn fork_and_run(work: impl FnOnce()) {
    // SAFETY: the child runs `work` alone and leaves by _exit, so no destructor of the parent's runs twice.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
        // SAFETY: leaves the child without running anything else.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = 0;
    // SAFETY: `pid` is a child of this process and `status` a valid out pointer.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
}
