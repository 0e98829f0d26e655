#!/usr/bin/env bash
# Debian packages from what tools/dist/stage.sh staged: libp21auth1, libp21auth-dev and p21auth, into the folder OUT.
#
#   tools/dist/deb.sh OUT        P21AUTH_STAGE is another tree; P21AUTH_MAINTAINER is who answers for the packages
#
# Symbols and dependencies come from dpkg-gensymbols and dpkg-shlibdeps, so programs that link the library depend on it by
# themselves. SOURCE_DATE_EPOCH is the time of every file.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/dist/common.sh
. tools/dist/common.sh
out=$(realpath "${1:?the folder for the packages}")
stage=$(realpath "${P21AUTH_STAGE:-$(staged "$host")}")
need dpkg-gensymbols dpkg-dev
maintainer=${P21AUTH_MAINTAINER:-libp21auth maintainers <libp21auth@users.noreply.github.com>}
release=$version-1
triple=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
date_files

work=$dist/deb
rm -rf "$work"
mkdir -p "$work/debian"
fill packaging/debian/control.in "$work/debian/control"
sed -i "s|@MAINTAINER@|$maintainer|" "$work/debian/control"
cat >"$work/debian/changelog" <<END
libp21auth ($release) unstable; urgency=medium

  * Release $version; see the changelog of libp21auth.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
cd "$work"

# What each package must have, in the folder that it is made of.
root=
begin() { # PACKAGE
    root=debian/$1
    local doc=$root/usr/share/doc/$1
    mkdir -p "$root/DEBIAN" "$doc"
    {
        sed "s/@PACKAGE@/$1/" "$OLDPWD/packaging/debian/copyright"
        sed 's/^$/./; s/^/ /' "$OLDPWD/LICENSE-MIT"
    } >"$doc/copyright"
    gzip -9n <debian/changelog >"$doc/changelog.Debian.gz"
    gzip -9n <"$stage/share/doc/libp21auth/CHANGELOG.md" >"$doc/changelog.gz"
    for notices in THIRD-PARTY-NOTICES.md RUST-STANDARD-LIBRARY.html ZIG-LICENSE; do
        [ ! -f "$stage/share/doc/libp21auth/$notices" ] || put 644 "usr/share/doc/$1" "$stage/share/doc/libp21auth/$notices"
    done
}
put() { # MODE FOLDER FILE…
    mkdir -p "$root/$2"
    install -m "$1" -t "$root/$2" "${@:3}"
}
end() { # PACKAGE
    (cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    dpkg-gencontrol -p"$1" -P"$root" -T"debian/$1.substvars"
    find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$out" >/dev/null
}

begin libp21auth1
shared=usr/lib/$triple/libp21auth.so.$abi.$version
put 644 "usr/lib/$triple" "$stage/lib/libp21auth.so.$abi.$version"
ln -s "libp21auth.so.$abi.$version" "$root/usr/lib/$triple/libp21auth.so.$abi"
put 644 usr/share/doc/libp21auth1 "$stage"/share/doc/libp21auth/{README.md,SECURITY.md}
# It prints what is new, which is all of it.
dpkg-gensymbols -q -plibp21auth1 -v"$version" -P"$root" -O"$root/DEBIAN/symbols" -e"$root/$shared" >/dev/null
echo "libp21auth $abi libp21auth1 (>= $version)" >"$root/DEBIAN/shlibs"
echo "activate-noawait ldconfig" >"$root/DEBIAN/triggers"
dpkg-shlibdeps -xlibp21auth1 -Tdebian/libp21auth1.substvars "$root/$shared"
end libp21auth1

begin libp21auth-dev
put 644 usr/include "$stage"/include/*
put 644 "usr/lib/$triple" "$stage/lib/libp21auth.a"
ln -s "libp21auth.so.$abi" "$root/usr/lib/$triple/libp21auth.so"
put 644 "usr/lib/$triple/pkgconfig" "$stage"/lib/pkgconfig/*
put 644 "usr/lib/$triple/cmake/p21auth" "$stage"/lib/cmake/p21auth/*
point "$root" /usr "/usr/lib/$triple" /usr/include
mkdir -p "$root/usr/share/doc/libp21auth-dev"
cp -R "$stage/share/doc/libp21auth/docs" "$root/usr/share/doc/libp21auth-dev/"
: >debian/libp21auth-dev.substvars
end libp21auth-dev

begin p21auth
put 755 usr/bin "$stage/bin/p21auth"
for page in "$stage"/share/man/man1/*.1; do
    mkdir -p "$root/usr/share/man/man1"
    gzip -9n <"$page" >"$root/usr/share/man/man1/$(basename "$page").gz"
done
put 644 usr/share/bash-completion/completions "$stage/share/bash-completion/completions/p21auth"
put 644 usr/share/zsh/vendor-completions "$stage/share/zsh/site-functions/_p21auth"
put 644 usr/share/fish/vendor_completions.d "$stage/share/fish/vendor_completions.d/p21auth.fish"
put 644 usr/share/doc/p21auth/examples "$stage/share/powershell/completions/p21auth.ps1"
dpkg-shlibdeps -Tdebian/p21auth.substvars "$root/usr/bin/p21auth"
end p21auth
step "Debian packages in $out: $(cd "$out" && echo *.deb)"
