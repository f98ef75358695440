/** `ListTasks`: the tasks, their schemas, and the files that describe their types. */
import { create } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type ListTasksResponse, ListTasksResponseSchema } from "../gen/millpond/v1/worker_pool_pb.ts";
import type { LoadedTask, Tasks } from "../pool/tasks.ts";
import { durationFromMs } from "./convert/time.ts";
import { type DescribedFiles, withImports } from "./reflection/described-files.ts";

/** Bound on the text of all schemas in bytes: keeps the response well below the 4 MiB that gRPC clients accept by default. */
export const maxSchemaBytes = 1024 * 1024;

export function describeTasks(tasks: Tasks, described: DescribedFiles): ListTasksResponse {
  const shown = createSchemaBudget();
  return create(ListTasksResponseSchema, {
    tasks: [...tasks.values()].map((task) => {
      const { name, pool, retry, timeoutMs, input, output, description, inputShape, outputShape } = task;
      const inputSchema = shown(inputShape);
      const outputSchema = shown(outputShape);
      return {
        name,
        pool,
        maxAttempts: retry.maxAttempts,
        timeout: durationFromMs(timeoutMs),
        inputType: input?.typeName ?? "",
        outputType: output?.typeName ?? "",
        description,
        ...(inputSchema && { inputSchema }),
        ...(outputSchema && { outputSchema }),
      };
    }),
    descriptors: create(FileDescriptorSetSchema, { file: filesOf(tasks, described) }),
  });
}

/** Schemas beyond the bound are omitted, starting with the last. */
function createSchemaBudget() {
  let left = maxSchemaBytes;
  return (shape: LoadedTask["inputShape"]) => {
    if (!shape) return undefined;
    const bytes = Buffer.byteLength(shape.jsonSchema);
    if (bytes > left) {
      const unknownReason = `the schemas of all tasks have more than ${maxSchemaBytes} bytes together`;
      return { ...shape, jsonSchema: "", unknownReason };
    }
    left -= bytes;
    return shape;
  };
}

/** The files of all tasks' types, each once and after those it imports. */
function filesOf(tasks: Tasks, { files, fileOf }: DescribedFiles) {
  const types = [...tasks.values()].flatMap(({ input, output }) => [input, output]);
  const wanted = new Set(
    types.flatMap((type) => {
      const file = type && fileOf(type);
      return file ? withImports(file) : [];
    }),
  );
  return [...files.values()].filter((file) => wanted.has(file)).map(({ proto }) => proto);
}
