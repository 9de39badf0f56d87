#!/bin/sh
# readme.sh FILE: puts what the demo has printed between the marks in README.md.
set -e
awk 'FNR == NR { if (/^Your own pair/) end = 1; if (!end) text = text ($0 == "" ? "" : "    " $0) "\n"; next }
	/^<!-- \/demo/ { inside = 0 }
	!inside
	/^<!-- demo/ { printf "\n%s", text; inside = 1 }' "$1" README.md >README.md.tmp
mv README.md.tmp README.md
