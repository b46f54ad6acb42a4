# CPU image.  docker build -t semcom .  docker run --rm -v "$PWD:/data" semcom send /data/photo.png --out /data/out
# The page listens on 127.0.0.1 of the container: docker run --rm --network host semcom demo --no-open
FROM python:3.11-slim-bookworm
# Numba compiles the LDPC decoder into this cache; libgomp is PyTorch's
ENV NUMBA_CACHE_DIR=/tmp/numba PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/semcom
COPY . .
RUN pip install --extra-index-url https://download.pytorch.org/whl/cpu --constraint constraints.txt . \
    && useradd --create-home semcom
USER semcom
WORKDIR /data
ENTRYPOINT ["semcom"]
CMD ["--help"]
