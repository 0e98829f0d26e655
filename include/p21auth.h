/* libp21auth: access tokens for Epicor Prophet 21 APIs, fetched once, shared by every thread, always valid.
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

/* Version of this header. p21_version returns that of the library which was loaded.
 * P21_VERSION_NUMBER is major * 1000000 + minor * 1000 + patch. */
#define P21_VERSION "0.1.0"
#define P21_VERSION_NUMBER 1000

/* ----------------------------------------------------------------------------------------------------
 * Types
 *
 * Handles are opaque: they are checked keys, not addresses. One that was freed, is of another kind or never came from
 * here gives P21_E_INVALID_HANDLE.
 */

/**
 * Version of the binary interface, the digit in the shared library's name.
 */
#define P21_ABI_VERSION 1

/**
 * Access to one P21 server under one identity; shares its token with every other client of that identity in the process.
 */
typedef struct p21_client p21_client;

/**
 * Options on their way into a client. One thread at a time.
 */
typedef struct p21_config p21_config;

/**
 * What went wrong in one call, and what to do about it.
 */
typedef struct p21_error p21_error;

/**
 * Snapshot of one token: it stays as it is, whatever the cache does, until it is freed.
 */
typedef struct p21_token p21_token;

/**
 * Result of a call: P21_OK, or one of P21_E_... below.
 */
typedef int32_t p21_status;

/* ----------------------------------------------------------------------------------------------------
 * Statuses
 *
 * Numbers keep their meaning for ever; new ones are added in the gaps.
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
 * An argument has no meaning: an unknown flag, flags that contradict each other, a value out of range.
 */
#define P21_E_INVALID_ARGUMENT 3

/**
 * The handle was freed, is of another kind, or never came from this library.
 */
#define P21_E_INVALID_HANDLE 4

/**
 * No option has this name; the hint lists near misses.
 */
#define P21_E_UNKNOWN_OPTION 5

/**
 * The caller's buffer cannot hold the value; the length needed is reported.
 */
#define P21_E_BUFFER_TOO_SMALL 6

/**
 * An option is missing, malformed or contradicts another.
 */
#define P21_E_CONFIG 7

/**
 * The client was freed while the call was waiting.
 */
#define P21_E_CLOSED 8

/**
 * P21_CACHED_ONLY was asked for and no unexpired token is cached.
 */
#define P21_E_NO_CACHED_TOKEN 9

/**
 * P21_NO_WAIT was asked for and the token is still being fetched.
 */
#define P21_E_PENDING 10

/**
 * The access token that the caller supplied (auth_mode=token) has expired.
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
 * No connection to the P21 server could be made.
 */
#define P21_E_CONNECT 101

/**
 * The TLS handshake failed, most often because the certificate is not trusted.
 */
#define P21_E_TLS 102

/**
 * The time for the call ran out.
 */
#define P21_E_TIMEOUT 103

/**
 * The connection broke while a request or reply was under way.
 */
#define P21_E_IO 104

/**
 * The forward proxy refused or failed.
 */
#define P21_E_PROXY 105

/**
 * The server answered with an HTTP status that has no code of its own.
 */
#define P21_E_HTTP 150

/**
 * The token endpoint refused the user, password or consumer key.
 */
#define P21_E_UNAUTHORIZED 151

/**
 * The server understood the request and forbids it.
 */
#define P21_E_FORBIDDEN 152

/**
 * No P21 API answers at this address.
 */
#define P21_E_NOT_FOUND 153

/**
 * The server throttles requests.
 */
#define P21_E_RATE_LIMITED 154

/**
 * The server failed (HTTP 5xx).
 */
#define P21_E_SERVER 155

/**
 * The server redirects to a place where credentials must not go.
 */
#define P21_E_REDIRECT 156

/**
 * New tokens are rejected as fast as they come.
 */
#define P21_E_REJECTED 157

/**
 * The reply could not be understood.
 */
#define P21_E_PARSE 200

/**
 * The reply was understood but holds no usable access token.
 */
#define P21_E_NO_ACCESS_TOKEN 201

/**
 * The router's reply holds no usable UI server URL.
 */
#define P21_E_NO_URL 202

/**
 * The reply is larger than max_response_bytes.
 */
#define P21_E_TOO_LARGE 203

/**
 * The library failed inside; the state is intact and the next call works.
 */
#define P21_E_PANIC 250

/**
 * Memory, threads, open files or handles ran out.
 */
#define P21_E_NO_MEMORY 251

/**
 * An inner rule was broken; please report it.
 */
#define P21_E_INTERNAL 252

/* ----------------------------------------------------------------------------------------------------
 * Flags and verdicts
 */

/**
 * Flag: a new token although the current one is good, at most one in min_refresh_interval_s.
 */
#define P21_FORCE_REFRESH 1

/**
 * Flag: only what is cached; never waits and never asks the server.
 */
#define P21_CACHED_ONLY 2

/**
 * Flag: the value starts with "Bearer ", ready for an Authorization header.
 */
#define P21_WITH_SCHEME 4

/**
 * Flag: P21_E_PENDING instead of waiting; the token is fetched in the background. For event loops.
 */
#define P21_NO_WAIT 8

/**
 * Flag of p21_doctor: it may use the token that this process has, and request one if there is none.
 */
#define P21_DOCTOR_TOKEN 16

/**
 * Verdict: get a token again and send the call once more.
 */
#define P21_VERDICT_RETRY 1

/**
 * Verdict: somebody must grant a permission in P21; no token helps.
 */
#define P21_VERDICT_PERMISSION 2

/**
 * Verdict: the Authorization header did not arrive; no token helps.
 */
#define P21_VERDICT_HEADER_LOST 3

/**
 * Verdict: the answer is about something else, or tokens are rejected as fast as they come.
 */
#define P21_VERDICT_GIVE_UP 4

/* ----------------------------------------------------------------------------------------------------
 * Library
 *
 * The smallest integration needs no configuration code: set P21_BASE_URL and either P21_USERNAME and P21_PASSWORD or
 * P21_CONSUMER_KEY in the environment, then
 *
 *     char *token;
 *     if (p21_token_get(NULL, 0, 0, &token, NULL) == P21_OK) {
 *         use_it(token);
 *         p21_free(token);
 *     }
 *
 * Conventions.
 *
 * Results. A function that can fail returns a p21_status, and its last argument is err. err may be NULL; otherwise it is set
 * to NULL, or to an error that you free with p21_error_free. Out pointers are required and hold NULL or 0 after a failure.
 * Other functions return NULL, 0 or -1 for NULL and for handles that are not valid.
 *
 * Ownership. Text is UTF-8 and ends with a NUL; text that goes in is copied. A char * that comes out is yours: free it with
 * p21_free. A const char * that comes out is borrowed: it lasts as long as the object it was asked of, or as long as the
 * process if there is none. Handles are freed by the function of their kind; that ignores NULL and handles already freed.
 *
 * NULL. Inputs are required unless the text of a function says what NULL means.
 *
 * Threads. Every function may be called from any thread, and from any number of threads at once with the same client,
 * snapshot or error. A p21_config is for one thread at a time. A call needs 64 KiB of stack. pthread_cancel takes effect
 * after a call has returned. Not for signal handlers.
 *
 * Processes. A forked child may use and free all handles and strings of its parent; it keeps the tokens that are cached, and
 * requests that are under way belong to the parent. No function prints, exits, or calls you back.
 */

/**
 * The library's version, such as "0.1.0".
 */
const char *p21_version(void);

/**
 * The version of the binary interface; compare it with P21_ABI_VERSION of the header that you compiled with.
 */
int32_t p21_abi_version(void);

/**
 * A status as it is written in this header, such as "P21_E_UNAUTHORIZED"; "P21_E_UNKNOWN" for a number without meaning.
 */
const char *p21_status_name(p21_status status);

/**
 * The next thing to do after a verdict of p21_token_report, in P21's own terms; "" for a number without meaning.
 */
const char *p21_verdict_hint(int32_t verdict);

/**
 * Every option as a JSON array of objects with name, type, default, unit, secret, scope and text; lasts for ever.
 */
const char *p21_options_json(void);

/**
 * Handles and strings that were handed out and not freed yet, in the whole process; for leak tests.
 */
uint64_t p21_live_objects(void);

/**
 * Zeroises and frees a char * that came from this library. NULL and foreign pointers are ignored. Free each string once: a
 * second call for the same address is ignored while the freed block rests, which the last 64 of each size up to 16 KiB
 * do; later the address may be another string's.
 */
void p21_free(void *pointer);

/* ----------------------------------------------------------------------------------------------------
 * Configuration
 *
 * Options are named and textual; p21_options_json lists them. A bad one is reported at once, and again by
 * p21_client_new, so checking only there misses nothing. A configuration may be freed as soon as its client is made.
 */

/**
 * Makes an empty configuration: every option at its default. Free it with p21_config_free.
 */
p21_status p21_config_new(p21_config **out, p21_error **err);

/**
 * Sets one option, such as "base_url"; a value of NULL puts it back to its default.
 */
p21_status p21_config_set(p21_config *config, const char *name, const char *value, p21_error **err);

/**
 * Reads every option from the environment: base_url from P21_BASE_URL and so on. A prefix of NULL means "P21_"; with
 * another, such as "P21_PLAY_", a play server's settings live beside production's. Other variables are ignored.
 * P21_E_CONFIG in a set-uid program.
 */
p21_status p21_config_load_env(p21_config *config,
                               const char *prefix,
                               p21_error **err);

/**
 * Reads options from a .env file: lines such as P21_BASE_URL=https://p21.example.com, quotes and comments understood. A file
 * that cannot be read within 5 seconds is P21_E_TIMEOUT.
 */
p21_status p21_config_load_file(p21_config *config,
                                const char *path,
                                p21_error **err);

/**
 * Reads a profile: the section of that name in profiles.toml in the user's configuration folder, $XDG_CONFIG_HOME/p21auth or
 * ~/.config/p21auth, on Windows %APPDATA%\p21auth. Options that p21_config_set sets come before it, in whatever order the calls
 * are made, and it comes before the environment; its credential replaces the whole credential of the environment.
 * Takes at most 5 seconds.
 */
p21_status p21_config_load_profile(p21_config *config,
                                   const char *name,
                                   p21_error **err);

/**
 * Frees a configuration; NULL and handles already freed are ignored.
 */
void p21_config_free(p21_config *config);

/* ----------------------------------------------------------------------------------------------------
 * Client
 *
 * All clients of one identity (server, user, secret and the way there) share one token in the process. Making a client
 * sends nothing; the first token that is asked for does. Where a function below says so, a client of NULL means the
 * default client: one for the process, opened from the P21_ environment variables at first use.
 */

/**
 * Makes a client. The configuration is copied. Files that it names are read within timeout_ms. Free the client with
 * p21_client_free.
 */
p21_status p21_client_new(const p21_config *config,
                          p21_client **out,
                          p21_error **err);

/**
 * Frees a client, also while other threads are inside it: those that wait return at once with P21_E_CLOSED. NULL and
 * handles already freed are ignored. Waits until a shared store knows of the tokens that were reported or invalidated, for
 * at most store_timeout_ms, so that a program may report and end.
 */
void p21_client_free(p21_client *client);

/**
 * Gives a client other credentials or settings under the same handle; after a failure it is as it was. With NULL for
 * both, the default client is opened anew from the environment.
 */
p21_status p21_client_update(p21_client *client,
                             const p21_config *config,
                             p21_error **err);

/**
 * Tells what is going on as one JSON object: token age, counters, last error, cool-down, proxy and so on, no secret.
 * Give it to p21_free. NULL: the default client.
 */
p21_status p21_client_stats(const p21_client *client,
                            char **out_json,
                            p21_error **err);

/**
 * Gives the address of a 64-bit word that changes whenever the token that a caller would get may have changed. NULL: the
 * default client.
 *
 * The address stays valid for the life of the process; read the word atomically. Its values never repeat, and it says
 * nothing about time. So whoever keeps a decoded token reads the word before p21_token_snapshot, and uses the token again
 * while the word is the same and no more than p21_token_reuse_ms has passed.
 */
p21_status p21_client_generation(const p21_client *client,
                                 const uint64_t **out_word,
                                 p21_error **err);

/* ----------------------------------------------------------------------------------------------------
 * Token
 *
 * flags is 0 or a sum of P21_FORCE_REFRESH, P21_CACHED_ONLY, P21_WITH_SCHEME and P21_NO_WAIT; an unknown one is an
 * error. wait_ms is the longest that the call may wait; 0 means the client's timeout_ms. A request that is under way goes
 * on when a caller's time is over. A client of NULL is the default client.
 */

/**
 * Gives a token that is good now. Give it to p21_free.
 */
p21_status p21_token_get(const p21_client *client,
                         uint32_t flags,
                         uint32_t wait_ms,
                         char **out_token,
                         p21_error **err);

/**
 * Copies a token that is good now into a buffer: the cheapest way, without allocation. cap counts the NUL; *out_len is
 * the length without it, and is the length needed after P21_E_BUFFER_TOO_SMALL. buf may be NULL when cap is 0.
 */
p21_status p21_token_copy(const p21_client *client,
                          uint32_t flags,
                          uint32_t wait_ms,
                          char *buf,
                          size_t cap,
                          size_t *out_len,
                          p21_error **err);

/**
 * Gives a snapshot of a token that is good for at least min_valid_s seconds, if the server's tokens live that long. Free
 * it with p21_token_free. An Interactive API session belongs to the token that opened it: keep a snapshot until it ends.
 */
p21_status p21_token_snapshot(const p21_client *client,
                              uint32_t flags,
                              uint32_t wait_ms,
                              uint32_t min_valid_s,
                              p21_token **out,
                              p21_error **err);

/**
 * Sorts an API's answer to a token that it was sent: *out_verdict is one of P21_VERDICT_..., and a token that is to blame
 * is dropped. Call it for every 401 and 403; after P21_VERDICT_RETRY get a token and send the call once more. body is the
 * answer's, len bytes of any encoding; NULL when there is none. Never waits: a shared store is told in the background.
 * p21_client_free waits for that. A process that ends without it, as with the default client, may end before the store knows.
 */
p21_status p21_token_report(const p21_client *client,
                            const char *token,
                            int32_t http_status,
                            const uint8_t *body,
                            size_t len,
                            int32_t *out_verdict,
                            p21_error **err);

/**
 * Drops a token if it is still the current one, so that the next call fetches another. NULL drops whatever is cached and
 * lifts a cool-down: "the account is unlocked, try now". Never waits: a shared store is told in the background.
 */
p21_status p21_token_invalidate(const p21_client *client,
                                const char *token_or_null,
                                p21_error **err);

/**
 * Gives the UI server's URL for the Interactive and Transaction APIs, without a slash at its end; asked for once for each
 * token. P21_FORCE_REFRESH asks the router again, P21_WITH_SCHEME has no meaning here. Give the URL to p21_free.
 */
p21_status p21_ui_url(const p21_client *client,
                      uint32_t flags,
                      uint32_t wait_ms,
                      char **out_url,
                      p21_error **err);

/**
 * Asks the server for a token of its own, past the cache, and gives the reply as JSON in the names of the P21 API:
 * AccessToken, ExpiresInSeconds and so on. Refused credentials still count: during their cool-down nothing is sent. Give
 * the JSON to p21_free. For most programs p21_token_get is the right call: each request opens a middleware session.
 */
p21_status p21_token_request(const p21_config *config,
                             char **out_json,
                             p21_error **err);

/**
 * Reads a token endpoint's reply that somebody else fetched, in JSON or XML or a bare JWT, and gives it as JSON in the
 * names of the P21 API. ExpiresIn is what the reply states, or else its JWT. Give the JSON to p21_free.
 */
p21_status p21_parse_token_response(const uint8_t *body,
                                    size_t len,
                                    char **out_json,
                                    p21_error **err);

/* ----------------------------------------------------------------------------------------------------
 * Snapshot
 *
 * Text from a snapshot is borrowed: it lasts until p21_token_free. Any number of threads may read a snapshot.
 */

/**
 * The token, with "Bearer " before it if the snapshot was taken with P21_WITH_SCHEME. NULL for a handle that is not valid.
 */
const char *p21_token_value(const p21_token *token);

/**
 * A field of the token's reply by its name in the P21 API ("AccessToken", "TokenType", "RefreshToken", "UserName", "Scope",
 * "SessionId", "ConsumerUid", "AppKey"), or a claim of the JWT ("Claims.sub"); a claim that is no string comes as JSON.
 * NULL when it is absent.
 */
const char *p21_token_field(const p21_token *token,
                            const char *name);

/**
 * Gives the token as a JSON object in the names of the P21 API, with the seconds left now in ExpiresInSeconds and ExpiresIn,
 * and with Claims when it is a JWT. Give it to p21_free.
 */
p21_status p21_token_json(const p21_token *token,
                          char **out_json,
                          p21_error **err);

/**
 * How many milliseconds from now the token may be used again without asking, as long as the word of p21_client_generation
 * does not change: at most 60000, or 1000 with a shared store; 0 when it is to be refreshed soon.
 */
int64_t p21_token_reuse_ms(const p21_token *token);

/**
 * Seconds that the token has left now; 0 when it has expired, -1 for a handle that is not valid.
 */
int64_t p21_token_expires_in(const p21_token *token);

/**
 * When the token expires, in Unix seconds; -1 for a handle that is not valid.
 */
int64_t p21_token_expires_at(const p21_token *token);

/**
 * Which token it is: a later one has a larger number. 0 for a handle that is not valid.
 */
uint64_t p21_token_generation(const p21_token *token);

/**
 * Frees a snapshot; NULL and handles already freed are ignored.
 */
void p21_token_free(p21_token *token);

/* ----------------------------------------------------------------------------------------------------
 * Errors
 *
 * An error belongs to the caller that received it, not to a thread. Its text is borrowed: it lasts until p21_error_free.
 * No error ever holds a password, a key or a token. For NULL and for handles that are not valid the functions below
 * return 0, NULL or -1; p21_error_code says which of the two it is.
 */

/**
 * The status that the failed call returned. NULL is P21_OK: there is no error. A handle that was freed, or is none of an
 * error, is P21_E_INVALID_HANDLE.
 */
p21_status p21_error_code(const p21_error *error);

/**
 * The HTTP status of the server's answer; 0 when there was none.
 */
int32_t p21_error_http_status(const p21_error *error);

/**
 * One line that says what happened.
 */
const char *p21_error_message(const p21_error *error);

/**
 * One line that names the next thing to do, in P21's own terms; "" when the message says it all.
 */
const char *p21_error_hint(const p21_error *error);

/**
 * Milliseconds until another try is made, counted from the failed call; -1 when unknown. 0 with P21_E_TIMEOUT: the
 * request still goes on, ask again.
 */
int64_t p21_error_retry_after_ms(const p21_error *error);

/**
 * 1 when the same call may succeed later without anybody changing anything, otherwise 0.
 */
int32_t p21_error_is_retryable(const p21_error *error);

/**
 * Frees an error; NULL and handles already freed are ignored.
 */
void p21_error_free(p21_error *error);

/* ----------------------------------------------------------------------------------------------------
 * Log
 *
 * The library never calls you back and never prints; it keeps its latest events in memory, to be read after a slow call
 * or from time to time.
 */

/**
 * Gives the events since *cursor as lines of JSON objects with time, level, event and message, and moves the cursor behind
 * them; NULL when nothing is new. The end of a token request has took_ms too: how long it took, in milliseconds. A cursor
 * of 0 begins with the oldest event kept; when events were overwritten before they were read, the first line says how
 * many. max_level: 1 errors only, 2 warnings, 3 information, 4 debug, 5 all. Give the lines to p21_free.
 */
p21_status p21_log_read(uint64_t *cursor,
                        int32_t max_level,
                        char **out_json_lines,
                        p21_error **err);

/* ----------------------------------------------------------------------------------------------------
 * Doctor
 *
 * Why it does not work, seen from inside the process: a Windows service or a web worker has other variables, folders,
 * proxies and trust than the person who runs the tool p21auth.
 */

/**
 * Examines what a token needs, step by step: configuration, store, proxy, name, connection, TLS, server, and with
 * P21_DOCTOR_TOKEN token and APIs. Sets *out_json to {schema, ok, token_requests, steps: [{id, outcome, saw, do, copy, code,
 * ms}]}; outcome is "ok", "warn", "fail" or "skipped", saw is what was found, do is what to do next. Free it with p21_free.
 * A configuration that is not valid is a failed step, not an error of this call.
 *
 * config NULL: that of the default client. flags is 0 or P21_DOCTOR_TOKEN. wait_ms is the longest that the call may wait; 0
 * means the option timeout_ms. Steps that are not reached in this time are "skipped".
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
