/** The files of a new task. It greets: a complete example that is easy to replace. */
import type { NewFile } from "./files.ts";
import {
  allowScripts,
  asJson,
  compatible,
  dependencyOn,
  isInstalledFor,
  type Origin,
  type Packages,
} from "./installation.ts";
import { generatedFile, generatorFile, protoFile, typedTask } from "./typed-task.ts";
import type { TaskNames } from "./names.ts";

/** The runtime package of generated messages. */
const runtime = "@bufbuild/protobuf";

/** An input of the new task. */
export const exampleInput = '{"name": "Ada"}';

/** The task and its own files. `isTyped`: with protobuf messages instead of a schema. */
export function taskFiles(names: TaskNames, isTyped: boolean): readonly NewFile[] {
  const { file, proto } = names;
  return [
    { path: `${file}.ts`, what: "the task", text: isTyped ? typedTask(names) : schemaTask(names) },
    { path: `${file}.test.ts`, what: "its test", text: taskTest(names) },
    ...(isTyped
      ? [
          { path: `proto/${proto}.proto`, what: "its messages", text: protoFile(names) },
          { path: `gen/${proto}_pb.ts`, what: "their types, generated", text: generatedFile(names) },
        ]
      : []),
  ];
}

/** Files that the tasks of a folder share. `packages`: the dependencies of its package.json; undefined: none is written. */
export function sharedFiles(isTyped: boolean, packages: Packages | undefined): readonly NewFile[] {
  const manifest = {
    private: true,
    type: "module",
    scripts: { test: "node --test" },
    ...(Object.keys(packages ?? {}).length > 0 && { dependencies: packages }),
    allowScripts,
  };
  return [
    ...(packages ? [{ path: "package.json", what: "their package", text: asJson(manifest) }] : []),
    ...(isTyped ? [{ path: "buf.gen.yaml", what: "how types are generated", text: generatorFile }] : []),
  ];
}

/** Packages that the files of a folder import and that are not installed; paths are relative to `from`. */
export async function missingPackages(
  folder: string,
  { isTyped, origin, from }: { readonly isTyped: boolean; readonly origin: Origin; readonly from: string },
): Promise<Packages> {
  const needed: Packages = {
    millpond: dependencyOn(origin, from),
    ...(isTyped && { [runtime]: await compatible(runtime) }),
  };
  return Object.fromEntries(Object.entries(needed).filter(([name]) => !isInstalledFor(folder, name)));
}

const schemaTask = ({ task }: TaskNames) => `import { defineTask } from "millpond";

export default defineTask({
  name: "${task}",
  pool: "cpu", // "io" for work that waits for others: services, databases, disks
  description: "Greets whoever it is given.",
  // A JSON Schema; one of zod or valibot does as well. Jobs with another input are refused when they are submitted.
  input: {
    type: "object",
    properties: { name: { type: "string", minLength: 1 } },
    required: ["name"],
    additionalProperties: false,
  },
  output: { type: "object", properties: { greeting: { type: "string" } }, required: ["greeting"] },
  run({ name }, ctx) {
    ctx.log.info("greeting", { name });
    return { greeting: \`hello \${name}\` };
  },
});
`;

const taskTest = ({ file }: TaskNames) => `import assert from "node:assert/strict";
import { test } from "node:test";
import { tryTask } from "millpond/testing";
import task from "./${file}.ts";

const tried = await tryTask(task);

test("greets whoever it is given", async () => {
  const { greeting } = await tried.run({ name: "Ada" });
  assert.equal(greeting, "hello Ada");
});

test("refuses an empty name at submit", () => {
  const fields = tried.check({ name: "" }).map(({ field }) => field);
  assert.deepEqual(fields, ["input.name"]);
});
`;
