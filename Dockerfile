# maskfork serve: built in one image, run in another that holds no compiler, no package cache and no root.
#
#   docker build -t maskfork .
#   docker run -p 8080:8080 -v /srv/models:/models:ro maskfork /models/winner

FROM python:3.12.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/maskfork
ENV PATH=/opt/maskfork/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# the processor's torch, a tenth of the other's size
RUN pip install --index-url https://download.pytorch.org/whl/cpu "torch==2.13.0"
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --constraint constraints.txt ".[serve]"

FROM python:3.12.12-slim-bookworm
COPY --from=build /opt/maskfork /opt/maskfork
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin maskfork
ENV PATH=/opt/maskfork/bin:$PATH PYTHONUNBUFFERED=1 HF_HOME=/tmp/huggingface
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/ready', timeout=2)"]
# exec form: SIGTERM reaches the server, which answers what it has accepted
ENTRYPOINT ["maskfork", "serve", "--host", "0.0.0.0", "--port", "8080"]
CMD ["/models/winner"]
