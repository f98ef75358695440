/** The types of the messages that commands print: those of the built-in tasks, and others as the server describes them. */
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

/** The server answers at once, or it is not worth waiting for: the message is shown by its name then. */
const describeMs = 2_000;

const builtIn = createRegistry(file_millpond_tasks_v1_diagnostic, file_millpond_tasks_v1_image);
/** What servers described to this process. */
const described = createMutableRegistry();
/** Names that were asked for, so that a type which no server describes is asked for once. */
const asked = new Set<string>();

/** The type of this name, of the built-in tasks or among those that were learned. */
export function typeNamed(name: string): DescMessage | undefined {
  return builtIn.getMessage(name) ?? described.getMessage(name);
}

/** Name of the type of a message that the client could not read. */
export function typeNameOf({ typeUrl }: Any): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

/** Learns the types of those values that are messages of unknown types. Never fails: what stays unknown is shown as such. */
export async function learnTypes(values: readonly unknown[], connect: () => Connection): Promise<void> {
  const names = values.filter((value) => isMessage(value, AnySchema)).map(typeNameOf);
  for (const name of new Set(names)) {
    if (typeNamed(name) !== undefined || asked.has(name)) continue;
    asked.add(name);
    const connection = connect();
    try {
      const [file, ...imports] = await describe(name, connection);
      if (file === undefined) continue;
      const files = createFileRegistry(file, (path) => imports.find((each) => each.name === path));
      for (const type of files) if (type.kind === "message" || type.kind === "enum") described.add(type);
    } catch {
      // an older server, or one that has just gone
    } finally {
      connection.close();
    }
  }
}

/** The file with the type, and all that it imports. */
async function describe(name: string, connection: Connection): Promise<readonly FileDescriptorProto[]> {
  const { serverReflectionInfo } = ServerReflection.method;
  const request = create(ServerReflectionRequestSchema, {
    messageRequest: { case: "fileContainingSymbol", value: name },
  });
  // one request, and its end: on the wire that is the call of a method which takes one request
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
