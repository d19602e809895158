#!/usr/bin/env bash
# `make image-test`: builds the image, runs it as a stranger would, and says the figures. Where only buildah is here it
# makes its own base with debootstrap (as root: apt install buildah debootstrap iproute2).
#
# AGAIN=1 builds a second time without a cache, compares both and says how long it took.
# SETTINGS='--set train.steps_per_epoch=20 --set gate.threshold=0' shortens the story.
# TESTS='-k story' are more arguments for pytest inside.
set -euo pipefail
cd "$(dirname "$0")/.."
source docker/engine.sh
find_engine

STRANGER=12345:12345   # a user that the image does not know
read -ra SUBMISSION <<<"submission stories/watercolor.yaml --base picturebook ${SETTINGS:-}"
work=$(mktemp -d)
export IMAGE=kolors-submit:image-test
trap clean EXIT

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'image-test: %s\n' "$*" >&2; exit 1; }
clean() {
  rm -rf "$work"
  remove_image "$IMAGE"-changed "$IMAGE"-again "$IMAGE"-source "$IMAGE"-suite
}
seconds() { echo $(($(date +%s) - $1)) s; }

# A small Debian that trusts what this machine trusts (a company's proxy, say).
make_base() {
  command -v debootstrap >/dev/null || fail 'no debootstrap; as root: apt install debootstrap iproute2'
  local container
  say 'base image: debootstrap bookworm'
  debootstrap --variant=minbase bookworm "$work/base" >/dev/null
  rm -rf "$work/base"/var/cache/apt/archives/*.deb "$work/base"/var/lib/apt/lists/*
  mkdir -p "$work/base/usr/local/share/ca-certificates"
  cp /etc/ssl/certs/ca-certificates.crt "$work/base/usr/local/share/ca-certificates/host.crt"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/base" / >/dev/null
  buildah commit --quiet "$container" "$1" >/dev/null
  buildah rm "$container" >/dev/null
  rm -rf "$work/base"
}

# as_stranger VOLUMES-FOLDER [OPTION VALUE]… -- ARGUMENT…. Threads that wait sleep: where other programs want the cores
# too, threads that spin until it is their turn take many times as long.
as_stranger() {
  local folder=$1 name
  shift
  for name in runs weights home; do
    mkdir -p "$folder/$name"
    chmod 1777 "$folder/$name"
  done
  run_image "$IMAGE" --user "$STRANGER" --network none --env OMP_WAIT_POLICY=PASSIVE \
    --volume "$folder/runs:/app/runs" --volume "$folder/weights:/app/weights" --volume "$folder/home:/app/home" "$@"
}

# The run folder's lock names the process; where it has a process space of its own the engine passes the signal on.
terminate() {
  local pid
  if [[ $ENGINE == buildah ]]; then
    pid=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$1/.lock")
    kill -TERM "$pid"
  else
    "$ENGINE" kill --signal TERM kolors-submit-image-test >/dev/null
  fi
}

if [[ $ENGINE == buildah && -z ${BASE_IMAGE:-} ]]; then
  BASE_IMAGE=localhost/kolors-submit-base:bookworm
  buildah images --quiet "$BASE_IMAGE" >/dev/null 2>&1 || make_base "$BASE_IMAGE"
  export BASE_IMAGE
fi

say "build with $ENGINE"
start=$(date +%s)
docker/image.sh build
built="$(seconds "$start") with what was cached"

say 'doctor, as a user without a name'
as_stranger "$work/doctor" -- doctor --offline

say 'a submission on the picture book, no network'
as_stranger "$work/whole" -- "${SUBMISSION[@]}"
lora=runs/watercolor/picturebook/train/lora.safetensors
environment=$work/whole/runs/watercolor/picturebook/bundle/environment.json
python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["image"]["packages_sha256"])' "$environment"

say 'data first; then SIGTERM while it trains, and on again'
as_stranger "$work/cut" -- data "${SUBMISSION[@]:1}"
run=$work/cut/runs/watercolor/picturebook
start=$(date +%s%N)
as_stranger "$work/cut" --name kolors-submit-image-test -- "${SUBMISSION[@]}" --set train.save_every=1 &
waiting=$!
until compgen -G "$run/train/checkpoints/*/step-*.ckpt" >/dev/null; do
  kill -0 "$waiting" 2>/dev/null || fail 'it ended before its first training step'
  sleep 0.1
done
first_step=$((($(date +%s%N) - start) / 1000000))
terminate "$run"
status=0
wait "$waiting" || status=$?
[[ $status == 3 ]] || fail "SIGTERM: exit status $status, not 3"
[[ ! -e $work/cut/$lora ]] || fail 'SIGTERM came too late to interrupt the training'
as_stranger "$work/cut" -- "${SUBMISSION[@]}" 2>&1 | tee "$work/on.log"
grep -q 'going on after step' "$work/on.log" || fail 'it did not go on from the checkpoint'
cmp "$work/whole/$lora" "$work/cut/$lora" || fail 'the LoRA of the interrupted run is another one'

say 'a volume that cannot be written'
mkdir --mode=0555 -p "$work/closed"
status=0
run_image "$IMAGE" --user "$STRANGER" --volume "$work/closed:/app/runs" -- --help 2>"$work/closed.log" || status=$?
cat "$work/closed.log"
[[ $status == 3 && $(grep -c '^error: user .* cannot write /app/runs' "$work/closed.log") == 1 ]] \
  || fail "exit status $status, not 3 with one sentence"

say 'no GPU where one is asked for'
status=0
as_stranger "$work/doctor" -- "${SUBMISSION[@]}" --device cuda || status=$?
[[ $status == 2 ]] || fail "exit status $status, not 2"

say 'the bill of materials, and what must not be in an image'
run_image "$IMAGE" --entrypoint sh -- -c 'head -3 image/licences.csv; wc -l < image/licences.csv; ls image'
run_image "$IMAGE" --user 0:0 --entrypoint sh -- -c '[ ! -e .git ] && [ -z "$(ls -A /root/.cache/uv 2>/dev/null)" ]' \
  || fail 'there is a .git or a uv cache in the image'

say 'one package changed is another image'
change='echo "# changed" >> "$(python -c "import click; print(click.__file__)")"'
printf 'FROM %s AS changed\nUSER 0:0\nRUN %s\n' "$IMAGE" "$change" >"$work/Changed"
build_image changed "$IMAGE-changed" --file "$work/Changed"
if docker/image.sh compare "$IMAGE" "$IMAGE-changed"; then fail 'compare did not see the change'; fi

if [[ -n ${AGAIN:-} ]]; then
  say 'a second build from the same commit'
  start=$(date +%s)
  docker/image.sh build image "$IMAGE-again" --no-cache
  built=$(seconds "$start")
  docker/image.sh compare "$IMAGE" "$IMAGE-again" || fail 'two builds of one commit differ'
fi

say 'a rebuild after a change in the source alone'
mkdir "$work/context"
cp -r .dockerignore Dockerfile LICENSE README.md docker kolors_submit pyproject.toml stories uv.lock "$work/context"
echo '# changed' >>"$work/context/kolors_submit/errors.py"
start=$(date +%s)
"$work/context/docker/image.sh" build image "$IMAGE-source"
rebuilt=$(seconds "$start")

image_bytes=$(image_size "$IMAGE")
environment_bytes=$(run_image "$IMAGE" --entrypoint du -- -sb /app/.venv | cut -f 1)
say 'figures'
printf 'image %d MB, its environment %d MB\nbuild %s, rebuild %s\nfrom run to the first training step %d ms\n' \
  $((image_bytes / 1000000)) $((environment_bytes / 1000000)) "$built" "$rebuilt" "$first_step"

say 'the test suite inside'
docker/image.sh build test "$IMAGE-suite"
read -ra tests <<<"${TESTS:-}"
mkdir -p "$work/tmp" && chmod 1777 "$work/tmp"
run_image "$IMAGE-suite" --user "$STRANGER" --network none --env OMP_NUM_THREADS=1 --volume "$work/tmp:/tmp" -- \
  -m 'not slow and not gpu' --numprocesses auto --maxprocesses 4 --dist loadfile "${tests[@]}"
