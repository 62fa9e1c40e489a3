# logsink's image: small, not root, works on a read-only root file system, compiles nothing when it starts.
#
#   docker build -t logsink .
#   docker run -d --name logsink --read-only -p 5514:5514 -p 5514:5514/udp -p 2514:2514 -p 127.0.0.1:9514:9514 \
#       -e LOGSINK_STORE=s3://my-logs/prod -e AWS_REGION=eu-central-1 --stop-timeout 90 logsink
#
# Without LOGSINK_STORE the store is /var/lib/logsink/store, in the volume. Settings: environment, or a file of your own over
# /etc/logsink.toml. `docker stop` must leave time to drain (receive.drain_timeout), hence --stop-timeout.
#
# Of the extras it has `sign` and `tls`, which share a package of 17 MB. Build with --build-arg EXTRAS=sign,tls,sql for
# `logsink sql`, too (67 MB more), or with spark for `--connect`.

ARG PYTHON=3.12-slim

FROM python:${PYTHON} AS build
ARG EXTRAS=sign,tls
# Machine code for any processor of this architecture, so that what is cached here is used everywhere.
ENV NUMBA_CPU_NAME=generic
WORKDIR /build
RUN python -m venv /opt/logsink
COPY pyproject.toml constraints.txt README.md ./
COPY logsink ./logsink
RUN /opt/logsink/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[$EXTRAS]" \
    && /opt/logsink/bin/pip uninstall -y pip \
    && /opt/logsink/bin/python -P -m logsink.warm

FROM python:${PYTHON}
ENV NUMBA_CPU_NAME=generic \
    PATH=/opt/logsink/bin:$PATH \
    LOGSINK_CONFIG=/etc/logsink.toml
RUN groupadd --gid 10514 logsink \
    && useradd --uid 10514 --gid 10514 --home-dir /var/lib/logsink --create-home --shell /usr/sbin/nologin logsink
COPY --from=build /opt/logsink /opt/logsink
COPY container.toml /etc/logsink.toml
USER 10514:10514
VOLUME /var/lib/logsink
WORKDIR /var/lib/logsink
EXPOSE 5514/tcp 5514/udp 2514/tcp 9514/tcp
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9514/healthz', timeout=4)"]
ENTRYPOINT ["logsink"]
CMD ["serve", "--log-format", "json"]
