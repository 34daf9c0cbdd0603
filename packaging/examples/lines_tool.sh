#!/bin/sh
# A shell tool as an agent, profile "generic-job": it is run once for each message.
#
# The message comes on stdin and ends there. What the tool prints is the answer,
# as it is printed; its exit code is the turn's. Files the user sent since the
# last message are named in $AMURG_FILES, one on each line.
#
#   count            lines, words and bytes of what follows, and of each file
#   sort             the lines that follow, sorted
#   anything else    is told what there is, with exit code 64
set -eu

read -r command || true

case $command in
count)
    wc
    printf '%s\n' "${AMURG_FILES:-}" | while IFS= read -r file; do
        [ -z "$file" ] || printf '%s %s\n' "$(wc <"$file")" "${file##*/}"
    done
    ;;
sort) sort ;;
*)
    echo "say count or sort in the first line, then the text" >&2
    exit 64
    ;;
esac
