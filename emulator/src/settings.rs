//! What the emulator's server does, in the parts that may change while it runs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The lifetime a server states for a key that "never expires": twenty years, in seconds.
pub const NEVER_S: i64 = 630_720_000;

/// The behavior of the emulated server that can change while it runs.
///
/// Every field has a default, so a JSON object with only the fields of interest is a valid
/// `Settings`; [`crate::Control::configure`] and `POST /_control/config` merge such an object
/// into the present settings. Unknown names are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // independent switches, named by their fields
pub struct Settings {
    /// Lifetime of a new token in seconds, for users and for keys without a lifetime of their own.
    pub lifetime_s: i64,
    /// Lifetime inside the JWT (`exp`) and enforced on API calls, where it differs from the stated one.
    pub jwt_lifetime_s: Option<i64>,
    /// Written into the reply instead of the true lifetime: any JSON value, such as `-1` or `"soon"`.
    pub stated_lifetime: Option<Value>,
    /// Names of the lifetime fields; unset: `ExpiresInSeconds` for passwords and `ExpiresIn` for
    /// consumer keys, as servers do; empty: no lifetime at all.
    pub lifetime_fields: Option<Vec<String>>,
    /// Write the lifetime as a JSON string instead of a number.
    pub lifetime_as_string: bool,
    /// Name of the field that holds the access token.
    pub token_field: String,
    /// Fields added to every token reply, replacing those of the same name.
    pub extra_fields: Map<String, Value>,
    /// What an access token looks like.
    pub token_kind: TokenKind,
    /// Shape of the token reply.
    pub reply: ReplyFormat,
    /// A new token ends every earlier one of the same user, or of the same key and username.
    pub single_session: bool,
    /// How refused credentials are spelled.
    pub refusal: Refusal,
    /// How a missing permission is spelled.
    pub permission: Permission,
    /// HTTP status of a missing permission (401 or 403 in the field).
    pub permission_status: u16,
    /// Token requests allowed within `throttle_window_s`; more are answered with 429. Unset: no limit.
    pub throttle_max: Option<u32>,
    /// Length of the throttling window in seconds of the emulator's clock.
    pub throttle_window_s: i64,
    /// Form of the `Retry-After` header of a 429.
    pub retry_after: RetryAfter,
    /// Delay of every token reply, in milliseconds.
    pub latency_ms: u64,
    /// Added to the `Date` header alone, in seconds; the tokens' times stay right.
    pub date_skew_s: i64,
    /// Send a `Date` header.
    pub date_header: bool,
    /// Keep connections open after a reply.
    pub keep_alive: bool,
    /// The UI server's URL that the router answers with; unset: the emulator's own `/uiserver0/`.
    pub ui_url: Option<String>,
    /// Without the slash before its query the router answers 307 instead of 200.
    pub router_redirect: bool,
    /// Interactive calls without an `Accept` header fail with 500.
    pub interactive_needs_accept: bool,
    /// A new Interactive session ends those of the same user's other tokens.
    pub session_ends_others: bool,
    /// The V1 endpoint takes `username` and `password` as a form, too.
    pub v1_form: bool,
    /// Most rows of one OData page, with `@odata.nextLink` to the next; unset: all that were asked for.
    pub odata_page: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lifetime_s: 86_400,
            jwt_lifetime_s: None,
            stated_lifetime: None,
            lifetime_fields: None,
            lifetime_as_string: false,
            token_field: "AccessToken".into(),
            extra_fields: Map::new(),
            token_kind: TokenKind::Jwt,
            reply: ReplyFormat::Auto,
            single_session: false,
            refusal: Refusal::P21,
            permission: Permission::Json,
            permission_status: 401,
            throttle_max: None,
            throttle_window_s: 60,
            retry_after: RetryAfter::Seconds,
            latency_ms: 0,
            date_skew_s: 0,
            date_header: true,
            keep_alive: true,
            ui_url: None,
            router_redirect: false,
            interactive_needs_accept: false,
            session_ends_others: false,
            v1_form: false,
            odata_page: None,
        }
    }
}

impl Settings {
    /// These settings with the fields of `patch` (a JSON object) in place of the old ones.
    ///
    /// # Errors
    /// A sentence that names the unknown field or the value that doesn't fit.
    pub fn patched(&self, patch: &Map<String, Value>) -> Result<Self, String> {
        let mut all = serde_json::to_value(self).map_err(|e| e.to_string())?;
        if let Value::Object(fields) = &mut all {
            fields.extend(patch.clone());
        }
        let new: Self = serde_json::from_value(all).map_err(|e| e.to_string())?;
        if !(100..=599).contains(&new.permission_status) {
            return Err("permission_status must be between 100 and 599".into());
        }
        if new.odata_page == Some(0) {
            return Err("odata_page must be at least 1".into());
        }
        Ok(new)
    }

    /// Sets one field from text, for command lines: `value` is taken as JSON, and as a plain string
    /// where it isn't JSON (`set("reply", "xml")`, `set("lifetime_s", "60")`).
    ///
    /// # Errors
    /// As [`Settings::patched`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        *self = self.patched(&Map::from_iter([(name.to_owned(), value)]))?;
        Ok(())
    }
}

/// What an access token looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// A JWT signed with HS256 under a key made at start.
    Jwt,
    /// Random text without readable claims.
    Opaque,
}

/// Shape of the token reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyFormat {
    /// JSON if `Accept` names it, otherwise XML; `v1_query` gets the bare JWT.
    Auto,
    /// A JSON object.
    Json,
    /// XML with the root `act:Token`.
    Xml,
    /// XML with the root `TokenResponse` and no namespace.
    TokenResponse,
    /// The token alone, as text.
    Bare,
    /// The token alone, as a JSON string.
    BareJson,
}

/// How refused credentials are spelled. All but the last three answer 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// `{"Error":"invalid_grant","Description":…,"Uri":""}`
    P21,
    /// `{"error":"invalid_grant"}`
    Oauth,
    /// XML `TokenError`
    TokenError,
    /// XML `ResourceError`
    ResourceError,
    /// XML `TokenError` with status 200
    #[serde(rename = "token_error_200")]
    TokenError200,
    /// XML `ResourceError` with status 200
    #[serde(rename = "resource_error_200")]
    ResourceError200,
    /// `{"ErrorMessage":…,"ErrorType":null}` with status 200
    #[serde(rename = "error_message_200")]
    ErrorMessage200,
}

/// How "You are not authorized to access API" is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Plain text.
    Text,
    /// A JSON string.
    Json,
    /// Inside `{"Message":…}`.
    Message,
}

/// Form of a `Retry-After` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds,
    /// An HTTP date by the emulator's clock.
    Date,
    /// No header.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_takes_json_and_plain_text() {
        let mut s = Settings::default();
        s.set("lifetime_s", "60").unwrap();
        s.set("reply", "token_response").unwrap();
        s.set("lifetime_fields", r#"["expires_in"]"#).unwrap();
        s.set("refusal", "token_error_200").unwrap();
        assert_eq!(s.lifetime_s, 60);
        assert_eq!(s.reply, ReplyFormat::TokenResponse);
        assert_eq!(s.lifetime_fields, Some(vec!["expires_in".to_owned()]));
        assert_eq!(s.refusal, Refusal::TokenError200);
    }

    #[test]
    fn a_bad_patch_names_the_field_and_changes_nothing() {
        let mut s = Settings::default();
        assert!(s.set("lifetme_s", "60").unwrap_err().contains("lifetme_s"));
        assert!(s.set("lifetime_s", "soon").is_err());
        assert!(s.set("odata_page", "0").is_err());
        assert!(s.set("permission_status", "7").is_err());
        assert_eq!(s, Settings::default());
    }
}
