#!/bin/sh
# Whether a test may mount file systems that only its own processes see.
own=-rm
[ "$(id -u)" != 0 ] || own=-m
exec unshare "$own" mount -t tmpfs tmpfs /mnt 2>/dev/null
