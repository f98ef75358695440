import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { ListTasksResponseSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { describeTasks, maxSchemaBytes } from "../../src/rpc/list-tasks.ts";
import { describeFiles } from "../../src/rpc/reflection/described-files.ts";
import { loaded } from "../support/samples.ts";

const shape = (jsonSchema: string) => ({ vendor: "zod", jsonSchema, unknownReason: "" });

function listed(count: number, jsonSchema: string) {
  const names = Array.from({ length: count }, (_, index) => `task-${index}`);
  const tasks = new Map(names.map((name) => [name, loaded(name, { inputShape: shape(jsonSchema) })]));
  return describeTasks(tasks, describeFiles([], tasks));
}

suite("ListTasks", () => {
  test("shows schemas where a task has them", () => {
    const inputShape = shape('{"type":"string"}');
    const tasks = new Map([
      ["a", loaded("a", { inputShape })],
      ["b", loaded("b", { outputShape: inputShape })],
    ]);
    const [a, b] = describeTasks(tasks, describeFiles([], tasks)).tasks;
    assert.equal(a?.inputSchema?.jsonSchema, inputShape.jsonSchema);
    assert.equal(a.outputSchema, undefined);
    assert.equal(b?.inputSchema, undefined);
    assert.equal(b?.outputSchema?.vendor, "zod");
  });

  test("counts the bytes of a schema, of which a character may have three", () => {
    const { tasks } = listed(20, JSON.stringify("字".repeat(65_534)));
    assert.equal(tasks.filter(({ inputSchema }) => inputSchema?.jsonSchema !== "").length, 5);
  });

  test("leaves out the schemas beyond the bound, says so, and fits into what clients receive", () => {
    const each = 65_536;
    const response = listed(maxSchemaBytes / each + 2, JSON.stringify("x".repeat(each - 2)));
    assert.ok(toBinary(ListTasksResponseSchema, response).length < 2 * 1024 * 1024);
    const unknown = response.tasks.filter(({ inputSchema }) => inputSchema?.jsonSchema === "");
    assert.deepEqual(
      unknown.map(({ name }) => name),
      ["task-16", "task-17"],
    );
    const why = "the schemas of all tasks have more than 1048576 bytes together";
    assert.equal(unknown[0]?.inputSchema?.unknownReason, why);
  });
});
