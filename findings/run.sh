#!/bin/sh
# Runs every finding; says which ones no longer hold.
cd "$(dirname "$0")" || exit 1
failed=
for script in *.sh; do
    [ "$script" = run.sh ] && continue
    echo "== $script"
    sh "$script" || failed="$failed $script"
done
[ -z "$failed" ] || { echo "no longer so, or not to be installed:$failed" >&2; exit 1; }
