#!/bin/sh
# The SHA-256 and path of every file below the folders named, in the order of the paths: what `sha256sum --check` reads.
# Left out is the project's own entry in site-packages, which holds the time of its installation; its code is listed.
set -eu
find "$@" -type f ! -path '*/site-packages/kolors_submit-*' ! -name '_editable_impl_kolors_submit.*' -print0 \
    | LC_ALL=C sort --zero-terminated | xargs --null sha256sum
