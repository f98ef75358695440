/** What lies in a folder of one's own beside the tasks of docs/tasks.md: tasks, a resource, and the packages that they use. */

/** A package in each form that Node.js knows; `native/addon.node` is put there by the test. */
export const packages = {
  "in-commonjs/package.json": '{ "name": "in-commonjs", "main": "./main.js" }',
  "in-commonjs/main.js": `const { shout } = require("./lib/shout");
exports.greet = (name) => shout(\`hello \${name}\`);`,
  "in-commonjs/lib/shout.js": "exports.shout = (text) => text.toUpperCase();",
  "@own/esm/package.json": '{ "name": "@own/esm", "type": "module", "exports": { "./deep": "./src/deep.js" } }',
  "@own/esm/src/deep.js": `import { greet } from "in-commonjs";
export const twice = (name) => [greet(name), greet(name)];`,
  "native/package.json": '{ "name": "native", "main": "./addon.node" }',
  "ledger-client/package.json": '{ "name": "ledger-client", "main": "./main.js", "types": "./main.d.ts" }',
  "ledger-client/main.d.ts": `export type Ledger = { ask(line: string): Promise<string>; close(): Promise<void> };
export function open(port: number): Promise<Ledger>;`,
  "ledger-client/main.js": `const { once } = require("node:events");
const { connect } = require("node:net");
exports.open = async (port) => {
  const socket = connect(port, "127.0.0.1").setEncoding("utf8");
  await once(socket, "connect");
  return {
    async ask(line) {
      socket.write(line + "\\n");
      return (await once(socket, "data"))[0].trim();
    },
    async close() {
      socket.end();
      await once(socket, "close");
    },
  };
};`,
};

/** Uses all of them at import, in \`check\` and in \`run\`. The server itself has the addon too, for pictures. */
const usesPackages = `import { createRequire } from "node:module";
import { twice } from "@own/esm/deep";
import { greet } from "in-commonjs";
import { defineTask } from "millpond";
import native from "native";
import * as z from "zod";

const required = createRequire(import.meta.url)("in-commonjs");
const version = native.libvipsVersion().semver;

export default defineTask({
  name: "uses.packages",
  pool: "cpu",
  input: z.string(),
  check(name) {
    const isSame = native.libvipsVersion().semver === version;
    return isSame && greet(name) !== "" ? [] : [{ field: "", description: "cannot be greeted" }];
  },
  run: (name) => [...twice(name), required.greet === greet, typeof native.libvipsVersion().semver],
});
`;

/** A connection of its own for each job, and never more of them than the ledger takes, over all threads. */
const ledger = `import { open, type Ledger } from "ledger-client";
import { defineResource } from "millpond";
import * as z from "zod";

const settings = z.strictObject({ port: z.number(), connections: z.number().default(2) });

export const ledger = defineResource({
  name: "ledger",
  settings: (given) => settings.parse(given),
  permits: ({ connections }) => ({ connections }),
  setup({ settings: { port }, permits }) {
    const connections = permits("connections");
    return {
      async use<T>(work: (ledger: Ledger) => Promise<T>, signal: AbortSignal): Promise<T> {
        const permit = await connections.acquire(signal);
        try {
          const connection = await open(port);
          return await work(connection).finally(() => connection.close());
        } finally {
          permit.release();
        }
      },
    };
  },
});
`;

const transfer = `import { defineTask } from "millpond";
import * as z from "zod";
import { ledger } from "./ledger.ts";

export default defineTask({
  name: "transfer",
  pool: "io",
  input: z.object({
    from: z.string().regex(/^[a-z]+$/),
    to: z.string().regex(/^[a-z]+$/),
    cents: z.coerce.number<string>().int().positive(),
  }),
  output: z.object({ booked: z.string(), cents: z.number() }),
  resources: { ledger },
  check: ({ from, to }) => (from === to ? [{ field: "to", description: "is the same account" }] : []),
  async run({ from, to, cents }, { resources, signal }) {
    const booked = await resources.ledger.use((connection) => connection.ask(\`\${from} \${to} \${cents}\`), signal);
    return { booked, cents };
  },
});
`;

export const ownTasks = { "uses-packages.ts": usesPackages, "ledger.ts": ledger, "transfer.ts": transfer };

/** Types what the client of \`transfer\` sends and gets. */
export const transferClient = (address: string) => `import { connect, taskOf } from "millpond/client";
import type transfer from "./transfer.ts";

await using client = connect({ address: "${address}" });
const task = taskOf<typeof transfer>("transfer");
const inputs = Array.from({ length: 30 }, (_, index) => ({ from: "ada", to: "bob", cents: String(index + 1) }));
let total = 0;
for await (const { result } of client.map(task, inputs)) if (result?.state === "SUCCEEDED") total += result.output.cents;
console.log(total);
`;
