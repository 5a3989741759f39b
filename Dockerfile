# Nexus as an image for linux/amd64 and linux/arm64: the binary on a base that holds glibc and no shell.
#   docker build -t nexus .
#   docker buildx build --platform linux/amd64,linux/arm64 -t nexus .

ARG BUN=oven/bun:1.4.5-slim
# glibc 2.36, an account `nonroot` (65532); nothing else of it is used.
ARG BASE=gcr.io/distroless/base-nossl-debian12:nonroot@sha256:be40c00dfabd86576d92666e87e406714d5618342de1a0c213ad232de255172e

# Builds for any machine on the one it runs on.
FROM --platform=$BUILDPLATFORM ${BUN} AS build
ARG TARGETARCH=amd64
WORKDIR /src
COPY package.json bun.lock bunfig.toml ./
RUN bun install --frozen-lockfile --production --ignore-scripts --omit=optional
COPY tsconfig.json nexus.example.toml ./
COPY .ci/build.ts .ci/targets.ts ./.ci/
COPY src ./src
RUN bun .ci/build.ts --target "linux-$(echo "$TARGETARCH" | sed s/amd64/x64/)" --outfile /out/nexus

FROM ${BASE}
COPY --from=build /out/nexus /usr/bin/nexus
# nexus.toml is read from here when it is there: -v ./nexus.toml:/etc/nexus/nexus.toml:ro
WORKDIR /etc/nexus
# Loopback would be the container's own. Beyond it Nexus starts only with [[auth.keys]], or with
# NEXUS_SERVER_INSECURE=true, which lets everybody in who reaches the port.
ENV NEXUS_HOST=0.0.0.0
USER 65532:65532
EXPOSE 8000
STOPSIGNAL SIGTERM
# Healthy is a gateway that answers: a backend that is down is not mended by another start of Nexus.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/bin/nexus", "health", "--live"]
ENTRYPOINT ["/usr/bin/nexus"]
CMD ["serve"]
