import assert from "node:assert/strict";
import { test } from "node:test";
import { isEnveloped, isOneEnvelope, lengthOf } from "../../src/rpc/envelopes.ts";
import { envelope } from "./arrival/raw-requests.ts";

test("whether messages have heads is told from the content type, whatever its case", () => {
  const enveloped = ["application/grpc", "application/grpc-web+proto", "application/connect+json"];
  for (const type of [...enveloped, ...enveloped.map((each) => each.toUpperCase()), "Application/Connect+Proto"]) {
    assert.equal(isEnveloped(type), true, type);
  }
  for (const type of ["application/proto", "application/json", ""]) assert.equal(isEnveloped(type), false, type);
});

test("a length of any size is read from a head", () => {
  for (const length of [0, 1, 256, 70_000, 2 ** 31, 2 ** 32 - 1]) assert.equal(lengthOf(envelope(length, 0)), length);
});

test("one envelope is known, and what is less, more, compressed or empty is not", () => {
  for (const length of [0, 1, 70_000]) assert.equal(isOneEnvelope(envelope(length)), true);
  const two = Buffer.concat([envelope(3), envelope(0)]);
  for (const bytes of [Buffer.alloc(0), envelope(9).subarray(0, 4), envelope(9, 8), two, envelope(9, 9, true)]) {
    assert.equal(isOneEnvelope(bytes), false);
  }
});
