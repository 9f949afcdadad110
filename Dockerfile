# docker build --build-arg BUILD_REVISION="$(git rev-parse --short HEAD)" --tag firedrill .
# Needs no BuildKit.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src

# The dependencies alone, so that a change of the sources does not build them again. Tests and benchmarks are not
# copied, so their sections leave the manifest.
COPY Cargo.toml Cargo.lock ./
RUN awk '/^\[\[(test|bench|example)\]\]/ { skip = 1; next } /^\[/ { skip = 0 } !skip' Cargo.toml > Cargo.tmp \
 && mv Cargo.tmp Cargo.toml \
 && mkdir src \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs \
 && cargo build --release --locked --bin firedrill \
 && rm -r src

ARG BUILD_REVISION=unknown
COPY migrations migrations
COPY src src
# cargo goes by times, and those of the sources may be older than those of the stand-ins above.
RUN touch src/main.rs src/lib.rs \
 && cargo build --release --locked --bin firedrill

FROM debian:bookworm-slim
ARG BUILD_REVISION=unknown
LABEL org.opencontainers.image.title="firedrill" \
      org.opencontainers.image.description="Watches backups and exports their state to Prometheus" \
      org.opencontainers.image.source="https://github.com/firedrill-dev/firedrill" \
      org.opencontainers.image.documentation="https://github.com/firedrill-dev/firedrill#readme" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.revision="$BUILD_REVISION"

RUN groupadd --gid 10042 firedrill \
 && useradd --uid 10042 --gid firedrill --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin firedrill \
 && mkdir /etc/firedrill \
 # A volume that is mounted here first belongs to this user.
 && install --directory --owner=firedrill --group=firedrill --mode=0750 /var/lib/firedrill
# The slim image trusts nobody; Telegram, Slack and mail servers are reached by TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/firedrill /usr/bin/firedrill

USER 10042:10042
EXPOSE 10042
# The image has no HTTP client; bash can ask. 401 is an answer too: basic auth is on. With TLS on, this check must be
# replaced or switched off.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/10042 && printf 'GET /-/healthy HTTP/1.0\\r\\n\\r\\n' >&3 && read -r -t 3 _ code _ <&3 && [[ $code == 200 || $code == 401 ]]"]
ENTRYPOINT ["firedrill"]
CMD ["serve", "--config.file=/etc/firedrill/firedrill.toml"]
