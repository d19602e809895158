#!/usr/bin/env bash
# The image's life, for make: docker/image.sh build | run ARGUMENT… | push REGISTRY/NAME:TAG | compare IMAGE IMAGE
#
# ENGINE=docker|podman|buildah chooses an engine, BASE_IMAGE a base, IMAGE another name than kolors-submit:VERSION.
set -euo pipefail
cd "$(dirname "$0")/.."
source docker/engine.sh

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
image=${IMAGE:-kolors-submit:$version}

build() {
  local target=${1:-image} name=${2:-$image}
  build_image "$target" "$name" \
    --build-arg "VERSION=$version" \
    --build-arg "REVISION=$(git describe --always --abbrev=40 --dirty 2>/dev/null || echo unknown)" \
    --build-arg "LOCK_SHA256=$(sha256sum uv.lock | cut -d ' ' -f 1)" \
    "${@:3}"
}

# With your STORIES, RUNS and weights, as the user you are. Hub caches and compiled kernels are kept in CACHE.
run() {
  local runs=${RUNS:-runs} weights=${KOLORS_SUBMIT_WEIGHTS:-weights} cache=${CACHE:-$HOME/.cache/kolors-submit}
  local options=(
    --user "$(id -u):$(id -g)" --shm-size 1g
    --volume "$(realpath "${STORIES:-stories}"):/app/stories:ro"
    --env "KOLORS_SUBMIT_IMAGE_DIGEST=$(image_digest "$image")"
  )
  mkdir -p "$runs" "$weights" "$cache"
  options+=(--volume "$(realpath "$runs"):/app/runs" --volume "$(realpath "$weights"):/app/weights")
  options+=(--volume "$(realpath "$cache"):/app/home")
  local variable
  for variable in MODELSCOPE_API_TOKEN MODELSCOPE_ENDPOINT HF_TOKEN HF_ENDPOINT \
    DASHSCOPE_API_KEY OPENAI_API_KEY OPENAI_BASE_URL OPENAI_MODEL; do
    if [[ -n ${!variable:-} ]]; then options+=(--env "$variable"); fi
  done
  if command -v nvidia-smi >/dev/null; then
    if [[ $ENGINE == podman ]]; then options+=(--device nvidia.com/gpu=all); else options+=(--gpus all); fi
  fi
  if [[ -t 0 && -t 2 && $ENGINE != buildah ]]; then options+=(--interactive=true --tty=true); fi
  run_image "$image" "${options[@]}" -- "$@"
}

created() { "$ENGINE" image inspect --format '{{.Created}}' "$1" 2>/dev/null || true; }

# What was built under the very name since is pushed as it is.
push() {
  case $ENGINE in
    docker | podman)
      if [[ ! $(created "$1") > $(created "$image") ]]; then "$ENGINE" tag "$image" "$1"; fi
      "$ENGINE" push "$1"
      ;;
    buildah) buildah push "$image" "docker://$1" ;;
  esac
}

# Both digests of each image's packages and source; status 1 where they differ.
compare() {
  local listings one status=0
  listings=$(mktemp -d)
  for one in "$1" "$2"; do
    run_image "$one" --entrypoint /app/docker/listing.sh -- .venv/lib kolors_submit uv.lock >"$listings/${one//[\/:]/_}"
  done
  (cd "$listings" && python3 "$OLDPWD/docker/compare.py" "${1//[\/:]/_}" "${2//[\/:]/_}") || status=$?
  rm -r "$listings"
  return $status
}

find_engine
case ${1:-} in
  build | run | push | compare) "$@" ;;
  *) sed -n '2s/^# //p' "$0" >&2; exit 2 ;;
esac
