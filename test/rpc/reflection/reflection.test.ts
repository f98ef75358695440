/** Reflection, as its protocol says it, on both ports and in both versions. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, test, type TestContext } from "node:test";
import { createClient } from "@connectrpc/connect";
import {
  create,
  createFileRegistry,
  type DescService,
  fromBinary,
  fromJson,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { parseConfig } from "../../../src/config.ts";
import type { ServerReflectionResponse } from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { createLookups } from "../../../src/rpc/reflection/lookups.ts";
import { describeFiles } from "../../../src/rpc/reflection/described-files.ts";
import { createReflection } from "../../../src/rpc/reflection/reflection.ts";
import { startServer } from "../../../src/server.ts";
import { makeFolder, openServer, settings, ways } from "../fixtures.ts";
import { refused } from "../refused.ts";
import { type Asked, openReflection, type ReflectionStream, type Version, versions } from "./ask.ts";
import { fileOf, lastOf, messageOf, tasksWith, textField } from "./described.ts";

const server = await openServer();
after(() => server.remove());

const bidiWays = Object.values(ways).filter(({ isBidi }) => isBidi);
const services = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
  "millpond.v1.AdminService",
  "millpond.v1.WorkerPoolService",
];

function open(t: TestContext, way = ways.grpc as (typeof bidiWays)[number], version: Version = "v1") {
  const stream = openReflection(way.transport(server), version);
  t.after(stream.end);
  return stream;
}

function filesIn({ messageResponse }: ServerReflectionResponse): FileDescriptorProto[] {
  assert.equal(messageResponse.case, "fileDescriptorResponse");
  return messageResponse.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

const namesIn = (answer: ServerReflectionResponse) => filesIn(answer).map(({ name }) => name);

/** All files that describe a symbol, as a tool gets them: what an answer lacks is asked for by name. */
async function load(stream: ReflectionStream, symbol: string) {
  const files = new Map<string, FileDescriptorProto>();
  const keep = (answer: ServerReflectionResponse) => {
    for (const file of filesIn(answer)) files.set(file.name, file);
  };
  keep(await stream.ask({ case: "fileContainingSymbol", value: symbol }));
  for (const { dependency } of files.values()) {
    for (const name of dependency)
      if (!files.has(name)) keep(await stream.ask({ case: "fileByFilename", value: name }));
  }
  const sorted = new Map<string, FileDescriptorProto>();
  const add = (name: string) => {
    const file = files.get(name);
    for (const each of file?.dependency ?? []) add(each);
    if (file) sorted.set(name, file);
  };
  for (const name of files.keys()) add(name);
  return createFileRegistry(create(FileDescriptorSetSchema, { file: [...sorted.values()] }));
}

for (const way of bidiWays) {
  for (const version of Object.keys(versions) as Version[]) {
    describe(`reflection ${version} over ${way.name}`, () => {
      test("lists the services, and echoes what was asked", async (t) => {
        const answer = await open(t, way, version).ask({ case: "listServices", value: "*" }, "jobs.example");
        assert.ok(answer.messageResponse.case === "listServicesResponse");
        assert.deepEqual(
          answer.messageResponse.value.service.map(({ name }) => name),
          services,
        );
        assert.equal(answer.validHost, "jobs.example");
        assert.deepEqual(
          [answer.originalRequest?.host, answer.originalRequest?.messageRequest],
          ["jobs.example", { case: "listServices", value: "*" }],
        );
      });

      test("describes every service, so that a client without any proto file can call it", async (t) => {
        const stream = open(t, way, version);
        for (const name of services) assert.ok((await load(stream, name)).getService(name), name);
        const registry = await load(open(t, way, version), "millpond.v1.WorkerPoolService");
        const service = registry.getService("millpond.v1.WorkerPoolService") as DescService;
        const client = createClient(service, way.transport(server)) as unknown as {
          run(request: unknown): Promise<unknown>;
        };
        const run = service.method["run"];
        assert.ok(run);
        const answer = await client.run(fromJson(run.input, { job: { task: "echo", input: { json: [1, "x"] } } }));
        const json = toJson(run.output, answer as never) as { result: { output: JsonValue } };
        assert.deepEqual(json.result.output, { json: [1, "x"] });
      });

      test("has the tasks' own types", async (t) => {
        const registry = await load(open(t, way, version), "millpond.tasks.v1.ImageResizeInput");
        const type = registry.getMessage("millpond.tasks.v1.ImageResizeInput");
        assert.ok(type?.fields.some(({ name }) => name === "width"));
      });
    });
  }
}

describe("a stream of reflection", () => {
  test("gives a file with all that it imports, and then only what it has not had", async (t) => {
    const stream = open(t);
    const [first, ...rest] = namesIn(
      await stream.ask({ case: "fileByFilename", value: "millpond/v1/worker_pool.proto" }),
    );
    assert.equal(first, "millpond/v1/worker_pool.proto");
    assert.ok(rest.includes("millpond/v1/job.proto") && rest.includes("google/protobuf/timestamp.proto"));
    const again = await stream.ask({ case: "fileContainingSymbol", value: "millpond.v1.WorkerPoolService" });
    assert.deepEqual(namesIn(again), ["millpond/v1/worker_pool.proto"]);
    assert.deepEqual(namesIn(await open(t).ask({ case: "fileByFilename", value: "grpc/health/v1/health.proto" })), [
      "grpc/health/v1/health.proto",
    ]);
  });

  for (const [symbol, file] of [
    ["millpond.v1.WorkerPoolService", "millpond/v1/worker_pool.proto"],
    ["millpond.v1.WorkerPoolService.Submit", "millpond/v1/worker_pool.proto"],
    ["millpond.v1.JobSpec", "millpond/v1/job.proto"],
    ["millpond.v1.JobSpec.task", "millpond/v1/job.proto"],
    ["millpond.v1.JobState", "millpond/v1/job.proto"],
    ["millpond.v1.JOB_STATE_DEAD", "millpond/v1/job.proto"],
    ["grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
    ["grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"],
    ["grpc.reflection.v1.ServerReflectionRequest.message_request", "grpc/reflection/v1/reflection.proto"],
    ["google.protobuf.Struct", "google/protobuf/struct.proto"],
    ["google.rpc.ErrorInfo", "google/rpc/error_details.proto"],
  ] as const) {
    test(`finds ${symbol}`, async (t) => {
      const [first] = namesIn(await open(t).ask({ case: "fileContainingSymbol", value: symbol }));
      assert.equal(first, file);
    });
  }

  test("answers NOT_FOUND to what is not there, and goes on", async (t) => {
    const stream = open(t);
    for (const asked of [
      { case: "fileByFilename", value: "nope.proto" },
      { case: "fileByFilename", value: "__proto__" },
      { case: "fileContainingSymbol", value: "" },
      { case: "fileContainingSymbol", value: ".millpond.v1.JobSpec" },
      { case: "fileContainingSymbol", value: "millpond.v1" },
      { case: "fileContainingSymbol", value: "constructor" },
      { case: "fileContainingExtension", value: { containingType: "millpond.v1.JobSpec", extensionNumber: 100 } },
      { case: "fileContainingExtension", value: { containingType: "nope", extensionNumber: -1 } },
      { case: "allExtensionNumbersOfType", value: "nope" },
    ] satisfies Asked[]) {
      const { messageResponse } = await stream.ask(asked);
      assert.ok(messageResponse.case === "errorResponse", JSON.stringify(asked));
      assert.equal(messageResponse.value.errorCode, 5);
      assert.match(messageResponse.value.errorMessage, /^(no|nothing|".*" has no) /);
    }
    assert.deepEqual(namesIn(await stream.ask({ case: "fileByFilename", value: "google/protobuf/any.proto" })), [
      "google/protobuf/any.proto",
    ]);
  });

  test("knows that a type of its own has no extensions", async (t) => {
    const { messageResponse } = await open(t).ask({ case: "allExtensionNumbersOfType", value: "millpond.v1.JobSpec" });
    assert.ok(messageResponse.case === "allExtensionNumbersResponse");
    assert.deepEqual(messageResponse.value.extensionNumber, []);
  });

  test("ends when a request asks for nothing, or for a name that is no name", async (t) => {
    const nothing = await refused(open(t).ask({ case: undefined }));
    assert.equal(nothing.reason, "malformed_request");
    const long = "x".repeat(1001);
    for (const [asked, field] of [
      [{ case: "fileByFilename", value: long }, "file_by_filename"],
      [{ case: "fileContainingSymbol", value: long }, "file_containing_symbol"],
      [{ case: "listServices", value: long }, "list_services"],
      [
        { case: "fileContainingExtension", value: { containingType: long, extensionNumber: 1 } },
        "file_containing_extension.containing_type",
      ],
      [{ case: "allExtensionNumbersOfType", value: long }, "all_extension_numbers_of_type"],
    ] as const) {
      const error = await refused(open(t).ask(asked));
      assert.deepEqual([error.code, error.fields], ["InvalidArgument", [field]]);
    }
    assert.deepEqual((await refused(open(t).ask({ case: "listServices", value: "" }, long))).fields, ["host"]);
  });
});

describe("answers", () => {
  /** Answers of a server with this one task's type. */
  async function askAbout(file: ReturnType<typeof lastOf>, asked: readonly Asked[]) {
    const lookups = createLookups(describeFiles([], tasksWith({ task: messageOf(file, "Input") })));
    const { v1 } = createReflection(() => lookups, [], new AbortController().signal);
    async function* requests() {
      for (const messageRequest of asked) yield { host: "", messageRequest };
    }
    const answers = [];
    for await (const answer of v1.serverReflectionInfo(requests() as never, {} as never)) answers.push(answer);
    return answers;
  }

  test("find extensions, at the top of a file and within messages", async () => {
    const extension = (name: string, number: number) => ({ ...textField(name, number), extendee: ".ext.Input" });
    const file = lastOf([
      {
        ...{ name: "ext.proto", package: "ext", syntax: "proto2" },
        messageType: [
          { name: "Input", extensionRange: [{ start: 100, end: 200 }], extension: [extension("inner", 150)] },
        ],
        extension: [extension("outer", 120)],
      },
    ]);
    const [numbers, inner, none, symbol] = await askAbout(file, [
      { case: "allExtensionNumbersOfType", value: "ext.Input" },
      { case: "fileContainingExtension", value: { containingType: "ext.Input", extensionNumber: 150 } },
      { case: "fileContainingExtension", value: { containingType: "ext.Input", extensionNumber: 151 } },
      { case: "fileContainingSymbol", value: "ext.Input.inner" },
    ]);
    assert.ok(numbers?.messageResponse.case === "allExtensionNumbersResponse" && inner && symbol);
    assert.deepEqual(numbers.messageResponse.value.extensionNumber, [120, 150]);
    assert.deepEqual([namesIn(inner), namesIn(symbol)], [["ext.proto"], ["ext.proto"]]);
    assert.equal(none?.messageResponse.case, "errorResponse");
  });

  test("hold 64 KiB at most besides the file that was asked for; the rest is there by its name", async () => {
    const names = Array.from({ length: 4000 }, (_, at) => `Message${at}`);
    const large = fileOf("large.proto", "large", names);
    const file = lastOf([large, fileOf("small.proto", "small", ["Input"], { dependency: ["large.proto"] })]);
    const [small, whole] = await askAbout(file, [
      { case: "fileContainingSymbol", value: "small.Input" },
      { case: "fileByFilename", value: "large.proto" },
    ]);
    assert.ok(small && whole);
    assert.deepEqual([namesIn(small), namesIn(whole)], [["small.proto"], ["large.proto"]]);
  });
});

test("tasks of users bring their types, also where two folders have a file of the same name", async (t) => {
  const folder = await makeFolder();
  const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  for (const name of ["mail", "scan"]) {
    await writeFile(
      join(folder.path, "tasks", `${name}.mjs`),
      `import { fileOf, lastOf, messageOf } from ${url("./described.ts")};
       import { defineTask } from ${url("../../../src/pool/task.ts")};
       const input = messageOf(lastOf([fileOf("input.proto", "${name}", ["Input"])]), "Input");
       export default defineTask({ name: "${name}", pool: "cpu", input, run() {} });`,
    );
  }
  const text = JSON.stringify(settings(folder.path));
  const own = await startServer(parseConfig({ file: { name: "test.yaml", text }, env: {}, flags: {}, cores: 2 }), {});
  t.after(async () => {
    await own.stop();
    await folder.remove();
  });
  const stream = openReflection(ways.grpc.transport(own));
  t.after(stream.end);
  for (const name of ["mail", "scan"]) {
    const type = (await load(stream, `${name}.Input`)).getMessage(`${name}.Input`);
    assert.deepEqual(
      type?.fields.map((field) => field.name),
      ["text"],
    );
  }
});
