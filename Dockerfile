# syntax=docker/dockerfile:1
FROM rust:1-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin nexo && cp target/dist/nexo /nexo \
    && mkdir -m 700 /state

# Contains only the C library, certificates and the binary.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /nexo /usr/bin/nexo
COPY --from=build --chown=nonroot:nonroot /state /var/lib/nexo
WORKDIR /var/lib/nexo
USER nonroot
ENV NEXO_SERVER__LISTEN=0.0.0.0:8080 NEXO_METRICS__LISTEN=0.0.0.0:9464
VOLUME /var/lib/nexo
EXPOSE 8080 9464 5062/udp 20000-20063/udp
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/nexo"]
CMD ["serve"]
