# The image of Vultus: one program, a user without rights, and a volume for the data.
#
#   docker build -t vultus .
#   docker run -d --name vultus --read-only --tmpfs /tmp -p 8040:8040 -v vultus:/data vultus
#
# `scripts/packaging.sh` carries these steps out without a daemon, in a clean root: change both together.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN packaging/build.sh

# The program needs libc and libgcc alone; a shell and coreutils come along for whoever looks inside.
FROM debian:bookworm-slim
COPY --from=build /source/target/packaging/vultus /usr/local/bin/vultus
COPY LICENSE /usr/share/doc/vultus/LICENSE
COPY data/models/README.md /usr/share/doc/vultus/models.md

# A number, so that Kubernetes sees that it is not root (`runAsNonRoot`).
RUN install -d -m 0700 -o 65532 -g 65532 /data
USER 65532:65532
VOLUME /data
WORKDIR /data

# Whoever can reach the container reaches the service: a container has no other use. Clients elsewhere
# need `VULTUS_PUBLIC_URL`, which stands in every token.
ENV VULTUS_DATA_DIR=/data \
    VULTUS_LISTEN=0.0.0.0:8040
EXPOSE 8040

# It stops on SIGTERM, after the requests at hand, `stop-wait-seconds` (8) later at most.
STOPSIGNAL SIGTERM
# Where it speaks TLS, it answers plain HTTP with 400, and so is alive, too.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8040 && printf 'GET /livez HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && head -1 <&3 | grep -qE ' (200|400) '"]
ENTRYPOINT ["vultus"]
CMD ["serve"]
