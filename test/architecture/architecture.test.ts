/** Holds the tree to docs/architecture.md: who may import whom, where packages live, how long files are. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  cycles,
  floorBreaches,
  idleArrows,
  longFiles,
  medianLines,
  type Reserved,
  reservedUses,
  type Room,
  roomCycles,
  shadowingNames,
  strayPackages,
  vagueNames,
} from "./checks.ts";
import { importsOf, readSources, type Source } from "./sources.ts";

const room = (name: string, files: readonly string[], mayImport: readonly string[]): Room => ({
  name,
  files,
  mayImport,
});
const ground = [
  "errors",
  "clock",
  "lifecycle",
  "log",
  "profile",
  "heap snapshots",
  "visible text",
  "closest",
  "json value",
  "job",
  "tracing",
  "metrics",
];
const drivers = ["stores", "pool", "tasks", "telemetry"];
const engine = ["keyed mutex", "poller", "watch", "deliver", "admit", "dispatch", "settle", "act", "upkeep", "engine"];

/** A room of the engine: it knows stores and pools by their types only. */
const engineRoom = (name: string, files: readonly string[], mayImport: readonly string[]): Room =>
  room(name, files, [...ground, "types of store port", "types of pool", ...mayImport]);

/** From the ground up. What a row does not name it may not import; rooms on one floor never meet. */
const rooms: readonly Room[] = [
  room("errors", ["src/errors.ts"], []),
  room("clock", ["src/clock.ts"], []),
  room("lifecycle", ["src/lifecycle.ts"], ["clock"]),
  room("log", ["src/log.ts"], []),
  room("profile", ["src/profile.ts"], []),
  room("heap snapshots", ["src/heap-snapshots.ts"], ["errors", "lifecycle"]),
  room("visible text", ["src/visible.ts"], []),
  room("closest", ["src/closest.ts"], []),
  room("json value", ["src/json-value.ts"], []),
  room("version", ["src/version.ts"], []),
  room("code cache", ["src/code-cache.ts"], []),
  room("job", ["src/job/"], []),
  room("schema", ["src/schema.ts"], ["job"]),
  room("gen", ["src/gen/"], []),
  room("tracing", ["src/tracing.ts"], ["errors", "job"]),
  room("metrics", ["src/metrics/"], ["clock"]),

  room("config", ["src/config.ts", "src/config/"], ["errors", "job", "closest"]),
  room("task api", ["src/pool/task.ts", "src/pool/task-log.ts", "src/pool/resource.ts"], ["errors", "job", "schema"]),
  room("store port", ["src/store/store.ts", "src/store/hints.ts", "src/store/pool-overrides.ts"], ["job"]),

  room("stores", ["src/store/open.ts"], [...ground, "store port", "memory store", "sqlite store"]),
  room("memory store", ["src/store/memory.ts", "src/store/memory/"], [...ground, "store port"]),
  room("sqlite store", ["src/store/sqlite.ts", "src/store/sqlite/"], [...ground, "store port"]),
  room("pool", ["src/pool/"], [...ground, "schema", "code cache", "task api"]),
  room("tasks", ["src/tasks/"], ["errors", "clock", "job", "gen", "task api"]),
  room("telemetry", ["src/telemetry/"], [...ground]),

  engineRoom("keyed mutex", ["src/engine/keyed-mutex.ts"], []),
  engineRoom("watch", ["src/engine/watch/"], ["poller"]),
  engineRoom("poller", ["src/engine/poller.ts"], []),
  engineRoom("deliver", ["src/engine/deliver/"], ["poller"]),
  engineRoom("admit", ["src/engine/admit/"], ["keyed mutex", "watch"]),
  engineRoom("dispatch", ["src/engine/dispatch/"], ["admit", "poller"]),
  engineRoom("settle", ["src/engine/settle/"], ["admit"]),
  engineRoom("act", ["src/engine/act/"], ["keyed mutex", "admit", "watch"]),
  engineRoom("upkeep", ["src/engine/upkeep/"], ["admit", "dispatch"]),
  engineRoom(
    "engine",
    ["src/engine/engine.ts", "src/engine/numbers.ts"],
    engine.filter((name) => name !== "engine"),
  ),

  room("rpc", ["src/rpc/"], [...ground, "gen", ...engine, "types of store port", "types of pool"]),
  room(
    "server",
    ["src/server.ts", "src/server/"],
    [...ground, ...drivers, ...engine, "config", "version", "store port", "rpc"],
  ),

  room("client", ["clients/typescript/"], ["gen", "json value", "job", "schema"]),
  room(
    "cli",
    ["src/cli/"],
    ["errors", "visible text", "job", "lifecycle", "config", "version", "code cache", "gen", "client", "server"],
  ),
  room("testing", ["src/testing.ts", "src/testing/"], [...ground, "task api", "pool", "types of client"]),
  room("main", ["src/main.ts"], ["code cache", "cli"]),
  room("launch", ["src/launch.mjs"], []),
  room("public surface", ["src/index.ts"], ["errors", "job", "schema", "task api"]),
];

/** Where each package is at home, so that replacing one changes one file. */
const homes = {
  "@connectrpc/connect": ["src/rpc/connect.ts"],
  "@connectrpc/connect-node": ["src/rpc/connect.ts"],
  "@grpc/grpc-js": ["src/rpc/grpc.ts", "clients/typescript/connection.ts"],
  "@opentelemetry/api": [
    "src/telemetry/diagnostics.ts",
    "src/telemetry/export.ts",
    "src/telemetry/metric-export.ts",
    "clients/typescript/tracing.ts",
  ],
  "@opentelemetry/core": ["src/telemetry/export.ts"],
  "@opentelemetry/exporter-metrics-otlp-grpc": ["src/telemetry/metric-export.ts"],
  "@opentelemetry/exporter-metrics-otlp-http": ["src/telemetry/metric-export.ts"],
  "@opentelemetry/exporter-metrics-otlp-proto": ["src/telemetry/metric-export.ts"],
  "@opentelemetry/exporter-trace-otlp-grpc": ["src/telemetry/export.ts"],
  "@opentelemetry/exporter-trace-otlp-http": ["src/telemetry/export.ts"],
  "@opentelemetry/exporter-trace-otlp-proto": ["src/telemetry/export.ts"],
  "@opentelemetry/resources": ["src/telemetry/export.ts", "src/telemetry/metric-export.ts"],
  "@opentelemetry/sdk-metrics": ["src/telemetry/metric-export.ts"],
  "@opentelemetry/sdk-trace": ["src/telemetry/export.ts"],
  "node:inspector": ["src/telemetry/inspector.ts", "src/pool/stalls.ts"],
  "node:sqlite": ["src/store/sqlite/", "src/tasks/db/sqlite/"],
  ajv: ["src/pool/schema/json-schema.ts"],
  "ajv-formats": ["src/pool/schema/json-schema.ts"],
  commander: ["src/cli/program.ts"],
  nodemailer: ["src/tasks/email/nodemailer.ts"],
  pg: ["src/tasks/db/postgres/"],
  pino: ["src/telemetry/log.ts"],
  piscina: ["src/pool/threads.ts"],
  sharp: ["src/tasks/image/picture.ts"],
  yaml: ["src/config.ts"],
  zod: ["src/config/checks.ts"],
  millpond: ["src/cli/scaffold/task.ts"], // in the text of a file that it writes
  // The generated types are made of it, so whoever has a message in hand needs it.
  "@bufbuild/protobuf": [
    "src/job/wire-scan.ts",
    "src/rpc/",
    "src/engine/admit/",
    "src/pool/codec.ts",
    "src/pool/protobuf.ts",
    "src/pool/task.ts",
    "src/pool/tasks.ts",
    "src/pool/tasks/types.ts",
    "src/testing/values.ts",
    "src/cli/print/learned-types.ts",
    "src/cli/print/output.ts",
    "src/cli/scaffold/typed-task.ts",
    "clients/typescript/",
  ],
};

const timers =
  /\b(?:Date\.now|performance\.now|process\.hrtime)\b|(?<!\.)\b(?:setTimeout|setInterval)\b|\bnew Date\(\)|"node:timers[^"]*"/;
const reserved: readonly Reserved[] = [
  { pattern: timers, files: ["src/clock.ts", "clients/typescript/clock.ts"], remedy: "take a Clock" },
  { pattern: /\bMath\.random\b/, files: ["src/server.ts", "clients/typescript/connect.ts"], remedy: "take a `random`" },
  { pattern: /\bconsole\.\w+/, files: [], remedy: "take a Log, or the Terminal in cli" },
  {
    pattern: /\bfrom "[./\w]+\/configuration\.ts"/,
    files: [],
    remedy: "import it where it is called, for it takes half of a command's start",
  },
  {
    pattern: /\bimport (?!type )[^;"]*"[./\w-]*\/(?:protobuf|types|schema\/open)\.ts"/,
    files: ["src/pool/tasks.ts"],
    remedy: "import it where it is called, for it takes a third of a thread's start",
  },
];

const vagueWords = ["manager", "helper", "util", "common", "base", "misc", "handler", "message", "broker"];

const all = readSources();
const product = all.filter(({ path }) => /^(?:src|clients)\//.test(path));
const src = product.filter(({ path }) => path.startsWith("src/"));
const domain = src.find(({ path }) => path === "src/job/job.ts") as Source;

suite("the tree", () => {
  test("imports go down only, and rooms on one floor never meet", () => {
    assert.deepEqual(floorBreaches(product, rooms), []);
  });

  test("the table of rooms has floors: no way leads from a room back to it", () => {
    assert.deepEqual(roomCycles(rooms), []);
  });

  test("every arrow between rooms of the engine is one that some file needs", () => {
    const between = rooms
      .filter(({ name }) => engine.includes(name))
      .map(({ name, files, mayImport }) =>
        room(
          name,
          files,
          mayImport.filter((other) => engine.includes(other)),
        ),
      );
    assert.deepEqual(idleArrows(product, between), []);
  });

  test("there is no import cycle", () => {
    assert.deepEqual(cycles(product), []);
  });

  test("each package is imported where it is at home only", () => {
    assert.deepEqual(strayPackages(product, homes), []);
  });

  test("no file is longer than 400 lines", () => {
    assert.deepEqual(longFiles(all, 400), []);
  });

  test("half of the files of src have 120 lines or fewer", () => {
    assert.ok(medianLines(src) <= 120, `the median is ${medianLines(src)}`);
  });

  test("time, chance and output come from the one file that owns them, and settings are loaded late", () => {
    assert.deepEqual(reservedUses(product, reserved), []);
  });

  test("file names are kebab-case and say what is inside", () => {
    assert.deepEqual(vagueNames(product, vagueWords), []);
  });

  test("no name hides a global or a type of the domain", () => {
    assert.deepEqual(shadowingNames(src, domain), []);
  });
});

suite("the checks see", () => {
  const file = (path: string, ...lines: readonly string[]): Source => ({ path, text: lines.join("\n") });

  test("every form of import", () => {
    const source = file(
      "src/a/b.ts",
      'import one, { two } from "./c.ts";',
      "import {",
      "  type three,",
      '} from "../d.ts";',
      'import type { four } from "@scope/name/deep";',
      'export { five } from "pkg/deep";',
      'import "node:fs";',
      'const six = await import("./e.ts");',
      '// import "./comment.ts";',
      '/* import "./comment.ts"; */',
      'const text = "import nothing";',
    );
    assert.deepEqual(
      importsOf(source).map(({ target, isType }) => `${isType ? "type " : ""}${target}`),
      ["src/a/c.ts", "src/d.ts", "type @scope/name", "pkg", "node:fs", "src/a/e.ts"],
    );
  });

  test("an import that goes up, one between neighbours, and a file in no room", () => {
    const up = file("src/engine/admit/a.ts", 'import { serve } from "../../rpc/grpc.ts";');
    const across = file("src/store/memory.ts", 'import { open } from "./sqlite.ts";');
    const upstairs = file("src/engine/admit/b.ts", 'import type { Engine } from "../engine.ts";');
    const nextDoor = file("src/engine/settle/a.ts", 'import { createDispatcher } from "../dispatch/dispatcher.ts";');
    const homeless = file("src/other/a.ts");
    assert.deepEqual(floorBreaches([up, across, upstairs, nextDoor, homeless], rooms), [
      "src/engine/admit/a.ts (admit) may not import src/rpc/grpc.ts",
      "src/store/memory.ts (memory store) may not import src/store/sqlite.ts",
      "src/engine/admit/b.ts (admit) may not import src/engine/engine.ts",
      "src/engine/settle/a.ts (settle) may not import src/engine/dispatch/dispatcher.ts",
      "src/other/a.ts lies in no room: add it to the table",
    ]);
  });

  test("an import of code where only types are allowed", () => {
    const types = file("src/engine/settle/a.ts", 'import type { Pool } from "../../pool/pool.ts";');
    const code = file("src/engine/settle/b.ts", 'import { createPool } from "../../pool/pool.ts";');
    assert.deepEqual(floorBreaches([types, code], rooms), [
      "src/engine/settle/b.ts (settle) may not import src/pool/pool.ts",
    ]);
  });

  test("an arrow between rooms that leads back, and one that no file needs", () => {
    const above = room("above", ["src/above/"], ["types of below", "beside"]);
    const below = room("below", ["src/below/"], ["beside"]);
    const beside = room("beside", ["src/beside/"], []);
    const uses = file("src/above/a.ts", 'import type { B } from "../below/b.ts";');

    assert.deepEqual(roomCycles([above, below, beside]), []);
    assert.deepEqual(roomCycles([above, room("below", [], ["above"]), beside]), ["above -> below -> above"]);
    assert.deepEqual(idleArrows([uses], [above, below, beside]), [
      "no file of above imports beside: take it out of the table",
      "no file of below imports beside: take it out of the table",
    ]);
  });

  test("a cycle, once", () => {
    const a = file("src/a.ts", 'import "./b.ts";');
    const b = file("src/b.ts", 'import "./c.ts";');
    const c = file("src/c.ts", 'import type { A } from "./a.ts";');
    assert.deepEqual(cycles([a, b, c]), ["src/a.ts -> src/b.ts -> src/c.ts -> src/a.ts"]);
  });

  test("a package away from home, and one without a home", () => {
    const stray = file("src/engine/a.ts", 'import { Piscina } from "piscina";', 'import leftPad from "left-pad";');
    assert.deepEqual(strayPackages([stray], homes), [
      "src/engine/a.ts may not import piscina: src/pool/threads.ts may",
      "src/engine/a.ts may not import left-pad: no file may",
    ]);
  });

  test("a file of 401 lines, but not one of 400", () => {
    const long = file("src/long.ts", ...Array<string>(401).fill("x"));
    const full = file("src/full.ts", ...Array<string>(400).fill("x"), "");
    assert.match(longFiles([long, full], 400).join(), /^src\/long\.ts has 401 lines[^,]*$/);
  });

  test("the median length", () => {
    assert.equal(medianLines([file("a", "1"), file("b", ...Array<string>(200).fill("x")), file("c", "1", "2")]), 2);
  });

  test("a timer, chance and output in code, but not in a comment", () => {
    const uses = file("src/engine/a.ts", "const at = Date.now();", "// Date.now()", "Math.random(); console.log(at);");
    assert.deepEqual(reservedUses([uses, file("src/clock.ts", "Date.now()")], reserved), [
      "src/engine/a.ts uses Date.now: take a Clock",
      "src/engine/a.ts uses Math.random: take a `random`",
      "src/engine/a.ts uses console.log: take a Log, or the Terminal in cli",
    ]);
  });

  test("settings that are loaded at the start of every command, but not by one that needs them", () => {
    const early = file("src/cli/a.ts", 'import { loadConfig } from "../server/configuration.ts";');
    const late = file("src/cli/b.ts", 'const { loadConfig } = await import("../server/configuration.ts");');
    assert.deepEqual(reservedUses([early, late], reserved), [
      `src/cli/a.ts uses from "../server/configuration.ts": import it where it is called, for it takes half of a command's start`,
    ]);
  });

  test("protobuf-es in every thread, but not in one that needs it", () => {
    const early = file("src/pool/a.ts", 'import { messageCodec } from "./protobuf.ts";');
    const late = file("src/pool/b.ts", 'const { messageCodec } = await import("./protobuf.ts");');
    const type = file("src/pool/c.ts", 'import type { MessageCodec } from "./protobuf.ts";');
    assert.deepEqual(reservedUses([early, late, type], reserved), [
      `src/pool/a.ts uses import { messageCodec } from "./protobuf.ts": import it where it is called, for it takes a third of a thread's start`,
    ]);
  });

  test("a name that says nothing, also in the plural, and one that is not kebab-case", () => {
    assert.deepEqual(
      vagueNames([file("src/pool-utils.ts"), file("src/jobQueue.ts"), file("src/job.test.ts")], vagueWords),
      ['src/pool-utils.ts: "utils" does not say what is inside', "src/jobQueue.ts is not kebab-case"],
    );
  });

  test("a name that hides a global, and one that hides a type of the domain", () => {
    const job = file("src/job/job.ts", "export type Payload = { readonly bytes: Uint8Array };");
    const other = file(
      "src/pool/a.ts",
      "import {",
      "  type Payload,",
      '} from "../job/job.ts";',
      "type Response = { readonly status: number };",
      "export type Awaited<T> = { size(): T };",
      "// type Request = string;",
      "function run(): void {",
      "  const process = 1;",
      "}",
    );
    const own = file("src/store/b.ts", "type Payload = readonly [type: string, bytes: Uint8Array];");
    assert.deepEqual(shadowingNames([job, other, own], job), [
      'src/pool/a.ts: "Response" is a global',
      'src/pool/a.ts: "Awaited" is a global',
      'src/pool/a.ts: "process" is a global',
      'src/store/b.ts: "Payload" is a type of src/job/job.ts',
    ]);
  });
});
