/** Admits or refuses a call of the gRPC port by its headers, before grpc-js handles it. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { type MillpondError, refusal } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Admit } from "./boundary.ts";
import { clientKey, parseClient } from "./call.ts";
import { grpcHeaders, toMillpondError } from "./status.ts";
import { boundTimeouts } from "./timeouts.ts";

export type GrpcAdmissionOptions = {
  /** Where Connect and gRPC-Web are served. */
  readonly webAddress: () => string;
  readonly log: Log;
  readonly random: () => number;
};

export function createGrpcAdmission({ webAddress, log, random }: GrpcAdmissionOptions): Admit {
  function check(headers: IncomingHttpHeaders): void {
    checkContentType(headers["content-type"] ?? "", webAddress);
    dropUnprintable(headers);
    boundTimeouts(headers);
  }

  return (stream, headers) => {
    try {
      check(headers);
      return true;
    } catch (error) {
      refuse(stream, headers["content-type"] ?? "", toMillpondError(error, log), random);
      return false;
    }
  };
}

/** grpc-js accepts every content type that starts with `application/grpc`, and refuses the others without a message. */
function checkContentType(contentType: string, webAddress: () => string): void {
  if (/^application\/grpc(\+proto)?\s*(;|$)/i.test(contentType)) return;
  const served = `this port speaks application/grpc and application/grpc+proto; Connect and gRPC-Web are on ${webAddress()}`;
  throw refusal("unsupported_content_type", [contentType.slice(0, 100), served]);
}

/** Drops metadata that is not printable ASCII: grpc-js would also drop it, but print the client's bytes to standard error. */
function dropUnprintable(headers: IncomingHttpHeaders): void {
  for (const name in headers) {
    const value = headers[name];
    if (typeof value !== "string" || name.startsWith(":") || name.endsWith("-bin") || /^[ -~]*$/.test(value)) continue;
    if (name === clientKey) parseClient(value); // throws the refusal
    delete headers[name];
  }
}

/** Sends the refusal as one HEADERS frame, in the form of the caller's protocol. */
function refuse(stream: ServerHttp2Stream, contentType: string, error: MillpondError, random: () => number): void {
  stream.resume(); // drops what the client still sends
  if (/^application\/grpc/i.test(contentType)) {
    const type = contentType.replace(/[^ -~]/g, "");
    stream.respond(
      { ":status": 200, "content-type": type, ...Object.fromEntries(grpcHeaders(error, random)) },
      { endStream: true },
    );
  } else {
    stream.respond({ ":status": 415, "content-type": "text/plain" });
    stream.end(`${error.message}\n`);
  }
}
