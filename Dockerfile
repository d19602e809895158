# The image of kolors_submit: a CUDA base, the packages of uv.lock, the source. docker/README.md says how to use it.
#
# The default base fits the locked torch (2.10, CUDA 12.8; its wheels bring CUDA's libraries themselves). Any Debian or
# Ubuntu with Python 3.11 or 3.12 serves as well: make image BASE_IMAGE=debian:bookworm-slim
ARG BASE_IMAGE=nvidia/cuda:12.8.1-base-ubuntu24.04
ARG UV_VERSION=0.13.8

# ---------------------------------------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS app

# gcc, the C headers and Python.h stay in the image: Triton compiles while it runs. The versions are the base's own.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates fonts-wqy-microhei gcc libc6-dev python3 python3-dev python3-venv tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log

WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH \
    LANG=C.UTF-8 \
    UV_PYTHON=/usr/bin/python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy

# The packages, before the source, so that a change in the source installs none of them again. One process compiles the
# bytecode, with hashes instead of timestamps: so it is the same in every build, which uv's own compiling is not.
# What fetches uv is gone with its layer (older buildahs cannot mount it from a stage that is cached).
COPY pyproject.toml uv.lock ./
COPY docker/listing.sh docker/
ARG UV_VERSION
RUN --mount=type=cache,target=/root/.cache/uv \
    python3 -m venv /tmp/tools \
    && /tmp/tools/bin/pip install --quiet --no-cache-dir "uv==${UV_VERSION}" \
    && /tmp/tools/bin/uv sync --locked --no-dev --no-install-project --no-compile-bytecode \
    && rm -r /tmp/tools \
    && PYTHONHASHSEED=0 python3 -S -m compileall -q --invalidation-mode unchecked-hash .venv/lib \
    && mkdir image \
    && docker/listing.sh .venv/lib/python3.*/site-packages > image/packages.sha256

COPY README.md LICENSE ./
COPY stories stories
COPY docker docker
COPY kolors_submit kolors_submit
# uv is among the locked packages too. The label says which lock this is, so it has to be this one.
ARG LOCK_SHA256=unknown
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-compile-bytecode \
    && PYTHONHASHSEED=0 python3 -S -m compileall -q --invalidation-mode checked-hash kolors_submit \
    && docker/listing.sh kolors_submit uv.lock > image/source.sha256 \
    && uv export --quiet --frozen --no-dev --no-emit-project --format cyclonedx1.5 > /tmp/lock.cdx.json \
    && python3 docker/sbom.py /tmp/lock.cdx.json image \
    && rm /tmp/lock.cdx.json \
    && if [ "${LOCK_SHA256}" != unknown ]; then [ "$(sha256sum < uv.lock)" = "${LOCK_SHA256}  -" ]; fi \
    && mkdir --mode=1777 home runs weights reproductions

# Whoever runs it, by --user or by a cluster's policy, has this home and this name: no entry in /etc/passwd is needed.
# A driver that is too old is explained by the program, not refused by NVIDIA's container runtime.
ENV HOME=/app/home \
    USER=kolors \
    LOGNAME=kolors \
    TORCHINDUCTOR_CACHE_DIR=/app/home/.cache/torchinductor \
    TRITON_CACHE_DIR=/app/home/.cache/triton \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_DISABLE_REQUIRE=1

# ---------------------------------------------------------------------------------------------------------------------
# The same with the tests and their tools, for `make image-test`.
FROM app AS test
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv HOME=/root uv sync --locked --no-compile-bytecode
USER 1000:1000
ENTRYPOINT ["tini", "-s", "--", "pytest", "-p", "no:cacheprovider"]
CMD ["-m", "not slow and not gpu"]

# ---------------------------------------------------------------------------------------------------------------------
FROM app AS image
ARG LOCK_SHA256=unknown
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kolors_submit" \
      org.opencontainers.image.description="From a story file to a reproducible Kolors LoRA submission" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      io.github.kolors-submit.lock.sha256="${LOCK_SHA256}"
VOLUME ["/app/home", "/app/runs", "/app/weights"]
USER 1000:1000
ENTRYPOINT ["tini", "-s", "--", "/app/docker/entrypoint.sh"]
CMD ["--help"]
