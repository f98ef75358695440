/** The files of a new project besides its tasks. */
import { basename } from "node:path";
import type { NewFile } from "./files.ts";
import { allowScripts, asJson, compatible, dependencyOn, type Origin } from "./installation.ts";

/** The folder for the tasks of a new project. */
export const tasksFolder = "tasks";

/** `origin`: a packed file is copied into the project, so that it can be moved, kept under version control and built. */
export async function projectFiles(folder: string, origin: Origin): Promise<readonly NewFile[]> {
  const manifest = {
    private: true,
    type: "module",
    scripts: { start: "millpond serve", test: "node --test" },
    dependencies: {
      millpond: origin.kind === "file" ? `file:${basename(origin.path)}` : dependencyOn(origin, folder),
    },
    devDependencies: { "@types/node": await compatible("@types/node") },
    allowScripts,
  };
  return [
    ...(origin.kind === "file" ? [{ path: basename(origin.path), what: "Millpond itself", copyOf: origin.path }] : []),
    { path: "package.json", what: "its package", text: asJson(manifest) },
    { path: "millpond.yaml", what: "the server's settings", text: settings },
    { path: "compose.yaml", what: "the server in a container", text: compose },
    { path: ".dockerignore", what: "files that are not copied into it", text: "node_modules\nmillpond-data\n.git\n" },
    { path: ".gitignore", what: "files that are not versioned", text: "node_modules/\nmillpond-data/\n" },
    { path: "tsconfig.json", what: "for editors and tsc", text: tsconfig },
  ];
}

const settings = `# What \`millpond serve\` reads when it is started in this folder. docs/configuration.md of the package millpond has every
# setting; each is a flag and a variable too, such as MILLPOND_DATA_DIR.
tasksDir: ./${tasksFolder}
dataDir: ./millpond-data

# cpu has a worker for each core, io has four. A pool for a service that allows 25 calls at once:
# pools:
#   crm: { work: limited, workers: 25 }
`;

const compose = `# The server in a container: docker compose up --build --wait
# It is on 127.0.0.1:7717 (gRPC) and http://127.0.0.1:7718, and keeps its jobs in a volume.
services:
  millpond:
    build:
      context: .
      dockerfile_inline: |
        FROM node:26-slim
        ENV NODE_ENV=production
        WORKDIR /app
        COPY . .
        RUN npm install --omit=dev && mkdir /data && chown node:node /data
        USER node
        HEALTHCHECK --interval=10s --timeout=6s --start-period=10s \\
          CMD ["node", "node_modules/millpond/src/launch.mjs", "health", "--alive"]
        ENTRYPOINT ["node", "node_modules/millpond/src/launch.mjs"]
        CMD ["serve"]
    environment:
      # In a container loopback is the container alone, so the server listens on all addresses, and nobody has to prove who
      # they are: what can reach the container must be trusted. That is its network and, by the ports below, this machine.
      MILLPOND_GRPC_HOST: 0.0.0.0
      MILLPOND_HTTP_HOST: 0.0.0.0
      MILLPOND_ALLOW_INSECURE: "true"
      MILLPOND_DATA_DIR: /data
    ports:
      - 127.0.0.1:7717:7717
      - 127.0.0.1:7718:7718
    volumes:
      - millpond-data:/data
    stop_grace_period: 45s # more than drainMs and graceMs
    restart: unless-stopped
    read_only: true
    tmpfs:
      - /tmp
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]

volumes:
  millpond-data:
`;

const tsconfig = `{
  "compilerOptions": {
    "target": "esnext",
    "module": "nodenext",
    "types": ["node"],
    "strict": true,
    "noEmit": true,
    "allowImportingTsExtensions": true,
    "erasableSyntaxOnly": true,
    "verbatimModuleSyntax": true,
    "skipLibCheck": true
  }
}
`;
