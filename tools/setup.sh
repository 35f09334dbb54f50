#!/bin/sh
# Find a Python that is new enough and let it bring .venv in line with a lock file.
#
#     tools/setup.sh PYTHON LOCK [--chosen]
#
# PYTHON comes first; unless it was --chosen by somebody, the other usual names are tried after it.
# Exit codes: those of tools/environment.py; 2 when no Python is new enough.

python=$1
lock=$2
chosen=$3

others='python3.13 python3.12 python3.11 python3.14'
[ -z "$chosen" ] || others=
for name in "$python" $others; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        exec "$name" tools/environment.py "$lock" $chosen
    fi
done

if version=$("$python" -c 'import sys; print("%s.%s.%s" % sys.version_info[:3])' 2>/dev/null); then
    found="$(command -v "$python") is Python $version"
else
    found="no $python found"
fi
echo "setup: $found; Python 3.11 or newer is needed: install one, or name one with make PYTHON=..." >&2
exit 2
