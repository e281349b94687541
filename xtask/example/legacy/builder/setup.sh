#!/bin/bash
# Prepares a bare CUDA image. The Dockerfile does not call it; it is here for
# those who build on an image of their own.
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends \
    curl git openssh-server python3.10 python3.10-dev python3-pip

python3 -m pip install --requirement "$(dirname "$0")/requirements.txt"

apt-get clean
rm -rf /var/lib/apt/lists/*
