# sluice in a container: a build stage with npm, a C compiler and xz (the QUIC library is compiled
# from Debian's source package), and an image that holds the binary, the C library it is linked to,
# and a user.
#
#   docker build -t sluice .
#   docker run --read-only -p 8080:8080 -e SLUICE_BIND=0.0.0.0:8080 \
#     -e SLUICE_SERVERS=10.0.0.1:80,10.0.0.2:80 sluice
#   docker run --read-only -p 5432:5432 -v ./haproxy.cfg:/etc/sluice/haproxy.cfg:ro sluice \
#     -f /etc/sluice/haproxy.cfg
#
# `docker stop` ends it softly: listeners close, streams go on until they end or the engine's
# patience does. Its health is asked over the runtime socket, which is in the volume:
#
#   docker exec CONTAINER sluice ctl show stat
#
# scripts/container-check tries the final stage without a container engine.

FROM node:22-bookworm-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev xz-utils \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN ./scripts/build && ./scripts/container-root /image

FROM scratch
COPY --from=build /image/ /
USER 65532:65532
WORKDIR /
ENV SLUICE_STATS_SOCKET=/run/sluice/sluice.sock
VOLUME ["/run/sluice"]
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/bin/sluice", "ctl", "-t", "3", "show", "info"]
STOPSIGNAL SIGUSR1
ENTRYPOINT ["/usr/bin/sluice"]
