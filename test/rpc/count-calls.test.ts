import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { refusal } from "../../src/errors.ts";
import { WorkerPoolService } from "../../src/gen/millpond/v1/worker_pool_pb.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import type { CallContext } from "../../src/rpc/call.ts";
import { countCalls } from "../../src/rpc/count-calls.ts";
import type { AnyStream, AnyUnary } from "../../src/rpc/served.ts";
import { createFakeClock } from "../support/fake-clock.ts";

function open(functions: { readonly stats?: AnyUnary; readonly results?: AnyStream }) {
  const registry = createRegistry(createFakeClock());
  const [served] = countCalls([{ service: WorkerPoolService, functions }], registry);
  const gone = new AbortController();
  const call = { client: "ada", signal: gone.signal } as unknown as CallContext;
  const points = async (name: string, method: string) => {
    const found = (await registry.collect()).find((each) => each.name === name)?.points ?? [];
    const own = found.filter(
      ({ attributes }) => attributes["rpc.method"] === `millpond.v1.WorkerPoolService/${method}`,
    );
    return own.map((point) => [point.attributes["rpc.response.status_code"] ?? "", "value" in point ? point.value : 0]);
  };
  return {
    unary: () => (served!.functions["stats"] as AnyUnary)({} as never, call),
    stream: () => (served!.functions["results"] as AnyStream)({}, call)[Symbol.asyncIterator](),
    hangUp: () => gone.abort(),
    /** Without those that only begin at 0: what ends, and how often. */
    calls: async (method: string) => (await points("millpond.rpc.calls", method)).filter(([, count]) => count !== 0),
    open: async (method: string) => (await points("millpond.rpc.open_calls", method))[0]?.[1],
  };
}

suite("a unary call counts", () => {
  const cases: readonly (readonly [what: string, call: AnyUnary, status: string])[] = [
    ["as OK when it is answered", async () => ({}) as never, "OK"],
    [
      "under the status that it is refused with",
      () => Promise.reject(refusal("disk_full", [1, 2])),
      "RESOURCE_EXHAUSTED",
    ],
    ["as INTERNAL when something else is thrown", () => Promise.reject(new Error("a bug")), "INTERNAL"],
  ];
  for (const [what, call, status] of cases) {
    test(what, async () => {
      const counted = open({ stats: call });
      await counted.unary().catch(() => undefined);
      assert.deepEqual(await counted.calls("Stats"), [[status, 1]]);
      assert.equal(await counted.open("Stats"), 0);
    });
  }

  test("as open until it has ended", async () => {
    const { promise, resolve } = Promise.withResolvers<never>();
    const counted = open({ stats: () => promise });
    const answer = counted.unary();
    assert.equal(await counted.open("Stats"), 1);
    resolve({} as never);
    await answer;
    assert.equal(await counted.open("Stats"), 0);
  });
});

suite("a stream counts once, when it ends", () => {
  const three: AnyStream = async function* () {
    for (let sent = 0; sent < 3; sent += 1) yield {} as never;
  };

  test("as OK when all is sent, and as open before", async () => {
    const counted = open({ results: three });
    const responses = counted.stream();
    await responses.next();
    assert.deepEqual([await counted.open("Results"), await counted.calls("Results")], [1, []]);
    while (!(await responses.next()).done);
    assert.deepEqual([await counted.open("Results"), await counted.calls("Results")], [0, [["OK", 1]]]);
  });

  test("as CANCELLED when nobody reads on, and the service is asked to stop", async () => {
    let isStopped = false;
    const counted = open({
      async *results() {
        try {
          for (;;) yield {} as never;
        } finally {
          isStopped = true;
        }
      },
    });
    const responses = counted.stream();
    await responses.next();
    await responses.return?.();
    assert.ok(isStopped);
    assert.deepEqual([await counted.open("Results"), await counted.calls("Results")], [0, [["CANCELLED", 1]]]);
  });

  test("as CANCELLED when its client has gone, however the service ends it", async () => {
    const counted = open({ results: three });
    const responses = counted.stream();
    counted.hangUp();
    while (!(await responses.next()).done);
    assert.deepEqual(await counted.calls("Results"), [["CANCELLED", 1]]);
  });

  test("under the status that it fails with", async () => {
    const counted = open({
      async *results() {
        yield {} as never;
        throw refusal("draining", []);
      },
    });
    const responses = counted.stream();
    await responses.next();
    await assert.rejects(responses.next());
    assert.deepEqual([await counted.open("Results"), await counted.calls("Results")], [0, [["UNAVAILABLE", 1]]]);
  });
});
