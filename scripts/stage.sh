#!/usr/bin/env bash
# Lays out what a package installs below a directory.
#   scripts/stage.sh DIRECTORY TARGET [debian|rpm]
# The binary is target/dist/amurg-runtime-VERSION-TARGET (make static TARGET=…).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

directory=$1 target=$2 flavour=${3:-debian}
binary=target/dist/amurg-runtime-$(version)-$target
[ -x "$binary" ] || missing "$binary" "make static TARGET=$target"
case $flavour in
debian) units=lib/systemd/system zsh=usr/share/zsh/vendor-completions fish=usr/share/fish/vendor_completions.d ;;
rpm) units=usr/lib/systemd/system zsh=usr/share/zsh/site-functions fish=usr/share/fish/vendor_completions.d ;;
*) say "unknown flavour $flavour" && exit 64 ;;
esac

put() { # put MODE FILE PATH
    install -D -m "$1" "$2" "$directory/$3"
}

put 0755 "$binary" usr/bin/amurg-runtime
put 0644 packaging/systemd/amurg-runtime.service "$units/amurg-runtime.service"
put 0644 packaging/systemd/amurg-runtime@.service "$units/amurg-runtime@.service"
put 0640 packaging/config.json etc/amurg/config.json
chmod 0750 "$directory/etc/amurg"
if [ "$flavour" = rpm ]; then
    put 0644 packaging/systemd/amurg.sysusers usr/lib/sysusers.d/amurg.conf
    put 0644 packaging/systemd/amurg.tmpfiles usr/lib/tmpfiles.d/amurg.conf
fi

# Both are made by the program itself, of its own commands.
program=$(runnable)
man=$directory/usr/share/man/man1
mkdir -p "$man" "$directory/usr/share/bash-completion/completions" "$directory/$zsh" "$directory/$fish"
"$program" man >"$man/amurg-runtime.1"
gzip -9nf "$man/amurg-runtime.1"
"$program" completions bash >"$directory/usr/share/bash-completion/completions/amurg-runtime"
"$program" completions zsh >"$directory/$zsh/_amurg-runtime"
"$program" completions fish >"$directory/$fish/amurg-runtime.fish"

doc=usr/share/doc/amurg-runtime
put 0644 README.md "$doc/README.md"
put 0644 CHANGELOG.md "$doc/CHANGELOG.md"
put 0644 config.example.json "$doc/examples/config.json"
put 0644 packaging/systemd/README.md "$doc/systemd.md"
put 0644 packaging/monitoring/README.md "$doc/monitoring.md"
for example in packaging/examples/*; do
    case $example in *.py | *.sh) mode=0755 ;; *) mode=0644 ;; esac
    put $mode "$example" "$doc/examples/agents/${example##*/}"
done
