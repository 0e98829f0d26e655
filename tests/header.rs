//! The committed header is the generated one, and its prototypes are exactly the exported functions.

use std::fs;
use std::path::Path;

const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/p21auth.h"));

#[test]
fn the_committed_header_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/p21auth.h");
    if std::env::var_os("P21AUTH_REFRESH").is_some() {
        fs::write(&path, GENERATED).expect("the header is writable");
    }
    let committed = fs::read_to_string(&path).expect("the header is there");
    assert!(
        committed.replace("\r\n", "\n") == GENERATED,
        "include/p21auth.h is out of date: run P21AUTH_REFRESH=1 cargo test --test header"
    );
}

/// The prototypes that bindings are written against, word for word.
#[test]
fn the_prototypes_are_those_of_the_contract() {
    let mut text = String::new();
    let mut rest = GENERATED;
    while let Some(start) = rest.find("/*") {
        text.push_str(&rest[..start]);
        let end = rest[start..].find("*/").expect("comments end") + start + 2;
        rest = &rest[end..];
    }
    text.push_str(rest);
    let code: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let code = code.join(" ");
    let mut found: Vec<String> = code
        .split(';')
        .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
        .map(|statement| statement.replace("extern \"C\" { ", ""))
        .filter(|statement| statement.contains("p21_") && !statement.starts_with("typedef struct"))
        .collect();
    let mut wanted: Vec<&str> = CONTRACT.lines().collect();
    found.sort();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

const CONTRACT: &str = "\
typedef int32_t p21_status
const char *p21_version(void)
int32_t p21_abi_version(void)
const char *p21_status_name(p21_status status)
const char *p21_verdict_hint(int32_t verdict)
const char *p21_options_json(void)
uint64_t p21_live_objects(void)
void p21_free(void *pointer)
p21_status p21_config_new(p21_config **out)
p21_status p21_config_set(p21_config *config, const char *name, const char *value)
p21_status p21_config_load_env(p21_config *config, const char *prefix)
p21_status p21_config_load_file(p21_config *config, const char *path)
void p21_config_free(p21_config *config)
p21_status p21_client_new(const p21_config *config, p21_client **out, p21_error **err)
void p21_client_free(p21_client *client)
p21_status p21_client_update(p21_client *client, const p21_config *config, p21_error **err)
p21_status p21_token_get(const p21_client *client, uint32_t flags, uint32_t wait_ms, char **out_token, p21_error **err)
p21_status p21_token_copy(const p21_client *client, uint32_t flags, uint32_t wait_ms, char *buf, size_t cap, size_t *out_len, p21_error **err)
p21_status p21_token_snapshot(const p21_client *client, uint32_t flags, uint32_t wait_ms, uint32_t min_valid_s, p21_token **out, p21_error **err)
p21_status p21_token_report(const p21_client *client, const char *token, int32_t http_status, const uint8_t *body, size_t len, int32_t *out_verdict, p21_error **err)
p21_status p21_token_invalidate(const p21_client *client, const char *token_or_null)
p21_status p21_ui_url(const p21_client *client, uint32_t flags, uint32_t wait_ms, char **out_url, p21_error **err)
p21_status p21_client_stats(const p21_client *client, char **out_json)
p21_status p21_client_generation(const p21_client *client, const uint64_t **out_word)
const char *p21_token_value(const p21_token *token)
const char *p21_token_field(const p21_token *token, const char *name)
p21_status p21_token_json(const p21_token *token, char **out_json)
int64_t p21_token_reuse_ms(const p21_token *token)
int64_t p21_token_expires_in(const p21_token *token)
int64_t p21_token_expires_at(const p21_token *token)
uint64_t p21_token_generation(const p21_token *token)
void p21_token_free(p21_token *token)
p21_status p21_token_request(const p21_config *config, char **out_json, p21_error **err)
p21_status p21_parse_token_response(const uint8_t *body, size_t len, char **out_json, p21_error **err)
p21_status p21_log_read(uint64_t *cursor, int32_t max_level, char **out_json_lines)
p21_status p21_error_code(const p21_error *error)
int32_t p21_error_http_status(const p21_error *error)
const char *p21_error_message(const p21_error *error)
const char *p21_error_hint(const p21_error *error)
int64_t p21_error_retry_after_ms(const p21_error *error)
int32_t p21_error_is_retryable(const p21_error *error)
void p21_error_free(p21_error *error)";
