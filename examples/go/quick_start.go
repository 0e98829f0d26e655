// Go by cgo: set P21_BASE_URL, P21_USERNAME and P21_PASSWORD, then
//
//	CGO_CFLAGS=-I/usr/include CGO_LDFLAGS=-L/usr/lib go run quick_start.go
package main

/*
#cgo LDFLAGS: -lp21auth
#include <p21auth.h>
*/
import "C"

import (
	"fmt"
	"os"
	"unsafe"
)

// failure copies an error with its hint and frees it.
func failure(err *C.p21_error) error {
	defer C.p21_error_free(err)
	return fmt.Errorf("%s %s", C.GoString(C.p21_error_message(err)), C.GoString(C.p21_error_hint(err)))
}

// token returns the value of the Authorization header; nil is the default client, opened from the environment.
func token() (string, error) {
	var text *C.char
	var err *C.p21_error
	if C.p21_token_get(nil, C.P21_WITH_SCHEME, 0, &text, &err) != C.P21_OK {
		return "", failure(err)
	}
	defer C.p21_free(unsafe.Pointer(text))
	return C.GoString(text), nil
}

func uiURL() (string, error) {
	var text *C.char
	var err *C.p21_error
	if C.p21_ui_url(nil, 0, 0, &text, &err) != C.P21_OK {
		return "", failure(err)
	}
	defer C.p21_free(unsafe.Pointer(text))
	return C.GoString(text), nil
}

func main() {
	header, err := token()
	if err == nil {
		fmt.Printf("Authorization: %s...\n", header[:12])
		var url string
		if url, err = uiURL(); err == nil {
			fmt.Println("UI server:", url)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
