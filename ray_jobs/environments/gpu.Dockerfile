# The image of a GPU cluster: every node of `ray up` (cluster.yaml) and of KubeRay (ray_jobs/kuberay), from the lock.
#
#   docker build -f ray_jobs/environments/gpu.Dockerfile -t REGISTRY/longstrap:0.1.0-gpu .
#
# With CUDA's compiler, as Triton and FlashInfer compile kernels when a model is loaded. The host needs a driver for
# CUDA 13 (580 or newer). Tokens and keys come in when it runs; none belongs in here.
FROM nvidia/cuda:13.0.2-devel-ubuntu24.04@sha256:5dc1bca23d05bd37b011be68ec470c03b403a5da07ec3a86e41af9470e9d0cc6

# openssh-client and rsync: the head of `ray up` sets up workers with them. wget: KubeRay's probes.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        build-essential ca-certificates libnuma1 openssh-client python3.12-dev python3.12-venv rsync wget \
    && rm -rf /var/lib/apt/lists/*

# 1000, as the first user of most machines is: files that are mounted from there can be read. Ubuntu's image has one.
RUN userdel --remove ubuntu \
    && useradd --create-home --uid 1000 --shell /bin/bash ray \
    && install --directory --owner ray --group ray \
        /opt/longstrap /home/ray/.cache /home/ray/secrets /home/ray/build \
    # Login shells, which `ray up` and KubeRay may start, set PATH anew.
    && echo 'export PATH=/opt/longstrap/bin:$PATH' > /etc/profile.d/longstrap.sh
ENV HOME=/home/ray PATH=/opt/longstrap/bin:$PATH
USER ray
WORKDIR /home/ray

COPY --chown=ray:ray ray_jobs/environments/cuda.txt build/
# flash-attn compiles for an hour and is not needed (cuda.txt says why): --build-arg FLASH_ATTN=1 adds it.
ARG FLASH_ATTN=0
RUN python3.12 -m venv /opt/longstrap \
    && grep -v '^flash-attn==' build/cuda.txt > build/rest.txt \
    && pip install --no-cache-dir --no-deps -r build/rest.txt \
    && if [ "$FLASH_ATTN" = 1 ]; then \
        pip install --no-cache-dir --no-deps wheel \
        && pip install --no-cache-dir --no-deps --no-build-isolation "$(grep '^flash-attn==' build/cuda.txt)"; \
    fi

# Last, as it changes most. A submitted job brings its own code; this is for jobs without a working dir (KubeRay).
COPY --chown=ray:ray pyproject.toml README.md LICENSE build/
COPY --chown=ray:ray app build/app
COPY --chown=ray:ray eval build/eval
COPY --chown=ray:ray ray_jobs build/ray_jobs
RUN pip install --no-cache-dir --no-deps --no-build-isolation ./build \
    && rm -rf build
CMD ["bash"]
