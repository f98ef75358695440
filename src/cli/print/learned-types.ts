/**
 * The types of the messages that commands print: those of the built-in tasks, and others that the server describes by
 * reflection.
 */
import {
  create,
  createFileRegistry,
  createMutableRegistry,
  createRegistry,
  type DescMessage,
  fromBinary,
  isMessage,
} from "@bufbuild/protobuf";
import { type Any, AnySchema, type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { systemClock } from "../../../clients/typescript/clock.ts";
import type { Connection } from "../../../clients/typescript/index.ts";
import { ServerReflection, ServerReflectionRequestSchema } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { file_millpond_tasks_v1_diagnostic } from "../../gen/millpond/tasks/v1/diagnostic_pb.ts";
import { file_millpond_tasks_v1_image } from "../../gen/millpond/tasks/v1/image_pb.ts";

/** How long the server may take; after that a message is shown only by its type name. */
const describeMs = 2_000;

const builtIn = createRegistry(file_millpond_tasks_v1_diagnostic, file_millpond_tasks_v1_image);
/** Types that servers have described to this process. */
const described = createMutableRegistry();
/** Requested names, so that a type that no server describes is requested only once. */
const requested = new Set<string>();

/** The type of this name, of a built-in task or described by a server. */
export function typeNamed(name: string): DescMessage | undefined {
  return builtIn.getMessage(name) ?? described.getMessage(name);
}

/** Name of the type of a message that the client could not read. */
export function typeNameOf({ typeUrl }: Any): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

/** Requests the unknown types among the messages in these values. Never fails: types that stay unknown are shown by name. */
export async function learnTypes(values: readonly unknown[], connect: () => Connection): Promise<void> {
  const names = values.filter((value) => isMessage(value, AnySchema)).map(typeNameOf);
  for (const name of new Set(names)) {
    if (typeNamed(name) !== undefined || requested.has(name)) continue;
    requested.add(name);
    const connection = connect();
    try {
      const [file, ...imports] = await describe(name, connection);
      if (file === undefined) continue;
      const files = createFileRegistry(file, (path) => imports.find((each) => each.name === path));
      for (const type of files) if (type.kind === "message" || type.kind === "enum") described.add(type);
    } catch {
      // an older server, or one that has just stopped
    } finally {
      connection.close();
    }
  }
}

/** The file that declares the type, and everything it imports. */
async function describe(name: string, connection: Connection): Promise<readonly FileDescriptorProto[]> {
  const { serverReflectionInfo } = ServerReflection.method;
  const request = create(ServerReflectionRequestSchema, {
    messageRequest: { case: "fileContainingSymbol", value: name },
  });
  // called as server streaming: on the wire, a stream with a single request looks the same
  const answers = connection.serverStream({ ...serverReflectionInfo, methodKind: "server_streaming" }, request);
  const cancelTimer = systemClock.after(describeMs, () => answers.cancel());
  try {
    for await (const { messageResponse } of answers) {
      if (messageResponse.case !== "fileDescriptorResponse") break;
      const files = messageResponse.value.fileDescriptorProto;
      return files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    }
    return [];
  } finally {
    cancelTimer();
  }
}
