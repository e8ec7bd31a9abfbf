# The ambassador alone: no environments, no credentials, no defaults of one place. They are mounted.
#
#   docker build --tag dbambassador .
#   docker run --read-only --cap-drop ALL --env DBAMBASSADOR_PLATFORM=compose \
#       --volume "$PWD/environments:/etc/dbambassador/environments:ro" --volume sockets:/run/dbambassador dbambassador
#
# For amd64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 …; all packages have wheels for both.
# With the same base, the same packages and the same SOURCE_DATE_EPOCH its layers are the same to the byte:
# docker buildx build --output type=image,rewrite-timestamp=true …, or podman build --timestamp 0 ….

FROM docker.io/library/python:3.11-slim AS build
WORKDIR /source
# The base image's pip installs into the environment, so that pip itself is no part of it. What the ambassador
# requires comes first, in a layer that a change of its own source leaves alone.
COPY pyproject.toml ./
RUN python -m venv --without-pip /opt/dbambassador \
 && python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
    > requirements.txt \
 && python -m pip --python /opt/dbambassador/bin/python install --no-cache-dir --no-compile -r requirements.txt
COPY LICENSE README.md ./
COPY dbambassador dbambassador
COPY scripts/slim_image.py scripts/image_inquiry.py scripts/
ARG SOURCE_DATE_EPOCH=0
# With a fixed seed, as byte code holds sets in the order of their hashes.
RUN python -m pip --python /opt/dbambassador/bin/python install --no-cache-dir --no-compile --no-deps . \
 && PYTHONHASHSEED=0 /opt/dbambassador/bin/python scripts/slim_image.py /opt/dbambassador /bytecode \
 && mkdir sockets && touch --date=@$SOURCE_DATE_EPOCH sockets

FROM docker.io/library/python:3.11-slim
# Which commit it was built from, and where that is to be had.
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title=dbambassador \
      org.opencontainers.image.description="Serves the database of the environment it runs in on localhost" \
      org.opencontainers.image.version=0.1.0 \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /bytecode /
COPY --from=build /opt/dbambassador /opt/dbambassador
# For unix sockets: a new named volume that is mounted here takes the directory's owner.
COPY --from=build --chown=65532:65532 /source/sockets /run/dbambassador
ENV PATH=/opt/dbambassador/bin:$PATH \
    DBAMBASSADOR_ENVIRONMENTS=/etc/dbambassador/environments
# A number, as Kubernetes' runAsNonRoot cannot judge a name. It owns nothing else in the image.
USER 65532:65532
# Drains, then ends with 143. The processes it starts itself it waits for: it needs no init above it.
STOPSIGNAL SIGTERM
# Listening, and an environment chosen. Whether a database is up is not the image's question.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["dbambassador", "probe", "startup"]
ENTRYPOINT ["dbambassador"]
CMD ["run"]
