# The server with its page and its browser package. It runs as uid 10001, and needs to write to /data and /tmp only.
#
#   docker build -t hookcast .
#   docker run -p 8000:8000 --read-only --tmpfs /tmp -v hookcast:/data \
#     -e FAL_KEY -e HOOKCAST_PUBLIC_URL -e HOOKCAST_API_KEYS -e HOOKCAST_TOKEN_SECRET hookcast
#
# For several platforms: docker buildx build --platform linux/amd64,linux/arm64 …
# The bases are pinned by the digests of their indexes, which list every platform. For a newer one,
# `docker buildx imagetools inspect python:3.13-slim-bookworm` shows the digest. `make test-image` builds on stand-ins for them.
ARG NODE_IMAGE=docker.io/library/node:22-bookworm-slim@sha256:48e4b67d85f87bd551df43704e24d252f56cc5f8e9718841aace50f19948f0f9
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm@sha256:2325bb286ec344af3e5898cc224b5844e2707ac6e26b1632516fd3edc84a5e26

# The page is the same for every platform, so it is built on the builder's own.
FROM --platform=$BUILDPLATFORM $NODE_IMAGE AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
COPY docs/access.md docs/protocol.md /src/docs/
RUN npm run build

FROM $PYTHON_IMAGE AS build
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
WORKDIR /src
ENV UV_PROJECT_ENVIRONMENT=/opt/hookcast UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_CACHE=1
COPY .ci/uv.txt ./
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --no-deps --require-hashes -r uv.txt
COPY pyproject.toml uv.lock ./
# Debugging information is two thirds of the native modules.
RUN /opt/uv/bin/uv sync --locked --no-default-groups --no-install-project --python python3 \
  && find /opt/hookcast -name '*.so' -exec strip --strip-debug {} +
COPY README.md LICENSE CHANGELOG.md ./
COPY server/ server/
COPY --from=page /src/server/hookcast/static/ server/hookcast/static/
# Bytecode that is not compared with its source: a copied file's time may change, and it could not be written anew.
RUN PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    /opt/uv/bin/uv sync --locked --no-default-groups --no-editable --compile-bytecode --python python3 \
  && rm /opt/hookcast/.lock

FROM $PYTHON_IMAGE
COPY --from=build /opt/hookcast /opt/hookcast
# No pip is needed any more. The base has no bytecode of the standard library: what runs here leaves what each start needs.
RUN find /usr \( -name pip -o -name 'pip[0-9-]*' -o -name ensurepip -o -name 'setuptools*' \) -prune -exec rm -r {} + \
  && groupadd --gid 10001 hookcast \
  && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /data --shell /usr/sbin/nologin hookcast \
  && install --directory --owner hookcast --group hookcast /data \
  && /opt/hookcast/bin/hookcast serve --help >/dev/null && /opt/hookcast/bin/python -c 'import hookcast.cli.launch' \
  && HOOKCAST_DATABASE_URL=sqlite:////tmp/hookcast.db /opt/hookcast/bin/hookcast migrate && rm /tmp/hookcast.db*
ENV PATH=/opt/hookcast/bin:$PATH PYTHONDONTWRITEBYTECODE=1
ENV HOOKCAST_HOST=0.0.0.0 HOOKCAST_DATABASE_URL=sqlite:////data/hookcast.db
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 CMD ["hookcast", "health"]
CMD ["hookcast", "serve"]

# Who publishes the image says which one it is.
ARG VERSION REVISION SOURCE
LABEL org.opencontainers.image.title="Hookcast" \
      org.opencontainers.image.description="fal.ai webhooks in, live job events out: SSE and polling for every watcher of a job" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.source=$SOURCE
