#!/usr/bin/env bash
# Pins every dependency with hashes and without index addresses, so that each client uses the index it is configured for.
# (A uv.lock would record those addresses; see CONTRIBUTING.md.)
set -euo pipefail
cd "$(dirname "$0")"
UV=${UV:-uv}
common=(--quiet --python-version 3.11 --no-emit-index-url --generate-hashes --custom-compile-command "make lock")
# The image with most in it first; the others agree with it wherever they overlap.
"$UV" pip compile "${common[@]}" "$@" --python-platform x86_64-manylinux_2_28 examples.in -o examples.txt
for name in runtime bench operator; do
    "$UV" pip compile "${common[@]}" "$@" --python-platform x86_64-manylinux_2_28 "$name.in" -c examples.txt -o "$name.txt"
done
"$UV" pip compile "${common[@]}" "$@" --universal dev.in --group ../pyproject.toml:dev -c examples.txt -o dev.txt
# Not held to the others: its Prefect is another.
"$UV" pip compile "${common[@]}" "$@" --universal oldest.in -o oldest.txt
