//! Flags and verdicts

/// Flag: fetch a new token even if the current one is still valid, at most once per
/// min_refresh_interval_s.
pub const P21_FORCE_REFRESH: u32 = 1;
/// Flag: return only a cached token. Never waits and never sends a request.
pub const P21_CACHED_ONLY: u32 = 2;
/// Flag: put "Bearer " before the token, ready for an Authorization header.
pub const P21_WITH_SCHEME: u32 = 4;
/// Flag: return P21_E_PENDING instead of waiting, and fetch the token in the background. For event
/// loops.
pub const P21_NO_WAIT: u32 = 8;

/// Flag of p21_doctor: it may use this process's token, and request one if there is none.
pub const P21_DOCTOR_TOKEN: u32 = 16;

/// Verdict: get a token again and send the call once more.
pub const P21_VERDICT_RETRY: i32 = 1;
/// Verdict: a permission is missing in P21. Another token does not help.
pub const P21_VERDICT_PERMISSION: i32 = 2;
/// Verdict: the Authorization header did not arrive. Another token does not help.
pub const P21_VERDICT_HEADER_LOST: i32 = 3;
/// Verdict: the token is not the cause, or new tokens are rejected as fast as they are issued.
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
