# Millpond in a container. The server listens on loopback until it is told otherwise, because nothing is encrypted and
# nobody has to prove who they are. Where everything that can reach the container is trusted:
#
#     docker build -t millpond .
#     docker run -p 7717:7717 -p 7718:7718 -v millpond:/data \
#       -e MILLPOND_GRPC_HOST=0.0.0.0 -e MILLPOND_HTTP_HOST=0.0.0.0 -e MILLPOND_ALLOW_INSECURE=true millpond
#
# The HTTP port then answers to addresses and to names without a dot, such as a service of the same network; other names go
# into MILLPOND_HTTP_HOSTS.
#
# test/docker runs the steps of this file in clean folders, so keep to COPY and RUN with relative paths.

FROM node:26-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY .ci ./.ci
COPY clients ./clients
COPY src ./src
RUN node .ci/build.ts && mkdir data

FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:26-slim
ENV NODE_ENV=production MILLPOND_DATA_DIR=/data
WORKDIR /app
COPY package.json LICENSE ./
COPY proto ./proto
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/src/launch.mjs ./src/
COPY --from=build --chown=node:node /app/data /data
USER node
VOLUME /data
EXPOSE 7717 7718
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["node", "dist/src/main.js", "health", "--alive"]
ENTRYPOINT ["node", "src/launch.mjs"]
CMD ["serve"]
