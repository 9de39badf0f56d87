#!/bin/sh
# Says at once what is missing on this machine, with the line that installs it or the megabytes that will be
# fetched. Changes nothing.
# GO names the go command. Exits with 1 where something is missing that nothing else can install.
go=${GO:-go}
wanted=$(sed -n 's/^go //p' go.mod)
failed=0

missing() { # what, how to get it
	echo "missing: $1" >&2
	echo "         $2" >&2
	failed=1
}

# older A B: version A comes before version B.
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

if ! command -v "$go" >/dev/null; then
	missing "Go $wanted or newer" "apt-get install golang-go     (an older Go, from 1.21 on, fetches $wanted by itself)"
else
	# Asked in this module, a Go that fetches newer ones answers with the one that it would use; one that cannot
	# has said why.
	version=$("$go" env GOVERSION) || version=$(cd / && "$go" env GOVERSION)
	version=$(echo "$version" | sed 's/^go//; s/[^0-9.].*//')
	if older "$version" "$wanted"; then
		how="see https://go.dev/doc/install"
		if [ "$GOTOOLCHAIN" = local ] && ! older "$version" 1.21; then
			how="GOTOOLCHAIN=auto make ${1:-demo}     (fetches it)"
		fi
		missing "Go $wanted or newer: this is $version" "$how"
	fi
	cc=$(cd / && "$go" env CC)
	if ! command -v "${cc%% *}" >/dev/null; then
		missing "a C compiler (${cc:-gcc}), to talk to ONNX Runtime" "apt-get install gcc libc6-dev"
	fi
fi

# What will be fetched, and by what.
if [ $failed = 0 ] && ! GOPROXY=off "$go" list -deps ./... >/dev/null 2>&1; then
	echo "Go modules are missing: go fetches them (130 MB in all, once)."
fi
# Only a note: ONNX Runtime may be found in other places, too. `onnx-zip setup` looks there and decides.
cache=${ONNX_ZIP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/onnx-zip}/onnxruntime
if [ -z "$ONNXRUNTIME_LIB" ] && ! ls "$cache"/*/libonnxruntime* >/dev/null 2>&1; then
	if command -v npm >/dev/null; then
		echo "ONNX Runtime is not in $cache: unless it is found elsewhere, npm fetches it (86 MB, once)."
	elif command -v pip3 >/dev/null || command -v pip >/dev/null; then
		echo "ONNX Runtime is not in $cache: unless it is found elsewhere, pip fetches it (17 MB, once)."
	else
		echo "note: ONNX Runtime is not in $cache, and npm, which would fetch it (86 MB), is missing:" >&2
		echo "         apt-get install npm" >&2
	fi
fi
exit $failed
