# syntax=docker/dockerfile:1
FROM rust:1.95-slim-bookworm AS build
# jemalloc is built from its C.
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    strip -o /pgprism "$(scripts/release)"

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin pgprism
COPY --from=build /pgprism /usr/local/bin/pgprism
COPY docker/healthcheck /usr/local/bin/pgprism-healthcheck
COPY config/pgprism.toml /etc/pgprism/pgprism.toml
# Loopback inside of a container reaches nobody. Who is let in is decided by the ports that are published.
ENV PGPRISM_LISTEN=0.0.0.0:6433
USER 10001
EXPOSE 6433 9433
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["pgprism-healthcheck"]
ENTRYPOINT ["pgprism"]
CMD ["serve"]
