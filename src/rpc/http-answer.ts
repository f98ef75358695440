/** Answers of the HTTP port that come before, or instead of, those of an RPC. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code, type MillpondError } from "../errors.ts";
import { errorJson } from "./status.ts";

/** Requests and responses of HTTP/1.1 and HTTP/2 are used through what they share. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** As the Connect protocol maps them. Others are 500. */
const statusOf: { readonly [code: number]: number } = {
  [Code.InvalidArgument]: 400,
  [Code.PermissionDenied]: 403,
  [Code.NotFound]: 404,
  [Code.ResourceExhausted]: 429,
  [Code.Unavailable]: 503,
};

/** The error as Connect writes those of unary calls. Cuts a response that has begun. */
export function answerError(response: HttpResponse, error: MillpondError, status = statusOf[error.code] ?? 500): void {
  if (response.headersSent) response.destroy();
  else answerJson(response, status, errorJson(error));
}

export function answerJson(response: HttpResponse, status: number, body: unknown): void {
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  (response as ServerResponse).writeHead(status, headers).end(`${JSON.stringify(body)}\n`);
}
