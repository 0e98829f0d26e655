//! Flags and verdicts

/// Flag: a new token although the current one is good, at most one in min_refresh_interval_s.
pub const P21_FORCE_REFRESH: u32 = 1;
/// Flag: only what is cached; never waits and never asks the server.
pub const P21_CACHED_ONLY: u32 = 2;
/// Flag: the value starts with "Bearer ", ready for an Authorization header.
pub const P21_WITH_SCHEME: u32 = 4;
/// Flag: P21_E_PENDING instead of waiting; the token is fetched in the background. For event loops.
pub const P21_NO_WAIT: u32 = 8;

/// Flag of p21_doctor: it may use the token that this process has, and request one if there is none.
pub const P21_DOCTOR_TOKEN: u32 = 16;

/// Verdict: get a token again and send the call once more.
pub const P21_VERDICT_RETRY: i32 = 1;
/// Verdict: somebody must grant a permission in P21; no token helps.
pub const P21_VERDICT_PERMISSION: i32 = 2;
/// Verdict: the Authorization header did not arrive; no token helps.
pub const P21_VERDICT_HEADER_LOST: i32 = 3;
/// Verdict: the answer is about something else, or tokens are rejected as fast as they come.
pub const P21_VERDICT_GIVE_UP: i32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Verdict;

    #[test]
    fn every_verdict_has_its_number() {
        let numbers = [
            P21_VERDICT_RETRY,
            P21_VERDICT_PERMISSION,
            P21_VERDICT_HEADER_LOST,
            P21_VERDICT_GIVE_UP,
        ];
        assert_eq!(numbers, Verdict::ALL.map(Verdict::number));
    }
}
