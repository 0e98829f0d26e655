// Java by JNA: set P21_BASE_URL, P21_USERNAME and P21_PASSWORD, then
//
//     java -cp jna.jar -Djna.library.path=/usr/lib QuickStart.java
import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

public class QuickStart {
    public interface P21 extends Library {
        P21 INSTANCE = Native.load("p21auth", P21.class);
        int WITH_SCHEME = 4;

        int p21_token_get(Pointer client, int flags, int waitMs, PointerByReference token, PointerByReference err);
        int p21_ui_url(Pointer client, int flags, int waitMs, PointerByReference url, PointerByReference err);
        void p21_free(Pointer owned);
        String p21_error_message(Pointer error);
        String p21_error_hint(Pointer error);
        void p21_error_free(Pointer error);
    }

    interface Call {
        int with(PointerByReference out, PointerByReference err);
    }

    /** Copies an owned string and frees the library's; a failure becomes an exception with its hint. */
    static String ask(Call call) {
        PointerByReference out = new PointerByReference(), err = new PointerByReference();
        if (call.with(out, err) == 0) {
            String text = out.getValue().getString(0, "UTF-8");
            P21.INSTANCE.p21_free(out.getValue());
            return text;
        }
        Pointer error = err.getValue();
        String what = P21.INSTANCE.p21_error_message(error) + " " + P21.INSTANCE.p21_error_hint(error);
        P21.INSTANCE.p21_error_free(error);
        throw new IllegalStateException(what);
    }

    public static void main(String[] arguments) {
        // null is the default client, opened from the environment at first use.
        String header = ask((out, err) -> P21.INSTANCE.p21_token_get(null, P21.WITH_SCHEME, 0, out, err));
        System.out.println("Authorization: " + header.substring(0, 12) + "...");
        System.out.println("UI server: " + ask((out, err) -> P21.INSTANCE.p21_ui_url(null, 0, 0, out, err)));
    }
}
