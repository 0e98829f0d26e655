//! Kinds of trouble, and the failures that each of them may cause.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use p21_emulator::{Action, Control, Emulator, Fault, User};
use p21auth::Code;

use crate::dice::Dice;
use crate::tally::Tally;

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Reset,
    Close,
    Cut,
    Truncated,
    Drip,
    Flood,
    Down,
    Throttled,
    Empty,
    Page,
    Elsewhere,
    Slow,
    Refused,
    Revoked,
    Held,
}

const KINDS: [Kind; 15] = [
    Kind::Reset,
    Kind::Close,
    Kind::Cut,
    Kind::Truncated,
    Kind::Drip,
    Kind::Flood,
    Kind::Down,
    Kind::Throttled,
    Kind::Empty,
    Kind::Page,
    Kind::Elsewhere,
    Kind::Slow,
    Kind::Refused,
    Kind::Revoked,
    Kind::Held,
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Reset => "reset",
            Kind::Close => "closed",
            Kind::Cut => "reset after the head",
            Kind::Truncated => "truncated",
            Kind::Drip => "drip",
            Kind::Flood => "flood",
            Kind::Down => "503",
            Kind::Throttled => "429 with Retry-After",
            Kind::Empty => "empty reply",
            Kind::Page => "web page",
            Kind::Elsewhere => "redirect elsewhere",
            Kind::Slow => "slow",
            Kind::Refused => "password changed",
            Kind::Revoked => "tokens revoked",
            Kind::Held => "held",
        }
    }

    /// The codes of failures that it explains.
    fn explains(self) -> &'static [Code] {
        match self {
            Kind::Reset | Kind::Close | Kind::Cut | Kind::Truncated => &[Code::Io],
            Kind::Slow => &[Code::Timeout],
            // A reply can be held back, or drip, for longer than its token lives: nothing lets go while the storm waits for
            // a forked child's call.
            Kind::Held | Kind::Drip => &[Code::Timeout, Code::NoAccessToken],
            Kind::Flood => &[Code::TooLarge],
            Kind::Down => &[Code::Server],
            Kind::Throttled => &[Code::RateLimited],
            // Of the token endpoint and of the router.
            Kind::Empty => &[Code::NoAccessToken, Code::NoUrl],
            Kind::Page => &[Code::Parse],
            Kind::Elsewhere => &[Code::Redirect],
            Kind::Refused => &[Code::Unauthorized],
            // The router refuses the token, and three of them in a row give up.
            Kind::Revoked => &[Code::Unauthorized, Code::Rejected],
        }
    }

    fn action(self) -> Option<Action> {
        Some(match self {
            Kind::Reset => Action::Reset,
            Kind::Close => Action::Close,
            Kind::Cut => Action::ResetAfterHeaders,
            Kind::Truncated => Action::Truncate { bytes: 20 },
            Kind::Drip => Action::Drip { bytes_per_s: 200 },
            Kind::Flood => Action::Flood,
            Kind::Down => Action::answer(503, "down"),
            Kind::Throttled => Action::answer_with(429, ("Retry-After", "1"), "slowly"),
            Kind::Empty => Action::Empty,
            Kind::Page => Action::Html,
            Kind::Elsewhere => Action::Redirect {
                location: "https://elsewhere.invalid/api".to_owned(),
                status: 307,
            },
            Kind::Slow => Action::Pass,
            Kind::Refused | Kind::Revoked | Kind::Held => return None,
        })
    }
}

/// The troubles of one server in one storm.
pub struct Storm {
    kinds: Vec<Kind>,
    control: Control,
    users: Vec<User>,
}

impl Storm {
    /// Up to three kinds; none at all for a server in four.
    pub fn choose(emulator: &Emulator, users: &[User], dice: &mut Dice) -> Storm {
        let kinds = (0..dice.below(4))
            .map(|_| KINDS[dice.index(KINDS.len())])
            .collect();
        Storm {
            kinds,
            control: emulator.control(),
            users: users.to_vec(),
        }
    }

    pub fn explains(&self) -> BTreeSet<Code> {
        let codes = self.kinds.iter().flat_map(|kind| kind.explains());
        codes.copied().collect()
    }

    /// What it is made of.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        names.join(", ")
    }

    /// Some trouble.
    pub fn blow(&self, dice: &mut Dice, tally: &Tally) {
        if self.kinds.is_empty() {
            return;
        }
        let kind = self.kinds[dice.index(self.kinds.len())];
        let control = &self.control;
        if control.counter("faults.pending") > 6 {
            return;
        }
        tally.fault(kind.name());
        match kind {
            Kind::Held => {
                if dice.below(2) == 0 {
                    control.hold();
                } else {
                    control.release();
                }
            }
            Kind::Revoked => {
                control.revoke_all();
            }
            Kind::Refused => {
                let mut user = self.users[dice.index(self.users.len())].clone();
                if dice.below(2) == 0 {
                    "changed".clone_into(&mut user.password);
                }
                control.set_user(user);
            }
            _ => {
                let path = if dice.below(4) == 0 {
                    ""
                } else {
                    "/api/security/token"
                };
                let times = u32::try_from(1 + dice.below(3)).expect("small");
                if let Some(action) = kind.action() {
                    let mut fault = Fault::on(path, action).times(times);
                    if kind == Kind::Slow {
                        fault.latency_ms = dice.below(400);
                    }
                    control.fault(fault);
                }
            }
        }
    }

    /// Everything as it was before; who is held goes on.
    pub fn calm(&self) {
        self.control.clear_faults();
        self.control.release();
        for user in &self.users {
            self.control.set_user(user.clone());
        }
    }
}

/// Blows at random moments for a while.
pub fn rage(
    storms: &[Storm],
    time: Duration,
    dice: &mut Dice,
    tally: &Tally,
    mut meanwhile: impl FnMut(&mut Dice),
) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        storms[dice.index(storms.len())].blow(dice, tally);
        if dice.below(8) == 0 {
            meanwhile(dice);
        }
        std::thread::sleep(Duration::from_millis(10 + dice.below(60)));
    }
}
