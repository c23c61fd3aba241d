# For any processor that the base image is there for: what is copied into it is the same for all, and
# is made on the processor at hand. Builders without BuildKit do not say which that is.
FROM --platform=${BUILDPLATFORM:-linux/amd64} node:26-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# Nothing here needs an install script: esbuild finds its program without one.
RUN npm ci --ignore-scripts
COPY tsconfig.json build.ts ./
COPY src ./src
RUN node build.ts

FROM node:26-bookworm-slim
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Signet" \
      org.opencontainers.image.description="Rotates signing keys without breaking a single verifier" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="node:26-bookworm-slim" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# What installs software has no business beside private keys. For another processor this one step needs
# emulation (docs/install.md): without it nothing that the base image has can be left out.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx \
           /usr/local/bin/corepack /opt/yarn* /usr/local/bin/yarn /usr/local/bin/yarnpkg
COPY --from=build /src/dist/ /app/
# Memory (docs/benchmarks.md): a small young generation saves 35 MB a process. No source maps here:
# the first stack would load 78 MB of them; names are kept, and main.mjs.map is beside the bundle.
ENV NODE_ENV=production NODE_OPTIONS="--max-semi-space-size=4"
# A number, so that runAsNonRoot can be checked.
USER 65532:65532
ENTRYPOINT ["node", "/app/main.mjs"]
