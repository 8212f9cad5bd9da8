# One image for every part of the service; docker-compose.yml says which part a container is.
# The default is a CPU build of torch; the GPU image takes the registry's own: --build-arg TORCH_INDEX=
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# torch.compile needs a C++ compiler at run time; without one, training falls back to eager mode and is slower.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src

# torch first: a layer of its own that a change of our code does not rebuild. A local version (2.13.0+cpu) sorts above
# the plain one, so the extra index wins where it has a build.
COPY constraints.txt ./
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --constraint constraints.txt torch==2.13.0

COPY pyproject.toml README.md LICENSE ./
COPY api ./api
COPY worker ./worker
COPY proxy ./proxy
COPY migrations ./migrations
RUN pip install --constraint constraints.txt . \
    && rm -rf /src

# The volume at /data takes this owner when it is made.
RUN useradd --uid 10001 --create-home foretaste \
    && install --directory --owner=foretaste --group=foretaste /data

USER foretaste
WORKDIR /home/foretaste
ENV FORETASTE_DATA_DIR=/data
VOLUME /data
EXPOSE 8321
CMD ["foretaste", "api"]
