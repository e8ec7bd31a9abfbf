# The ambassador alone: no environments, no credentials, no defaults of one place. They are mounted.
#
#   docker build --tag dbambassador .
#   docker run --read-only --cap-drop ALL --env DBAMBASSADOR_PLATFORM=compose \
#       --volume "$PWD/environments:/etc/dbambassador/environments:ro" dbambassador

FROM docker.io/library/python:3.11-slim AS build
WORKDIR /source
COPY LICENSE README.md pyproject.toml ./
COPY dbambassador dbambassador
# The base image's pip installs into it, so that pip itself is no part of it. Byte code is compiled here, once
# and for good: where it runs, the file system is read-only.
RUN python -m venv --without-pip /opt/dbambassador \
 && python -m pip --python /opt/dbambassador/bin/python install --no-cache-dir --no-compile . \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/dbambassador/lib \
 && mkdir /source/sockets

FROM docker.io/library/python:3.11-slim
COPY --from=build /opt/dbambassador /opt/dbambassador
# For unix sockets: a new named volume that is mounted here takes the directory's owner.
COPY --from=build --chown=65532:65532 /source/sockets /run/dbambassador
ENV PATH=/opt/dbambassador/bin:$PATH \
    DBAMBASSADOR_ENVIRONMENTS=/etc/dbambassador/environments
# A number, as Kubernetes' runAsNonRoot cannot judge a name. It owns nothing else in the image.
USER 65532:65532
# Listening, and an environment chosen. Whether a database is up is not the image's question.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["dbambassador", "probe", "startup"]
ENTRYPOINT ["dbambassador"]
CMD ["run"]
