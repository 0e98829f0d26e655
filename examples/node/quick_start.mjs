// Node.js by koffi: npm install koffi, set P21_BASE_URL, P21_USERNAME and P21_PASSWORD, then
//
//     P21AUTH_LIBRARY=/usr/lib/libp21auth.so.1 node quick_start.mjs
import koffi from "koffi";

const lib = koffi.load(process.env.P21AUTH_LIBRARY ?? "libp21auth.so.1");
const free = lib.func("void p21_free(void *)");
// An owned string: decoded, then wiped and freed by the library.
const owned = koffi.disposable("owned", "str", free);
const error = koffi.opaque("p21_error");
const tokenGet = lib.func("p21_token_get", "int32_t", [
  "void *", "uint32_t", "uint32_t", koffi.out(koffi.pointer(owned)), koffi.out(koffi.pointer(error, 2)),
]);
const uiUrl = lib.func("p21_ui_url", "int32_t", [
  "void *", "uint32_t", "uint32_t", koffi.out(koffi.pointer(owned)), koffi.out(koffi.pointer(error, 2)),
]);
const message = lib.func("str p21_error_message(p21_error *)");
const hint = lib.func("str p21_error_hint(p21_error *)");
const errorFree = lib.func("void p21_error_free(p21_error *)");

// null is the default client, opened from the environment. A call that may wait runs on a thread of koffi's pool.
function ask(call, flags = 0) {
  const [value, err] = [[null], [null]];
  return new Promise((resolve, reject) =>
    call.async(null, flags, 0, value, err, (failed, status) => {
      if (failed) return reject(failed);
      if (status === 0) return resolve(value[0]);
      const text = `${message(err[0])} ${hint(err[0])}`;
      errorFree(err[0]);
      reject(new Error(text));
    }));
}

const header = await ask(tokenGet, 4); // P21_WITH_SCHEME
console.log(`Authorization: ${header.slice(0, 12)}...`);
console.log(`UI server: ${await ask(uiUrl)}`);
