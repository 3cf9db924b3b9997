# The same without a GPU: small clusters, trials of the whole path, CI. From the lock, test tools included.
#
#   docker build -f ray_jobs/environments/cpu.Dockerfile -t REGISTRY/longstrap:0.1.0-cpu .
#   docker run --rm -it --shm-size=4g REGISTRY/longstrap:0.1.0-cpu \
#       longstrap synthesize --config laptop.yaml --run_dir runs/laptop
#
# Tokens and keys come in when it runs; none belongs in here.
FROM python:3.12.12-slim-bookworm@sha256:593bd06efe90efa80dc4eee3948be7c0fde4134606dd40d8dd8dbcade98e669c

# libnuma1: vLLM's CPU engine. g++: what torch compiles. openssh-client, rsync: `ray up`. wget: KubeRay's probes.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates g++ libnuma1 openssh-client rsync wget \
    && rm -rf /var/lib/apt/lists/*

# 1000, as the first user of most machines is: files that are mounted from there can be read.
RUN useradd --create-home --uid 1000 --shell /bin/bash ray \
    && install --directory --owner ray --group ray \
        /opt/longstrap /home/ray/.cache /home/ray/secrets /home/ray/build \
    # Login shells, which `ray up` and KubeRay may start, set PATH anew.
    && echo 'export PATH=/opt/longstrap/bin:$PATH' > /etc/profile.d/longstrap.sh
ENV HOME=/home/ray PATH=/opt/longstrap/bin:$PATH
USER ray
WORKDIR /home/ray

COPY --chown=ray:ray ray_jobs/environments/cpu.txt build/
# Where the CPU build of torch is.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/longstrap \
    && pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX_URL" "$(grep '^torch==' build/cpu.txt)" \
    && pip install --no-cache-dir --no-deps -r build/cpu.txt

# Last, as it changes most. A submitted job brings its own code; this is for jobs without a working dir (KubeRay).
COPY --chown=ray:ray pyproject.toml README.md LICENSE build/
COPY --chown=ray:ray app build/app
COPY --chown=ray:ray eval build/eval
COPY --chown=ray:ray ray_jobs build/ray_jobs
RUN pip install --no-cache-dir --no-deps --no-build-isolation ./build \
    && rm -rf build
CMD ["bash"]
