/** Bounds the deadlines in headers before a library sets timers from them. */
import type { IncomingHttpHeaders } from "node:http";
import { refusal } from "../errors.ts";

/** Longer deadlines are cut to 24 days. Node's timers, which grpc-js and Connect use, fire at once from 24.9 days on. */
export const maxDeadlineMs = 24 * 86_400_000;

const unitsMs: { readonly [unit: string]: number } = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
const maxQuoted = 100;

/** Cuts the deadline of a call to `maxDeadlineMs` in either header; throws when it is malformed. */
export function boundTimeouts(headers: IncomingHttpHeaders): void {
  const grpc = headers["grpc-timeout"];
  if (grpc !== undefined) {
    const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(String(grpc)) ?? [];
    const ms = Number(digits) * (unitsMs[unit ?? ""] ?? Number.NaN);
    if (Number.isNaN(ms)) throw malformed("grpc-timeout", String(grpc), "1 to 8 digits and one of H, M, S, m, u, n");
    if (ms > maxDeadlineMs) headers["grpc-timeout"] = `${maxDeadlineMs / 1000}S`;
  }
  const connect = headers["connect-timeout-ms"];
  if (connect !== undefined) {
    if (!/^\d{1,10}$/.test(String(connect))) throw malformed("connect-timeout-ms", String(connect), "1 to 10 digits");
    if (Number(connect) > maxDeadlineMs) headers["connect-timeout-ms"] = String(maxDeadlineMs);
  }
}

function malformed(name: string, value: string, form: string) {
  return refusal("malformed_request", [`${name} is "${value.slice(0, maxQuoted)}" and must be ${form}`]);
}
