/** What `ListTasks` shows: the tasks, and the files that describe their types. */
import { create } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type ListTasksResponse, ListTasksResponseSchema } from "../gen/millpond/v1/worker_pool_pb.ts";
import type { Tasks } from "../pool/tasks.ts";
import { durationFromMs } from "./convert/time.ts";
import { type DescribedFiles, withImports } from "./reflection/described-files.ts";

export function describeTasks(tasks: Tasks, described: DescribedFiles): ListTasksResponse {
  return create(ListTasksResponseSchema, {
    tasks: [...tasks.values()].map(({ name, pool, retry, timeoutMs, input, output, description }) => ({
      name,
      pool,
      maxAttempts: retry.maxAttempts,
      timeout: durationFromMs(timeoutMs),
      inputType: input?.typeName ?? "",
      outputType: output?.typeName ?? "",
      description,
    })),
    descriptors: create(FileDescriptorSetSchema, { file: filesOf(tasks, described) }),
  });
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
