/** What `ListTasks` shows: the tasks, and the files that describe their types. */
import { create, type DescFile } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type ListTasksResponse, ListTasksResponseSchema } from "../gen/millpond/v1/worker_pool_pb.ts";
import type { Tasks } from "../pool/tasks.ts";
import { durationFromMs } from "./convert/time.ts";

export function describeTasks(tasks: Tasks): ListTasksResponse {
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
    descriptors: create(FileDescriptorSetSchema, { file: describedFiles(tasks) }),
  });
}

/** The files of all tasks' types, each once and after those it imports. */
function describedFiles(tasks: Tasks) {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (files.has(file.name)) return;
    for (const imported of file.dependencies) add(imported);
    files.set(file.name, file);
  };
  for (const { input, output } of tasks.values()) {
    for (const type of [input, output]) if (type) add(type.file);
  }
  return [...files.values()].map((file) => file.proto);
}
