# Sourced by image.sh and test.sh: docker, podman and buildah called in one way.

# Sets ENGINE to the first of the three that works here, unless it is set.
find_engine() {
  if [[ -z ${ENGINE:-} ]]; then
    if docker info >/dev/null 2>&1; then ENGINE=docker
    elif podman info >/dev/null 2>&1; then ENGINE=podman
    elif command -v buildah >/dev/null; then ENGINE=buildah
    else
      echo "image: no docker or podman that runs, and no buildah; install one (Debian, Ubuntu: apt install buildah)" >&2
      exit 2
    fi
  fi
}

# build_image TARGET TAG [OPTION…]
build_image() {
  local options=(--target "$1" --tag "$2" "${@:3}")
  if [[ -n ${BASE_IMAGE:-} ]]; then options+=(--build-arg "BASE_IMAGE=$BASE_IMAGE"); fi
  case $ENGINE in
    docker) DOCKER_BUILDKIT=1 docker build "${options[@]}" . ;;
    podman) podman build --layers "${options[@]}" . ;;
    buildah) buildah build --isolation chroot --layers "${options[@]}" . ;;
  esac
}

# run_image IMAGE [OPTION VALUE]… -- ARGUMENT…: the image's entrypoint, or `--entrypoint PROGRAM`, with the arguments.
run_image() {
  local image=$1 options=()
  shift
  while [[ $1 != -- ]]; do options+=("$1" "$2"); shift 2; done
  shift
  case $ENGINE in
    docker) docker run --rm "${options[@]}" "$image" "$@" ;;
    podman)
      if ((EUID)); then options+=(--userns keep-id); fi   # your files are yours in the container too
      podman run --rm "${options[@]}" "$image" "$@"
      ;;
    buildah) run_with_buildah "$image" "${options[@]}" -- "$@" ;;
  esac
}

# `buildah run` knows no entrypoint, no network of its own with chroot isolation, and mounts now a --volume, now the
# image's own volume of that place: so the container is told to forget its own. What a program writes just before its
# end may be lost, since the relay of its output is not waited for: so the end comes a second later. A subshell, for the
# trap.
run_with_buildah() (
  image=$1 options=() offline=()
  shift
  container=$(buildah from --pull-never "$image")
  trap 'buildah rm "$container" >/dev/null' EXIT
  mapfile -t entrypoint < <(
    buildah inspect --format '{{range .OCIv1.Config.Entrypoint}}{{println .}}{{end}}' "$container" | grep .
  )
  while [[ $1 != -- ]]; do
    case $1 in
      --network) offline=(unshare --net -- sh -c 'ip link set lo up && exec "$@"' sh) ;;
      --entrypoint) entrypoint=("$2") ;;
      --gpus | --name | --shm-size) ;;
      --volume) options+=("$1" "$2"); buildah config --volume "$(cut -d : -f 2 <<<"$2")-" "$container" ;;
      *) options+=("$1" "$2") ;;
    esac
    shift 2
  done
  shift
  "${offline[@]}" buildah run --isolation chroot "${options[@]}" "$container" -- \
    sh -c '"$@"; status=$?; sleep 1; exit $status' sh "${entrypoint[@]}" "$@"
)

# The digest by which a registry knows the image, or the engine's own where it came from none.
image_digest() {
  case $ENGINE in
    docker) docker image inspect --format '{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}' "$1" ;;
    podman) podman image inspect --format '{{.Digest}}' "$1" ;;
    buildah) buildah inspect --type image --format '{{.FromImageDigest}}' "$1" ;;
  esac | grep --only-matching 'sha256:[0-9a-f]*$'
}

remove_image() {
  case $ENGINE in
    docker | podman) "$ENGINE" image rm --force "$@" >/dev/null 2>&1 || true ;;
    buildah) buildah rmi --force "$@" >/dev/null 2>&1 || true ;;
  esac
}

# Size of all its layers, in bytes.
image_size() {
  case $ENGINE in
    docker | podman) "$ENGINE" image inspect --format '{{.Size}}' "$1" ;;
    buildah) run_image "$1" --user 0:0 --entrypoint du -- --summarize --bytes --one-file-system / | cut -f 1 ;;
  esac
}
