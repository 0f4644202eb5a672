# docker run -p 8000:8000 --read-only --tmpfs /tmp -v hookcast:/data \
#   -e FAL_KEY -e HOOKCAST_PUBLIC_URL -e HOOKCAST_API_KEYS -e HOOKCAST_TOKEN_SECRET hookcast
FROM node:22-bookworm-slim AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:3.13-slim-bookworm AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY requirements/ requirements/
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
RUN python -m venv /opt/hookcast && /opt/hookcast/bin/pip install --no-cache-dir --require-hashes -r requirements/server.txt
COPY server/ server/
COPY --from=page /src/server/hookcast/static/ server/hookcast/static/
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
  && /opt/hookcast/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM python:3.13-slim-bookworm
COPY --from=wheel /opt/hookcast /opt/hookcast
RUN useradd --system --uid 10001 hookcast && mkdir /data && chown hookcast /data
USER hookcast
WORKDIR /data
VOLUME /data
ENV PATH=/opt/hookcast/bin:$PATH HOOKCAST_DATABASE_URL=sqlite:////data/hookcast.db HOOKCAST_HOST=0.0.0.0
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["hookcast", "serve"]
