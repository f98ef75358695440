/** Answers of the HTTP port that connect-node does not make: to what is refused before it comes to an RPC, and to browsers. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Code, type MillpondError } from "../errors.ts";
import { errorJson, grpcHeaders } from "./status.ts";

/** As the Connect protocol maps them. Others are 500. */
const statusOf: { readonly [code: number]: number } = {
  [Code.InvalidArgument]: 400,
  [Code.PermissionDenied]: 403,
  [Code.NotFound]: 404,
  [Code.ResourceExhausted]: 429,
  [Code.Unavailable]: 503,
};

/**
 * The error in the form that the caller reads: in the headers of gRPC and gRPC-Web, else, or when there is a `status` of its
 * own, in JSON. Cuts an answer that has begun.
 */
export function answerError(
  request: IncomingMessage,
  response: ServerResponse,
  error: MillpondError,
  { random, status }: { readonly random: () => number; readonly status?: number },
): void {
  const contentType = request.headers["content-type"] ?? "";
  if (response.headersSent) response.destroy();
  else if (status === undefined && /^application\/grpc/i.test(contentType)) {
    answerHeaders(response, 200, [["content-type", contentType], ...grpcHeaders(error, random)]);
  } else answerJson(response, status ?? statusOf[error.code] ?? 500, errorJson(error));
}

export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  response.writeHead(status, headers).end(`${JSON.stringify(body)}\n`);
}

export function answerHeaders(
  response: ServerResponse,
  status: number,
  headers: Iterable<readonly [string, string]>,
  body?: string | Uint8Array,
): void {
  response.statusCode = status;
  for (const [name, value] of headers) response.setHeader(name, value);
  response.end(body);
}

/** Headers for browsers, so that pages of the origin may read it (https://fetch.spec.whatwg.org/#http-cors-protocol). */
export function shareWith(origin: string, response: ServerResponse, exposedHeaders: readonly string[]): void {
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("access-control-expose-headers", exposedHeaders.join(", "));
  response.setHeader("vary", "origin");
}

/** Whether a browser asks here if a page may make a call. */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === "OPTIONS" && headers["access-control-request-method"] !== undefined;
}

export function answerPreflight(
  response: ServerResponse,
  allowed: { readonly allowedMethods: readonly string[]; readonly allowedHeaders: readonly string[] },
): void {
  answerHeaders(response, 204, [
    ["access-control-allow-methods", allowed.allowedMethods.join(", ")],
    ["access-control-allow-headers", allowed.allowedHeaders.join(", ")],
    ["access-control-max-age", String(preflightSeconds)],
  ]);
}

/** How long a browser remembers that it may call: as long as any does. */
const preflightSeconds = 7200;
