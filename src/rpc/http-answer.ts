/**
 * Responses of the HTTP port that connect-node does not send: refusals before an RPC is called, and CORS headers for
 * browsers.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Code, type MillpondError } from "../errors.ts";
import { errorJson, grpcHeaders } from "./status.ts";

/** HTTP statuses of the codes, as the Connect protocol defines them. Others are 500. */
const statusOf: { readonly [code: number]: number } = {
  [Code.InvalidArgument]: 400,
  [Code.PermissionDenied]: 403,
  [Code.NotFound]: 404,
  [Code.ResourceExhausted]: 429,
  [Code.Unavailable]: 503,
};

/**
 * Sends an error in the caller's protocol: in headers for gRPC and gRPC-Web, otherwise, or with an explicit `status`,
 * in JSON. Cuts off a response that has started.
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

/** Sets CORS headers, so that pages of the origin may read the response (https://fetch.spec.whatwg.org/#http-cors-protocol). */
export function shareWith(origin: string, response: ServerResponse, exposedHeaders: readonly string[]): void {
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("access-control-expose-headers", exposedHeaders.join(", "));
  response.setHeader("vary", "origin");
}

/** Whether this is a CORS preflight request. */
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

/** How long a browser may cache the preflight: the longest that any accepts. */
const preflightSeconds = 7200;
