//! What an entry says once it is unsealed.
//!
//! One byte for the kind (1 token, 2 rejected, 3 denied, 4 failed), then fields: one byte for the field's number, four for the length
//! of its value (big endian), the value. Numbers are 8 bytes, signed, big endian; text is UTF-8. Unknown fields are skipped,
//! so that later versions may add some.
//!
//! | Field | | In |
//! |---|---|---|
//! | 1 | when it was written: Unix milliseconds by the writer's clock | all |
//! | 2 | milliseconds from then on for which it matters | all |
//! | 3 | milliseconds from the sending of the token's request to the writing | token, rejected |
//! | 4 | milliseconds from that sending to the token's expiry | token |
//! | 10–17 | access token, refresh token, token type, user name, scope, session id, consumer uid, app key | token |
//! | 18 | lifetime as the server stated it, seconds | token |
//! | 20 | SHA-256 of the access token | rejected |
//! | 30 | milliseconds from the writing until the server may be asked again | denied, failed |
//! | 31 | refusals or failures in a row, this one included | denied, failed |
//! | 32–34 | HTTP status, message, hint of the error | denied, failed |
//! | 35 | the error's number ([`Code::number`]) | failed |
//!
//! Nothing in it is a moment on another host's clock that a reader would have to trust: a reader learns from the store how
//! long ago the entry was written (Redis counts down its life), and only where the store cannot tell, which is where all
//! readers sit on one machine, from field 1.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::clock::Now;
use crate::error::{Code, Error};
use crate::secret::Secret;
use crate::token::{Life, Reply, is_header_token};

/// A clock that was set back by more than this makes an entry's age unknown, and the entry is ignored.
const MAX_BACK_MS: i64 = 60_000;

/// What a store may say of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The current token.
    Token(Reply, Life),
    /// The token with this SHA-256 was rejected by an API or dropped by its user; there is none at present.
    Rejected {
        /// Of the access token.
        sha256: [u8; 32],
        /// When it was asked for; `None`: the next one may be asked for at once.
        sent: Option<Now>,
    },
    /// The server refused the credentials.
    Denied {
        /// What it said.
        error: Error,
        /// Milliseconds until they may be tried again; 0 or less: now.
        left_ms: i64,
        /// Refusals in a row.
        denials: u32,
    },
    /// A request failed in another way.
    Failed {
        /// What its process was told.
        error: Error,
        /// Milliseconds until the server may be asked again; 0 or less: now.
        left_ms: i64,
        /// Failures in a row.
        failures: u32,
    },
}

/// The identity of an access token within a process and in a store.
#[must_use]
pub(crate) fn token_hash(access_token: &str) -> [u8; 32] {
    Sha256::digest(access_token).into()
}

mod field {
    pub(crate) const WRITTEN: u8 = 1;
    pub(crate) const KEEP: u8 = 2;
    pub(crate) const AGE: u8 = 3;
    pub(crate) const LIFETIME: u8 = 4;
    pub(crate) const ACCESS_TOKEN: u8 = 10;
    pub(crate) const REFRESH_TOKEN: u8 = 11;
    pub(crate) const TOKEN_TYPE: u8 = 12;
    pub(crate) const USER_NAME: u8 = 13;
    pub(crate) const SCOPE: u8 = 14;
    pub(crate) const SESSION_ID: u8 = 15;
    pub(crate) const CONSUMER_UID: u8 = 16;
    pub(crate) const APP_KEY: u8 = 17;
    pub(crate) const STATED: u8 = 18;
    pub(crate) const SHA256: u8 = 20;
    pub(crate) const WAIT: u8 = 30;
    pub(crate) const COUNT: u8 = 31;
    pub(crate) const HTTP_STATUS: u8 = 32;
    pub(crate) const MESSAGE: u8 = 33;
    pub(crate) const HINT: u8 = 34;
    pub(crate) const CODE: u8 = 35;
}

impl Record {
    /// The bytes to be sealed, written at `now` and of interest for `keep_ms`.
    #[must_use]
    pub(crate) fn encode(&self, now: Now, keep_ms: i64) -> Zeroizing<Vec<u8>> {
        // Sized so that it never grows: growing would leave a copy behind.
        let room = match self {
            Record::Token(reply, _) => reply_size(reply),
            Record::Rejected { .. } => 0,
            Record::Denied { error, .. } | Record::Failed { error, .. } => {
                error.message().len() + error.hint().len()
            }
        };
        let mut out = Zeroizing::new(Vec::with_capacity(room + 256));
        out.push(match self {
            Record::Token(..) => 1,
            Record::Rejected { .. } => 2,
            Record::Denied { .. } => 3,
            Record::Failed { .. } => 4,
        });
        push_number(&mut out, field::WRITTEN, now.wall);
        push_number(&mut out, field::KEEP, keep_ms);
        match self {
            Record::Token(reply, life) => {
                push_number(&mut out, field::AGE, life.age_ms(now));
                push_number(&mut out, field::LIFETIME, life.lifetime_ms);
                push(
                    &mut out,
                    field::ACCESS_TOKEN,
                    reply.access_token.expose().as_bytes(),
                );
                for (number, text) in texts(reply) {
                    if let Some(text) = text {
                        push(&mut out, number, text.as_bytes());
                    }
                }
                if let Some(seconds) = reply.stated_lifetime_s {
                    push_number(&mut out, field::STATED, seconds);
                }
            }
            Record::Rejected { sha256, sent } => {
                push(&mut out, field::SHA256, sha256);
                if let Some(sent) = sent {
                    push_number(&mut out, field::AGE, now.since(*sent).max(0));
                }
            }
            Record::Denied {
                error,
                left_ms,
                denials,
            } => push_error(&mut out, error, *left_ms, *denials),
            Record::Failed {
                error,
                left_ms,
                failures,
            } => {
                push_error(&mut out, error, *left_ms, *failures);
                push_number(&mut out, field::CODE, i64::from(error.code().number()));
            }
        }
        out
    }

    /// What was written, as it stands at `now`. `left_ms`: how much longer the store itself keeps it, where it says so.
    /// `None`: not a record, or one whose age cannot be told.
    #[must_use]
    pub(crate) fn decode(bytes: &[u8], left_ms: Option<i64>, now: Now) -> Option<Record> {
        let (kind, rest) = bytes.split_first()?;
        let fields = Fields(rest);
        let elapsed = match left_ms {
            Some(left) => fields.number(field::KEEP)?.saturating_sub(left),
            None => now.wall.saturating_sub(fields.number(field::WRITTEN)?),
        };
        if elapsed < -MAX_BACK_MS {
            return None;
        }
        let elapsed = elapsed.max(0);
        let sent = |age: i64| now.plus(age.max(0).saturating_add(elapsed).saturating_neg());
        match kind {
            1 => {
                let text = |number| fields.text(number).map(str::to_owned);
                let access_token = fields.text(field::ACCESS_TOKEN)?;
                if !is_header_token(access_token) {
                    return None;
                }
                let reply = Reply {
                    access_token: Secret::new(access_token),
                    refresh_token: fields.text(field::REFRESH_TOKEN).map(Secret::new),
                    token_type: text(field::TOKEN_TYPE),
                    stated_lifetime_s: fields.number(field::STATED),
                    user_name: text(field::USER_NAME),
                    scope: text(field::SCOPE),
                    session_id: text(field::SESSION_ID),
                    consumer_uid: text(field::CONSUMER_UID),
                    app_key: text(field::APP_KEY),
                };
                let life = Life {
                    sent: sent(fields.number(field::AGE)?),
                    lifetime_ms: fields.number(field::LIFETIME)?,
                };
                Some(Record::Token(reply, life))
            }
            2 => Some(Record::Rejected {
                sha256: fields.get(field::SHA256)?.try_into().ok()?,
                sent: fields.number(field::AGE).map(sent),
            }),
            3 => Some(Record::Denied {
                error: fields.error(Code::Unauthorized)?,
                left_ms: fields.number(field::WAIT)?.saturating_sub(elapsed),
                denials: u32::try_from(fields.number(field::COUNT)?).ok()?,
            }),
            4 => {
                let code = i32::try_from(fields.number(field::CODE)?).ok()?;
                Some(Record::Failed {
                    error: fields.error(Code::from_number(code)?)?,
                    left_ms: fields.number(field::WAIT)?.saturating_sub(elapsed),
                    failures: u32::try_from(fields.number(field::COUNT)?).ok()?,
                })
            }
            _ => None,
        }
    }
}

fn texts(reply: &Reply) -> [(u8, Option<&str>); 7] {
    [
        (
            field::REFRESH_TOKEN,
            reply.refresh_token.as_ref().map(Secret::expose),
        ),
        (field::TOKEN_TYPE, reply.token_type.as_deref()),
        (field::USER_NAME, reply.user_name.as_deref()),
        (field::SCOPE, reply.scope.as_deref()),
        (field::SESSION_ID, reply.session_id.as_deref()),
        (field::CONSUMER_UID, reply.consumer_uid.as_deref()),
        (field::APP_KEY, reply.app_key.as_deref()),
    ]
}

fn reply_size(reply: &Reply) -> usize {
    let texts = texts(reply)
        .iter()
        .filter_map(|(_, text)| *text)
        .map(str::len)
        .sum::<usize>();
    reply.access_token.expose().len() + texts
}

fn push(out: &mut Vec<u8>, number: u8, value: &[u8]) {
    out.push(number);
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(value);
}

fn push_error(out: &mut Vec<u8>, error: &Error, left_ms: i64, count: u32) {
    push_number(out, field::WAIT, left_ms);
    push_number(out, field::COUNT, i64::from(count));
    push_number(out, field::HTTP_STATUS, i64::from(error.http_status()));
    push(out, field::MESSAGE, error.message().as_bytes());
    push(out, field::HINT, error.hint().as_bytes());
}

fn push_number(out: &mut Vec<u8>, number: u8, value: i64) {
    push(out, number, &value.to_be_bytes());
}

/// The fields of a record, looked up in place.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn get(self, wanted: u8) -> Option<&'a [u8]> {
        let mut rest = self.0;
        loop {
            let (number, tail) = rest.split_first()?;
            let (length, tail) = tail.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (value, tail) = tail.split_at_checked(length)?;
            if *number == wanted {
                return Some(value);
            }
            rest = tail;
        }
    }

    fn number(self, wanted: u8) -> Option<i64> {
        Some(i64::from_be_bytes(self.get(wanted)?.try_into().ok()?))
    }

    fn text(self, wanted: u8) -> Option<&'a str> {
        std::str::from_utf8(self.get(wanted)?).ok()
    }

    fn error(self, code: Code) -> Option<Error> {
        let status = self
            .number(field::HTTP_STATUS)
            .and_then(|status| u16::try_from(status).ok());
        let error = Error::new(code, self.text(field::MESSAGE)?)
            .with_hint(self.text(field::HINT).unwrap_or_default());
        Some(error.with_http_status(status.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Now {
        Now { mono: ms, wall: ms }
    }

    fn token() -> Record {
        let reply = Reply {
            access_token: Secret::new("abc.def.ghi"),
            refresh_token: Some(Secret::new("")),
            scope: Some("/api;/p21sdk".to_owned()),
            stated_lifetime_s: Some(3_600),
            ..Reply::default()
        };
        let life = Life {
            sent: at(1_000),
            lifetime_ms: 3_600_000,
        };
        Record::Token(reply, life)
    }

    #[test]
    fn a_token_comes_back_with_its_age_by_the_stores_own_count() {
        let bytes = token().encode(at(3_000), 3_598_000);
        // Another host, whose clocks show something else altogether, ten seconds later.
        let now = Now {
            mono: 77,
            wall: 5_000_000_000,
        };
        let Some(Record::Token(reply, life)) = Record::decode(&bytes, Some(3_588_000), now) else {
            panic!("no token");
        };
        assert_eq!((life.age_ms(now), life.left_ms(now)), (12_000, 3_588_000));
        let Record::Token(written, _) = token() else {
            panic!("no token");
        };
        assert_eq!(reply, written);
    }

    #[test]
    fn on_one_machine_the_age_comes_from_the_wall_clock() {
        let bytes = token().encode(at(3_000), 3_598_000);
        let Some(Record::Token(_, life)) = Record::decode(&bytes, None, at(10_000)) else {
            panic!("no token");
        };
        assert_eq!(life.age_ms(at(10_000)), 9_000);
        let now = at(3_000 - MAX_BACK_MS - 1);
        assert_eq!(
            Record::decode(&bytes, None, now),
            None,
            "a clock that was set back"
        );
    }

    #[test]
    fn refusals_and_rejections_come_back_as_they_stand() {
        let error = Error::new(Code::Unauthorized, "no")
            .with_hint("check")
            .with_http_status(401);
        let denied = Record::Denied {
            error: error.clone(),
            left_ms: 60_000,
            denials: 2,
        };
        let bytes = denied.encode(at(0), 100_000);
        let left = |ms| Record::Denied {
            error: error.clone(),
            left_ms: ms,
            denials: 2,
        };
        assert_eq!(
            Record::decode(&bytes, Some(70_000), at(9)),
            Some(left(30_000))
        );
        assert_eq!(Record::decode(&bytes, None, at(61_000)), Some(left(-1_000)));
        let sent = at(5_000);
        let rejected = |sent| Record::Rejected {
            sha256: [7; 32],
            sent,
        };
        let bytes = rejected(Some(sent)).encode(at(6_000), 1_000);
        assert_eq!(
            Record::decode(&bytes, None, at(6_500)),
            Some(rejected(Some(sent)))
        );
        let bytes = rejected(None).encode(at(6_000), 1_000);
        assert_eq!(
            Record::decode(&bytes, None, at(6_500)),
            Some(rejected(None))
        );
    }

    #[test]
    fn unknown_fields_are_skipped_and_unknown_kinds_ignored() {
        let mut bytes = token().encode(at(0), 1);
        push(&mut bytes, 200, b"later");
        assert!(Record::decode(&bytes, None, at(0)).is_some());
        bytes[0] = 9;
        assert_eq!(Record::decode(&bytes, None, at(0)), None);
    }

    #[test]
    fn a_token_that_cannot_stand_in_a_header_is_none() {
        let life = Life {
            sent: at(0),
            lifetime_ms: 1,
        };
        let reply = Reply {
            access_token: Secret::new("a\r\nb"),
            ..Reply::default()
        };
        let bytes = Record::Token(reply, life).encode(at(0), 1);
        assert_eq!(Record::decode(&bytes, None, at(0)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), left in any::<Option<i64>>(), ms in any::<i64>()) {
            let _ = Record::decode(&bytes, left, at(ms));
        }

        #[test]
        fn no_prefix_panics(cut in 0_usize..120, flip in any::<u8>()) {
            let mut bytes = token().encode(at(0), 1).to_vec();
            bytes.truncate(cut);
            if let Some(last) = bytes.last_mut() { *last ^= flip; }
            let _ = Record::decode(&bytes, None, at(0));
        }
    }
}
