/* libp21auth: access tokens for the Epicor Prophet 21 APIs: fetched once, shared by all threads, renewed before they
 * expire.
 *
 * C99 and C++. Generated from src/capi by cbindgen; change it there.
 */
#ifndef P21AUTH_H
#define P21AUTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this header. p21_version() returns the version of the loaded library.
 * P21_VERSION_NUMBER is major * 1000000 + minor * 1000 + patch. */
#define P21_VERSION "0.1.0"
#define P21_VERSION_NUMBER 1000

/* ----------------------------------------------------------------------------------------------------
 * Types
 *
 * Handles are opaque keys, not addresses, and every call checks them. A handle that was freed, has the wrong type or did
 * not come from this library causes P21_E_INVALID_HANDLE.
 */

/**
 * Version of the binary interface (ABI): the digit in the shared library's name.
 */
#define P21_ABI_VERSION 1

/**
 * Access to one P21 server as one user or consumer key. All clients of the same identity in a process share one token.
 */
typedef struct p21_client p21_client;

/**
 * Options for a client that is about to be created. Use it from one thread at a time.
 */
typedef struct p21_config p21_config;

/**
 * Why a call failed, and what to do about it.
 */
typedef struct p21_error p21_error;

/**
 * Snapshot of one token. It does not change, even if the cache does, until you free it.
 */
typedef struct p21_token p21_token;

/**
 * Result of a call: P21_OK or one of the P21_E_ codes below.
 */
typedef int32_t p21_status;

/* ----------------------------------------------------------------------------------------------------
 * Statuses
 *
 * A number never changes its meaning. New codes are added in the gaps.
 */

/**
 * The call succeeded.
 */
#define P21_OK 0

/**
 * A required pointer is NULL.
 */
#define P21_E_NULL_ARGUMENT 1

/**
 * A string is not valid UTF-8.
 */
#define P21_E_INVALID_UTF8 2

/**
 * An argument is not valid: an unknown flag, flags that contradict each other, or a value out of range.
 */
#define P21_E_INVALID_ARGUMENT 3

/**
 * The handle was freed, has the wrong type, or did not come from this library.
 */
#define P21_E_INVALID_HANDLE 4

/**
 * There is no option of this name. The hint lists similar names.
 */
#define P21_E_UNKNOWN_OPTION 5

/**
 * The buffer is too small for the value. The required length is reported.
 */
#define P21_E_BUFFER_TOO_SMALL 6

/**
 * An option is missing, malformed, or contradicts another option.
 */
#define P21_E_CONFIG 7

/**
 * The client was freed while this call was waiting.
 */
#define P21_E_CLOSED 8

/**
 * P21_CACHED_ONLY was set, and no unexpired token is cached.
 */
#define P21_E_NO_CACHED_TOKEN 9

/**
 * P21_NO_WAIT was set, and the token is still being fetched.
 */
#define P21_E_PENDING 10

/**
 * The access token that you supplied (auth_mode=token) has expired.
 */
#define P21_E_TOKEN_EXPIRED 11

/**
 * The shared token store cannot be used.
 */
#define P21_E_STORE 50

/**
 * The host name of the P21 server or proxy cannot be resolved.
 */
#define P21_E_DNS 100

/**
 * The connection to the P21 server failed.
 */
#define P21_E_CONNECT 101

/**
 * The TLS handshake failed, usually because the certificate is not trusted.
 */
#define P21_E_TLS 102

/**
 * The call timed out.
 */
#define P21_E_TIMEOUT 103

/**
 * The connection was lost while a request or response was being sent.
 */
#define P21_E_IO 104

/**
 * The forward proxy refused the request or failed.
 */
#define P21_E_PROXY 105

/**
 * The server returned an HTTP status that has no code of its own.
 */
#define P21_E_HTTP 150

/**
 * The token endpoint rejected the username, password or consumer key.
 */
#define P21_E_UNAUTHORIZED 151

/**
 * The server understood the request and refused it.
 */
#define P21_E_FORBIDDEN 152

/**
 * There is no P21 API at this address.
 */
#define P21_E_NOT_FOUND 153

/**
 * The server is throttling requests.
 */
#define P21_E_RATE_LIMITED 154

/**
 * The server failed (HTTP 5xx).
 */
#define P21_E_SERVER 155

/**
 * The server redirects to an address to which credentials must not be sent.
 */
#define P21_E_REDIRECT 156

/**
 * The server rejects new tokens as fast as it issues them.
 */
#define P21_E_REJECTED 157

/**
 * The response could not be parsed.
 */
#define P21_E_PARSE 200

/**
 * The response was parsed but contains no usable access token.
 */
#define P21_E_NO_ACCESS_TOKEN 201

/**
 * The UI router's response contains no usable UI server URL.
 */
#define P21_E_NO_URL 202

/**
 * The response is larger than max_response_bytes.
 */
#define P21_E_TOO_LARGE 203

/**
 * The library failed internally. Its state is intact, and the next call works.
 */
#define P21_E_PANIC 250

/**
 * The process ran out of memory, threads, open files or handles.
 */
#define P21_E_NO_MEMORY 251

/**
 * An internal invariant was violated. Please report it.
 */
#define P21_E_INTERNAL 252

/* ----------------------------------------------------------------------------------------------------
 * Flags and verdicts
 */

/**
 * Flag: fetch a new token even if the current one is still valid, at most once per
 * min_refresh_interval_s.
 */
#define P21_FORCE_REFRESH 1

/**
 * Flag: return only a cached token. Never waits and never sends a request.
 */
#define P21_CACHED_ONLY 2

/**
 * Flag: put "Bearer " before the token, ready for an Authorization header.
 */
#define P21_WITH_SCHEME 4

/**
 * Flag: return P21_E_PENDING instead of waiting, and fetch the token in the background. For event
 * loops.
 */
#define P21_NO_WAIT 8

/**
 * Flag of p21_doctor: it may use this process's token, and request one if there is none.
 */
#define P21_DOCTOR_TOKEN 16

/**
 * Verdict: get a token again and send the call once more.
 */
#define P21_VERDICT_RETRY 1

/**
 * Verdict: a permission is missing in P21. Another token does not help.
 */
#define P21_VERDICT_PERMISSION 2

/**
 * Verdict: the Authorization header did not arrive. Another token does not help.
 */
#define P21_VERDICT_HEADER_LOST 3

/**
 * Verdict: the token is not the cause, or new tokens are rejected as fast as they are issued.
 */
#define P21_VERDICT_GIVE_UP 4

/* ----------------------------------------------------------------------------------------------------
 * Library
 *
 * The smallest integration needs no configuration code. Set P21_BASE_URL and either P21_USERNAME and P21_PASSWORD, or
 * P21_CONSUMER_KEY, in the environment, then:
 *
 *     char *token;
 *     if (p21_token_get(NULL, 0, 0, &token, NULL) == P21_OK) {
 *         use_it(token);
 *         p21_free(token);
 *     }
 *
 * Conventions.
 *
 * Results. A function that can fail returns a p21_status and takes err as its last argument. err may be NULL; otherwise it
 * is set to NULL, or to an error that you free with p21_error_free. Out pointers are required and are set to NULL or 0 on
 * failure. Other functions return NULL, 0 or -1 for NULL and for invalid handles.
 *
 * Ownership. Text is UTF-8 and ends with a NUL. The library copies the text that you pass. You own a char * that it returns:
 * free it with p21_free. A returned const char * is borrowed: it is valid as long as the object that it came from, or as
 * long as the process if there is none. Free a handle with the function for its type, which ignores NULL and handles already
 * freed.
 *
 * NULL. An input is required unless the function says what NULL means.
 *
 * Threads. You may call every function from any thread, and use one client, snapshot or error from any number of threads at
 * once. Use a p21_config from one thread at a time. A call needs 64 KiB of stack. pthread_cancel takes effect after the call
 * returns. Do not call the library from a signal handler.
 *
 * Processes. A forked child may use and free all handles and strings of its parent. It keeps the cached tokens; requests in
 * progress belong to the parent. No function prints, exits, or calls you back.
 */

/**
 * Returns the library's version, such as "0.1.0".
 */
const char *p21_version(void);

/**
 * Returns the version of the binary interface. Compare it with P21_ABI_VERSION from the header that you compiled with.
 */
int32_t p21_abi_version(void);

/**
 * Returns the name of a status, such as "P21_E_UNAUTHORIZED", or "P21_E_UNKNOWN" for an unknown number.
 */
const char *p21_status_name(p21_status status);

/**
 * Returns what to do after a verdict of p21_token_report, in P21's terms, or "" for an unknown number.
 */
const char *p21_verdict_hint(int32_t verdict);

/**
 * Returns every option as a JSON array of objects with name, type, default, unit, secret, scope and text. The text stays
 * valid for the life of the process.
 */
const char *p21_options_json(void);

/**
 * Returns the number of handles and strings in this process that were not freed yet. For leak tests.
 */
uint64_t p21_live_objects(void);

/**
 * Wipes and frees a char * that this library returned. Ignores NULL and other pointers. Free each string once: the library
 * keeps the last 64 freed blocks of each size up to 16 KiB out of use, and until a block is used again a second call for its
 * address is ignored. After that, the address may belong to another string.
 */
void p21_free(void *pointer);

/* ----------------------------------------------------------------------------------------------------
 * Configuration
 *
 * Options are names and values as text; p21_options_json lists them. A bad option is reported at once, and again by
 * p21_client_new, so it is enough to check that call. You may free a configuration as soon as its client exists.
 */

/**
 * Creates a configuration with every option at its default. Free it with p21_config_free.
 */
p21_status p21_config_new(p21_config **out, p21_error **err);

/**
 * Sets one option, such as "base_url". A NULL value restores the default.
 */
p21_status p21_config_set(p21_config *config, const char *name, const char *value, p21_error **err);

/**
 * Reads the options from environment variables: base_url from P21_BASE_URL, and so on. A NULL prefix means "P21_". With another
 * prefix, such as "P21_PLAY_", settings for a play server and for production can be set side by side. Ignores other variables.
 * Returns P21_E_CONFIG in a set-uid program.
 */
p21_status p21_config_load_env(p21_config *config,
                               const char *prefix,
                               p21_error **err);

/**
 * Reads options from a .env file: lines such as P21_BASE_URL=https://p21.example.com, with optional quotes and comments.
 * Returns P21_E_TIMEOUT if the file cannot be read within 5 seconds.
 */
p21_status p21_config_load_file(p21_config *config,
                                const char *path,
                                p21_error **err);

/**
 * Reads a profile: the section of that name in profiles.toml in the user's configuration folder, $XDG_CONFIG_HOME/p21auth or
 * ~/.config/p21auth, on Windows %APPDATA%\p21auth. Options from p21_config_set override the profile, in any order of calls, and
 * the profile overrides the environment. A credential in the profile replaces the whole credential of the environment. Takes at
 * most 5 seconds.
 */
p21_status p21_config_load_profile(p21_config *config,
                                   const char *name,
                                   p21_error **err);

/**
 * Frees a configuration. Ignores NULL and handles already freed.
 */
void p21_config_free(p21_config *config);

/* ----------------------------------------------------------------------------------------------------
 * Client
 *
 * All clients of one identity (server, user, secret and network settings) in a process share one token. Creating a client
 * sends nothing; the first call that needs a token does. Where a function says so, a NULL client means the default client:
 * one per process, opened from the P21_ environment variables at first use.
 */

/**
 * Creates a client from a copy of the configuration. Files that the configuration names are read within timeout_ms. Free
 * the client with p21_client_free.
 */
p21_status p21_client_new(const p21_config *config,
                          p21_client **out,
                          p21_error **err);

/**
 * Frees a client, even while other threads use it: calls that wait return P21_E_CLOSED at once. Ignores NULL and handles
 * already freed. Waits at most store_timeout_ms until a shared store knows about reported and invalidated tokens, so a
 * program may report a token and exit.
 */
void p21_client_free(p21_client *client);

/**
 * Changes the credentials or settings of a client under the same handle. On failure the client does not change. With NULL
 * for both, reopens the default client from the environment.
 */
p21_status p21_client_update(p21_client *client,
                             const p21_config *config,
                             p21_error **err);

/**
 * Sets *out_json to the client's state as a JSON object: token age, counters, last error, cool-down, proxy and so on, but
 * no secret. Free it with p21_free. A NULL client means the default client.
 */
p21_status p21_client_stats(const p21_client *client,
                            char **out_json,
                            p21_error **err);

/**
 * Sets *out_word to the address of a 64-bit number that changes whenever the client's token may have changed. A NULL
 * client means the default client.
 *
 * The address stays valid for the life of the process. Read the number atomically. Its values never repeat, and it does
 * not change when time passes. To keep a token in your own cache, read the number before you call p21_token_snapshot, and
 * reuse the token while the number is the same and no more than p21_token_reuse_ms has passed.
 */
p21_status p21_client_generation(const p21_client *client,
                                 const uint64_t **out_word,
                                 p21_error **err);

/* ----------------------------------------------------------------------------------------------------
 * Token
 *
 * flags is 0 or a combination of P21_FORCE_REFRESH, P21_CACHED_ONLY, P21_WITH_SCHEME and P21_NO_WAIT; an unknown flag is an
 * error. wait_ms is the longest time that the call may wait; 0 means the client's timeout_ms. When that time is up, a request
 * in progress continues. A NULL client means the default client.
 */

/**
 * Sets *out_token to a valid access token. Free it with p21_free.
 */
p21_status p21_token_get(const p21_client *client,
                         uint32_t flags,
                         uint32_t wait_ms,
                         char **out_token,
                         p21_error **err);

/**
 * Copies a valid access token into a buffer, without allocation: the fastest way to get one. cap includes the NUL. *out_len
 * is the length without the NUL, also after P21_E_BUFFER_TOO_SMALL. buf may be NULL if cap is 0.
 */
p21_status p21_token_copy(const p21_client *client,
                          uint32_t flags,
                          uint32_t wait_ms,
                          char *buf,
                          size_t cap,
                          size_t *out_len,
                          p21_error **err);

/**
 * Sets *out to a snapshot of a token that stays valid for at least min_valid_s seconds, if the server's tokens live that
 * long. Free it with p21_token_free. An Interactive API session belongs to the token that opened it: keep the snapshot until
 * the session ends.
 */
p21_status p21_token_snapshot(const p21_client *client,
                              uint32_t flags,
                              uint32_t wait_ms,
                              uint32_t min_valid_s,
                              p21_token **out,
                              p21_error **err);

/**
 * Reports an API response that rejected a token. Sets *out_verdict to one of the P21_VERDICT_ values, and drops the token if
 * it is the cause. Call it for every 401 and 403; after P21_VERDICT_RETRY get a token and send the call once more. body is
 * the response body, len bytes in any encoding, or NULL. Never waits: a shared store is updated in the background, and
 * p21_client_free waits for that. A process that exits without that call, as with the default client, may exit before the
 * store is updated.
 */
p21_status p21_token_report(const p21_client *client,
                            const char *token,
                            int32_t http_status,
                            const uint8_t *body,
                            size_t len,
                            int32_t *out_verdict,
                            p21_error **err);

/**
 * Drops a token if it is still the current one, so that the next call fetches another. NULL drops any cached token and ends a
 * cool-down, for example after an account was unlocked. Never waits: a shared store is updated in the background.
 */
p21_status p21_token_invalidate(const p21_client *client,
                                const char *token_or_null,
                                p21_error **err);

/**
 * Sets *out_url to the UI server's URL for the Interactive and Transaction APIs, without a trailing slash. The URL is
 * requested once per token. P21_FORCE_REFRESH requests it again; P21_WITH_SCHEME has no effect. Free the URL with p21_free.
 */
p21_status p21_ui_url(const p21_client *client,
                      uint32_t flags,
                      uint32_t wait_ms,
                      char **out_url,
                      p21_error **err);

/**
 * Requests a separate token from the server, bypassing the cache. Sets *out_json to the response as JSON with the P21 API's
 * names: AccessToken, ExpiresInSeconds and so on. Sends nothing during a cool-down after rejected credentials. Free the JSON
 * with p21_free. Most programs should call p21_token_get instead: each request opens a middleware session.
 */
p21_status p21_token_request(const p21_config *config,
                             char **out_json,
                             p21_error **err);

/**
 * Parses a token response that another program fetched: JSON, XML or a bare JWT. Sets *out_json to the response as JSON with
 * the P21 API's names. ExpiresIn comes from the response or, if it states none, from its JWT. Free the JSON with p21_free.
 */
p21_status p21_parse_token_response(const uint8_t *body,
                                    size_t len,
                                    char **out_json,
                                    p21_error **err);

/* ----------------------------------------------------------------------------------------------------
 * Snapshot
 *
 * Text from a snapshot is borrowed: it is valid until p21_token_free. Any number of threads may read a snapshot.
 */

/**
 * Returns the token, with "Bearer " before it if the snapshot was taken with P21_WITH_SCHEME, or NULL for an invalid handle.
 */
const char *p21_token_value(const p21_token *token);

/**
 * Returns a field of the token response by its P21 name ("AccessToken", "TokenType", "RefreshToken", "UserName", "Scope",
 * "SessionId", "ConsumerUid", "AppKey"), or a claim of the JWT ("Claims.sub"). A claim that is not a string is returned as
 * JSON. Returns NULL if there is no such field.
 */
const char *p21_token_field(const p21_token *token,
                            const char *name);

/**
 * Sets *out_json to the token as a JSON object with the P21 API's names, with the remaining seconds in ExpiresInSeconds and
 * ExpiresIn, and with Claims if the token is a JWT. Free it with p21_free.
 */
p21_status p21_token_json(const p21_token *token,
                          char **out_json,
                          p21_error **err);

/**
 * Returns for how many milliseconds the token may be reused without another call, as long as the number from
 * p21_client_generation does not change: at most 60000, or 1000 with a shared store. Returns 0 if the token will be
 * refreshed soon.
 */
int64_t p21_token_reuse_ms(const p21_token *token);

/**
 * Returns the seconds until the token expires: 0 if it has expired, -1 for an invalid handle.
 */
int64_t p21_token_expires_in(const p21_token *token);

/**
 * Returns when the token expires, in Unix seconds, or -1 for an invalid handle.
 */
int64_t p21_token_expires_at(const p21_token *token);

/**
 * Returns the token's number: later tokens have larger numbers. Returns 0 for an invalid handle.
 */
uint64_t p21_token_generation(const p21_token *token);

/**
 * Frees a snapshot. Ignores NULL and handles already freed.
 */
void p21_token_free(p21_token *token);

/* ----------------------------------------------------------------------------------------------------
 * Errors
 *
 * An error belongs to the caller that received it, not to a thread. Its text is borrowed: it is valid until
 * p21_error_free. An error never contains a password, a key or a token. For NULL and for invalid handles the functions
 * below return 0, NULL or -1; p21_error_code tells which of the two it is.
 */

/**
 * Returns the status of the failed call. Returns P21_OK for NULL (no error), and P21_E_INVALID_HANDLE for a handle that
 * was freed or is not an error.
 */
p21_status p21_error_code(const p21_error *error);

/**
 * Returns the HTTP status of the server's response, or 0 if there was none.
 */
int32_t p21_error_http_status(const p21_error *error);

/**
 * Returns one line that says what happened.
 */
const char *p21_error_message(const p21_error *error);

/**
 * Returns one line that says what to do next, in P21's terms, or "" if the message says it all.
 */
const char *p21_error_hint(const p21_error *error);

/**
 * Returns the milliseconds until the next attempt, counted from the failed call, or -1 if unknown. 0 with P21_E_TIMEOUT
 * means that the request continues: call again.
 */
int64_t p21_error_retry_after_ms(const p21_error *error);

/**
 * Returns 1 if the same call may succeed later with no changes, otherwise 0.
 */
int32_t p21_error_is_retryable(const p21_error *error);

/**
 * Frees an error. Ignores NULL and handles already freed.
 */
void p21_error_free(p21_error *error);

/* ----------------------------------------------------------------------------------------------------
 * Log
 *
 * The library never prints and never calls you back. It keeps its latest events in memory; read them after a slow call or
 * from time to time.
 */

/**
 * Sets *out_json_lines to the events since *cursor and advances the cursor. Each line is a JSON object with time, level,
 * event and message; the end of a token request also has took_ms, its duration in milliseconds. Sets NULL if there is
 * nothing new. A cursor of 0 starts at the oldest event kept. If events were overwritten before they were read, the first
 * line says how many. max_level: 1 errors only, 2 warnings, 3 information, 4 debug, 5 all. Free the lines with p21_free.
 */
p21_status p21_log_read(uint64_t *cursor,
                        int32_t max_level,
                        char **out_json_lines,
                        p21_error **err);

/* ----------------------------------------------------------------------------------------------------
 * Doctor
 *
 * Finds out why a token cannot be fetched, from inside your process: a Windows service or a web worker has different
 * variables, folders, proxies and trusted certificates than the user who runs the p21auth tool.
 */

/**
 * Checks what a token needs, step by step: configuration, store, proxy, DNS, connection, TLS, server and, with
 * P21_DOCTOR_TOKEN, token and APIs. Sets *out_json to {schema, ok, token_requests, steps: [{id, outcome, saw, do, copy,
 * code, ms}]}. outcome is "ok", "warn", "fail" or "skipped", saw is what was found, do is what to do next. Free it with
 * p21_free. An invalid configuration is a failed step, not an error of this call.
 *
 * A NULL config means that of the default client. flags is 0 or P21_DOCTOR_TOKEN. wait_ms is the longest time that the call
 * may take; 0 means the option timeout_ms. Steps that are not reached in time are "skipped".
 */
p21_status p21_doctor(const p21_config *config,
                      uint32_t flags,
                      uint32_t wait_ms,
                      char **out_json,
                      p21_error **err);

#ifdef __cplusplus
}
#endif

#endif /* P21AUTH_H */
