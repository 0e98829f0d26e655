//! Statuses
//!
//! A number never changes its meaning. New codes are added in the gaps.

use super::types::p21_status;

/// The call succeeded.
pub const P21_OK: p21_status = 0;

/// A required pointer is NULL.
pub const P21_E_NULL_ARGUMENT: p21_status = 1;
/// A string is not valid UTF-8.
pub const P21_E_INVALID_UTF8: p21_status = 2;
/// An argument is not valid: an unknown flag, flags that contradict each other, or a value out of range.
pub const P21_E_INVALID_ARGUMENT: p21_status = 3;
/// The handle was freed, has the wrong type, or did not come from this library.
pub const P21_E_INVALID_HANDLE: p21_status = 4;
/// There is no option of this name. The hint lists similar names.
pub const P21_E_UNKNOWN_OPTION: p21_status = 5;
/// The buffer is too small for the value. The required length is reported.
pub const P21_E_BUFFER_TOO_SMALL: p21_status = 6;
/// An option is missing, malformed, or contradicts another option.
pub const P21_E_CONFIG: p21_status = 7;
/// The client was freed while this call was waiting.
pub const P21_E_CLOSED: p21_status = 8;
/// P21_CACHED_ONLY was set, and no unexpired token is cached.
pub const P21_E_NO_CACHED_TOKEN: p21_status = 9;
/// P21_NO_WAIT was set, and the token is still being fetched.
pub const P21_E_PENDING: p21_status = 10;
/// The access token that you supplied (auth_mode=token) has expired.
pub const P21_E_TOKEN_EXPIRED: p21_status = 11;

/// The shared token store cannot be used.
pub const P21_E_STORE: p21_status = 50;

/// The host name of the P21 server or proxy cannot be resolved.
pub const P21_E_DNS: p21_status = 100;
/// The connection to the P21 server failed.
pub const P21_E_CONNECT: p21_status = 101;
/// The TLS handshake failed, usually because the certificate is not trusted.
pub const P21_E_TLS: p21_status = 102;
/// The call timed out.
pub const P21_E_TIMEOUT: p21_status = 103;
/// The connection was lost while a request or response was being sent.
pub const P21_E_IO: p21_status = 104;
/// The forward proxy refused the request or failed.
pub const P21_E_PROXY: p21_status = 105;

/// The server returned an HTTP status that has no code of its own.
pub const P21_E_HTTP: p21_status = 150;
/// The token endpoint rejected the username, password or consumer key.
pub const P21_E_UNAUTHORIZED: p21_status = 151;
/// The server understood the request and refused it.
pub const P21_E_FORBIDDEN: p21_status = 152;
/// There is no P21 API at this address.
pub const P21_E_NOT_FOUND: p21_status = 153;
/// The server is throttling requests.
pub const P21_E_RATE_LIMITED: p21_status = 154;
/// The server failed (HTTP 5xx).
pub const P21_E_SERVER: p21_status = 155;
/// The server redirects to an address to which credentials must not be sent.
pub const P21_E_REDIRECT: p21_status = 156;
/// The server rejects new tokens as fast as it issues them.
pub const P21_E_REJECTED: p21_status = 157;

/// The response could not be parsed.
pub const P21_E_PARSE: p21_status = 200;
/// The response was parsed but contains no usable access token.
pub const P21_E_NO_ACCESS_TOKEN: p21_status = 201;
/// The UI router's response contains no usable UI server URL.
pub const P21_E_NO_URL: p21_status = 202;
/// The response is larger than max_response_bytes.
pub const P21_E_TOO_LARGE: p21_status = 203;

/// The library failed internally. Its state is intact, and the next call works.
pub const P21_E_PANIC: p21_status = 250;
/// The process ran out of memory, threads, open files or handles.
pub const P21_E_NO_MEMORY: p21_status = 251;
/// An internal invariant was violated. Please report it.
pub const P21_E_INTERNAL: p21_status = 252;

#[cfg(test)]
mod tests {
    use crate::error::Code;

    #[test]
    fn every_status_has_the_number_and_the_words_of_its_code() {
        let source = include_str!("status.rs");
        for code in Code::ALL {
            // C has no backticks.
            let meaning = code.meaning().replace('`', "");
            let line = format!("pub const {}: p21_status = {};", code.name(), code.number());
            let lines = format!("/// {meaning}\n{line}\n");
            assert!(source.contains(&lines), "{lines}");
        }
        let statuses = source.matches("\npub const P21_E_").count();
        assert_eq!(statuses, Code::ALL.len());
    }
}
