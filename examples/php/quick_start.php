<?php
// PHP by FFI (ffi.enable=true): set P21_BASE_URL, P21_USERNAME and P21_PASSWORD, then
//
//     P21AUTH_LIBRARY=/usr/lib/libp21auth.so.1 php -d ffi.enable=true quick_start.php
$p21 = FFI::cdef(<<<'C'
    typedef struct p21_client p21_client;
    typedef struct p21_error p21_error;
    int32_t p21_token_get(const p21_client *client, uint32_t flags, uint32_t wait_ms, char **token, p21_error **err);
    int32_t p21_ui_url(const p21_client *client, uint32_t flags, uint32_t wait_ms, char **url, p21_error **err);
    void p21_free(void *owned);
    const char *p21_error_message(const p21_error *error);
    const char *p21_error_hint(const p21_error *error);
    void p21_error_free(p21_error *error);
    C, getenv('P21AUTH_LIBRARY') ?: 'libp21auth.so.1');

// Copies an owned string and frees the library's; null is the default client, opened from the environment.
function ask(FFI $p21, string $call, int $flags = 0): string
{
    $out = $p21->new('char *');
    $err = $p21->new('p21_error *');
    if ($p21->$call(null, $flags, 0, FFI::addr($out), FFI::addr($err)) === 0) {
        $text = FFI::string($out);
        $p21->p21_free($out);
        return $text;
    }
    $what = $p21->p21_error_message($err) . ' ' . $p21->p21_error_hint($err);
    $p21->p21_error_free($err);
    throw new RuntimeException($what);
}

echo 'Authorization: ', substr(ask($p21, 'p21_token_get', 4), 0, 12), "...\n"; // P21_WITH_SCHEME
echo 'UI server: ', ask($p21, 'p21_ui_url'), "\n";
