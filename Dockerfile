FROM python:3.11.14-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    EXPLORER_DATA_DIR=/data \
    EXPLORER_KEY_DIR=/keys
WORKDIR /app

COPY requirements/runtime.txt requirements/runtime.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/runtime.txt

COPY manage.py pyproject.toml ./
COPY analysis analysis
COPY explorer explorer
COPY templates templates
COPY static static

RUN useradd --system --home /data --uid 10001 explorer && mkdir /data /keys && chown explorer /data /keys && chmod 700 /keys
USER explorer
# Kernels are compiled into the image's volume template, so that a first dump does not wait for a compiler.
RUN NUMBA_CACHE_DIR=/data/kernels python -m analysis warm
VOLUME /data /keys
EXPOSE 8000
CMD ["python", "-m", "gunicorn", "explorer.wsgi:application", "--worker-class", "gthread", "--threads", "16", "--timeout", "120", "--no-control-socket", "--bind", "0.0.0.0:8000"]
