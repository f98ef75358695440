/**
 * `grpc.reflection.v1` and `v1alpha`: the files that describe the services and the tasks' types, for tools such as
 * grpcurl that have no proto files. The two differ only in their names.
 */
import { create } from "@bufbuild/protobuf";
import { Code, invalid, refusal } from "../../errors.ts";
import {
  type ServerReflection as V1,
  ServerReflectionResponseSchema as ResponseV1,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  type ServerReflection as V1Alpha,
  ServerReflectionResponseSchema as ResponseV1Alpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Implementation } from "../served.ts";
import type { DescribedFile } from "./described-files.ts";
import type { Lookups } from "./lookups.ts";

export type Reflection = {
  readonly v1: Implementation<typeof V1>;
  readonly v1alpha: Implementation<typeof V1Alpha>;
};

/** Bound on the characters of a requested name, which the answer repeats. */
const maxName = 1000;
/**
 * Bound on the bytes of further files in one answer besides the requested one. A client that needs another file
 * requests it by name, so that a stream that is not read holds at most this, or one file.
 */
const maxAnswerBytes = 64 * 1024;

/** `services`: their full names. */
export function createReflection(
  lookups: () => Lookups,
  services: readonly string[],
  closing: AbortSignal,
): Reflection {
  const answerTo = createAnswers(lookups, services.toSorted());
  return {
    v1: {
      serverReflectionInfo: (requests) =>
        answerEach(requests, closing, (request, sent) => {
          const messageResponse = answerTo(request, sent);
          return create(ResponseV1, { validHost: request.host, originalRequest: request, messageResponse });
        }),
    },
    v1alpha: {
      serverReflectionInfo: (requests) =>
        answerEach(requests, closing, (request, sent) => {
          const messageResponse = answerTo(request, sent);
          return create(ResponseV1Alpha, { validHost: request.host, originalRequest: request, messageResponse });
        }),
    },
  };
}

/** What both versions have in common. */
type LookupRequest = {
  readonly host: string;
  readonly messageRequest:
    | {
        readonly case: "fileByFilename" | "fileContainingSymbol" | "allExtensionNumbersOfType" | "listServices";
        readonly value: string;
      }
    | {
        readonly case: "fileContainingExtension";
        readonly value: { readonly containingType: string; readonly extensionNumber: number };
      }
    | { readonly case: undefined };
};

function createAnswers(lookupsNow: () => Lookups, services: readonly string[]) {
  /** `sent` holds the files that were sent on this stream; each answer adds its own. */
  return ({ host, messageRequest: asked }: LookupRequest, sent: Set<DescribedFile>) => {
    checkName("host", host);
    const lookups = lookupsNow();
    const filesOr = (file: DescribedFile | undefined, why: () => string) => answerWith(lookups, file, sent, why);
    switch (asked.case) {
      case "listServices":
        checkName("list_services", asked.value);
        return {
          case: "listServicesResponse",
          value: { service: services.map((name) => ({ name })) },
        } as const;
      case "fileByFilename":
        checkName("file_by_filename", asked.value);
        return filesOr(lookups.fileByName(asked.value), () => `no file is named "${asked.value}"`);
      case "fileContainingSymbol":
        checkName("file_containing_symbol", asked.value);
        return filesOr(lookups.fileWithSymbol(asked.value), () => `nothing is named "${asked.value}"`);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = asked.value;
        checkName("file_containing_extension.containing_type", containingType);
        const file = lookups.fileWithExtension(containingType, extensionNumber);
        return filesOr(file, () => `"${containingType}" has no extension ${extensionNumber}`);
      }
      case "allExtensionNumbersOfType": {
        checkName("all_extension_numbers_of_type", asked.value);
        const numbers = lookups.extensionNumbers(asked.value);
        if (!numbers) return notFound(`no type is named "${asked.value}"`);
        const value = { baseTypeName: asked.value, extensionNumber: [...numbers] };
        return { case: "allExtensionNumbersResponse", value } as const;
      }
      default:
        throw refusal("malformed_request", ["it is empty, or from a newer version of the protocol"]);
    }
  };
}

/** The file with its imports, without those that were already sent on this stream. */
function answerWith(lookups: Lookups, file: DescribedFile | undefined, sent: Set<DescribedFile>, why: () => string) {
  if (!file) return notFound(why());
  const files = [file];
  let bytes = file.bytes.length;
  for (const each of lookups.withImports(file)) {
    if (each === file || sent.has(each) || bytes + each.bytes.length > maxAnswerBytes) continue;
    bytes += each.bytes.length;
    files.push(each);
  }
  for (const each of files) sent.add(each);
  return {
    case: "fileDescriptorResponse",
    value: { fileDescriptorProto: files.map((each) => each.bytes) },
  } as const;
}

function notFound(errorMessage: string) {
  return { case: "errorResponse", value: { errorCode: Code.NotFound, errorMessage } } as const;
}

function checkName(field: string, name: string): void {
  if (name.length <= maxName) return;
  throw invalid([{ field, description: `has ${name.length} characters and the limit is ${maxName}` }]);
}

/** One answer per request, in order; the next request is read once the answer has been written to the connection. */
async function* answerEach<Req, Res>(
  requests: AsyncIterable<Req>,
  closing: AbortSignal,
  answer: (request: Req, sent: Set<DescribedFile>) => Res,
): AsyncGenerator<Res> {
  const sent = new Set<DescribedFile>();
  const incoming = requests[Symbol.asyncIterator]();
  // not `Promise.race` with one promise for the stream's lifetime, which would leak memory with each request
  let wake = () => {};
  const onClosing = () => wake();
  closing.addEventListener("abort", onClosing, { once: true });
  try {
    while (!closing.aborted) {
      const next = await new Promise<IteratorResult<Req> | undefined>((resolve, reject) => {
        wake = () => resolve(undefined);
        incoming.next().then(resolve, reject);
      });
      if (!next || next.done) return;
      yield answer(next.value, sent);
    }
  } finally {
    closing.removeEventListener("abort", onClosing);
    void incoming.return?.().catch(() => undefined); // not awaited: it waits for the request that is being read
  }
}
