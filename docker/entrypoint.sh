#!/bin/sh
# Says in one sentence which volume cannot be written, then becomes the command line.
set -eu
for folder in /app/runs "$HOME"; do
    if ! [ -w "$folder" ]; then
        owner=$(stat --format %u:%g "$folder" 2>/dev/null || echo nobody)
        echo "error: user $(id -u):$(id -g) cannot write $folder, which belongs to $owner:" \
            "change its owner on the host, or start the container with --user and one who can write there" >&2
        exit 3
    fi
done
exec kolors-submit "$@"
