/** Records of jobs and of endings: what goes in comes out, and what is not what was written shows. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { decodePast, decodeResult, encodeEnding } from "../../src/job/ending.ts";
import type { Failure, NewJob, Settlement } from "../../src/job/job.ts";
import { decodeJob, decodeLease, encodeContent, encodeJob, headOf } from "../../src/job/record.ts";
import { checksumOf, isSound, isSoundHead, WireReader, WireWriter } from "../../src/job/wire.ts";
import { data, newJob, nextId, t0 } from "../store/sample.ts";

const text = fc.oneof(fc.string({ maxLength: 200 }), fc.constantFrom("é🦆", "x".repeat(127), "x".repeat(128), "\0"));
const time = fc.oneof(fc.integer({ min: 0, max: 2 * t0 }), fc.constantFrom(-62_135_596_800_000, t0 + 0.5));
const payload = fc.record(
  {
    kind: fc.constantFrom("message" as const, "json" as const, "data" as const),
    type: fc.constantFrom("", "millpond.tasks.v1.SleepInput"),
    bytes: fc.uint8Array({ maxLength: 300 }).map((bytes) => new Uint8Array(bytes)),
  },
  { noNullPrototype: true },
);
const retry = fc.record(
  {
    baseMs: time,
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
    maxBackoffMs: time,
    jitter: fc.constantFrom("full", "none"),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const jobs: fc.Arbitrary<NewJob> = fc.record(
  {
    id: fc.uuid(),
    client: text,
    task: text,
    pool: text,
    channel: fc.option(text),
    input: fc.option(payload),
    maxAttempts: fc.integer({ min: 1, max: 100 }),
    priority: fc.integer({ min: -100, max: 100 }),
    runAt: time,
    expiresAt: fc.option(time),
    submittedAt: time,
    trace: fc.option(text),
    idempotencyKey: fc.option(text),
    labels: fc.dictionary(text, text, { maxKeys: 16, noNullPrototype: true }),
    memo: text,
    timeoutMs: fc.option(time),
    retry: fc.option(retry) as fc.Arbitrary<NewJob["retry"]>,
  },
  { noNullPrototype: true },
);
const failures: fc.Arbitrary<Failure> = fc.record(
  {
    reason: text,
    message: text,
    retryable: fc.boolean(),
    retryAfterMs: time,
    details: fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
    stack: text,
  },
  { requiredKeys: ["reason", "message", "retryable"], noNullPrototype: true },
);

const columns = { seq: 7, attempt: 2, fence: 3, crashes: 1, redrives: 0 };
const leased = { ...columns, runAt: t0, expiresAt: null, startedAt: t0 - 5, isCancelling: false };

describe("what was submitted", () => {
  test("comes out of its record as it went in", () => {
    fc.assert(fc.property(jobs, (job) => assert.deepEqual(decodeJob(encodeJob(job)), { ...job, inputDigest: null })));
  });

  test("is in a lease, but for the input, with what has changed since", () => {
    fc.assert(
      fc.property(jobs, (job) => {
        const { input: _input, memo: _memo, ...rest } = job;
        const record = encodeJob(job);
        assert.deepEqual(decodeLease(record, leased), { ...rest, ...leased, record });
      }),
    );
  });

  test("is remembered by its key with a digest in place of the input", () => {
    const content = encodeContent(newJob({ input: data(100_000), idempotencyKey: "k" }));
    assert.ok(content.length < 200);
    const { input, inputDigest } = decodeJob(content);
    assert.deepEqual([input, inputDigest?.length], [null, 32]);
  });

  test("is shown without its input from the head of its record", () => {
    const labels = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`${i}`.padEnd(63, "n"), "🦆".repeat(200)]));
    const names = { client: "c".repeat(100), task: "t".repeat(100), channel: "c".repeat(100), pool: "p".repeat(100) };
    const long = newJob({ ...names, labels, idempotencyKey: "k".repeat(200), memo: "漢".repeat(1_024) });
    const head = headOf(encodeJob({ ...long, input: data(1_000_000) }));
    assert.deepEqual([isSoundHead(head), isSound(head)], [true, false]);
    assert.deepEqual(decodeJob(head), { ...long, input: null, inputDigest: null });
  });

  test("may have fields of a later version, which are passed over", () => {
    const known = encodeJob(newJob({ memo: "kept" }));
    const writer = new WireWriter();
    writer.uint(14, 5);
    writer.double(14, 5);
    writer.string(14, "new");
    const later = Buffer.concat([writer.end().subarray(0, -5), known]);
    assert.equal(decodeJob(later).memo, "kept");
  });
});

describe("how an attempt ended", () => {
  const ended: Omit<Settlement, "output" | "failure"> = {
    ...{ seq: 7, fence: 3, id: nextId(), client: "ada", pool: "cpu", channel: "default" },
    ...{ outcome: "timed_out", state: "DEAD", deadReason: "exhausted", attempt: 4, crashes: 0, runAt: t0 },
    ...{ startedAt: t0 + 1, finishedAt: t0 + 2, ended: { number: 5, startedAt: null } },
  };

  test("comes out as the job's result and as a line of its history", () => {
    fc.assert(
      fc.property(jobs, fc.option(payload), failures, (job, output, failure) => {
        const ending = encodeEnding({ ...job, redrives: 2 }, { ...ended, output, failure });
        const { id, task, labels, submittedAt } = job;
        assert.deepEqual(decodeResult(ending, 9), {
          ...{ cursor: 9, id, task, labels, submittedAt, state: "DEAD", output, failure, deadReason: "exhausted" },
          ...{ attempts: 4, redrives: 2, startedAt: t0 + 1, finishedAt: t0 + 2 },
        });
        const past = { attempt: 5, outcome: "timed_out", failure, startedAt: null, finishedAt: t0 + 2 };
        assert.deepEqual(decodePast(ending), past);
      }),
    );
  });
});

describe("a record", () => {
  test("that one bit was changed of, or that was cut off, is not sound", () => {
    const record = encodeJob(newJob());
    assert.ok(isSound(record));
    for (let bit = 0; bit < record.length * 8; bit += 1) {
      const flipped = Uint8Array.from(record);
      flipped[bit >>> 3]! ^= 1 << (bit & 7);
      assert.equal(isSound(flipped), false, `bit ${bit}`);
    }
    for (let length = 0; length < record.length; length += 1) assert.equal(isSound(record.subarray(0, length)), false);
  });

  test("ends with its checksum", () => {
    const record = encodeJob(newJob());
    assert.equal(checksumOf(record), Buffer.from(record).readUInt32LE(record.length - 4));
  });

  test("that is cut off anywhere is read up to there, and reading ends", () => {
    const record = encodeJob(newJob({ labels: { a: "1" }, trace: "00-1", retry: { factor: 2 } }));
    for (let length = 0; length < record.length; length += 1) {
      const reader = new WireReader(record.subarray(0, length));
      while (reader.next() !== 0) reader.skip();
    }
  });

  test("with what many jobs have in common is passed over where that is known, and only there", () => {
    const [one, other, alike] = ["cpu", "cpa", "cpu"].map((pool) => encodeJob(newJob({ pool })));
    const messageOf = (record: Uint8Array) => {
      const reader = new WireReader(record);
      reader.next();
      return { reader, message: reader.bytes() };
    };
    const { reader: behind, message } = messageOf(one!);
    for (const [record, isKnown] of [
      [alike!, true],
      [other!, false],
    ] as const) {
      const reader = new WireReader(record);
      reader.next();
      const before = reader.at;
      assert.deepEqual([reader.passIf(message), reader.at], [isKnown, isKnown ? behind.at : before]);
    }
  });

  test("is not what was begun before it and given up", () => {
    const { length } = encodeJob(newJob());
    const unencodable = newJob({ client: "x".repeat(2 ** 21) });
    assert.throws(() => encodeJob(unencodable), RangeError);
    assert.equal(encodeJob(newJob()).length, length);
  });
});

test("a leased job takes at most 450 bytes in the main thread, beside its record", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const count = 20_000;
  const records = Array.from({ length: count }, () => Uint8Array.from(encodeJob(newJob({ input: data(100) }))));
  collect();
  const before = process.memoryUsage().heapUsed;
  const leases = records.map((record, seq) => decodeLease(record, { ...leased, seq }));
  collect();
  const each = (process.memoryUsage().heapUsed - before) / leases.length;
  assert.ok(each <= 450, `${each} bytes`);
});
