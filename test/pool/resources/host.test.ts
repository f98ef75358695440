import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createResourceHost, type Member } from "../../../src/pool/resources/host.ts";
import type { PoolResource, ToThread } from "../../../src/pool/resources/protocol.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";

const resource = (name: string, permits: PoolResource["permits"]): PoolResource => ({
  name,
  settings: null,
  permits,
  hasProbe: false,
});

function open(...resources: readonly PoolResource[]) {
  const clock = createFakeClock();
  const { log, lines } = keptLog();
  const host = createResourceHost({ resources, clock, onChanged() {}, log });
  /** A thread that asks; `granted` has the numbers that it was given. */
  function join() {
    const granted: number[] = [];
    const member: Member = host.join({
      ...{ pool: "io", uses: resources.map(({ name }) => name), probed: [] },
      send(message: ToThread) {
        if (message.kind === "granted") granted.push(message.number);
      },
    });
    const acquire = (name: string, number: number) =>
      member.receive({ kind: "acquire", resource: name, permits: "connections", number });
    return { ...member, granted, acquire };
  }
  return { host, join, clock, lines };
}

suite("resources of tasks that are reloaded", () => {
  test("keep their permits: those that older threads hold count, and a larger limit is given out at once", () => {
    const { host, join } = open(resource("smtp", { connections: 1 }));
    const [old, young] = [join(), join()];
    old.acquire("smtp", 1);
    young.acquire("smtp", 1);
    young.acquire("smtp", 2);
    host.replace([resource("smtp", { connections: 2 }), resource("api", { connections: 1 })]);
    assert.deepEqual([old.granted, young.granted], [[1], [1]]);
    young.acquire("api", 3);
    assert.deepEqual(young.granted, [1, 3]);
    old.leave();
    assert.deepEqual(young.granted, [1, 3, 2]);
  });

  test("are forgotten when no task uses them, once no older thread holds any of theirs", () => {
    const { host, join } = open(resource("smtp", { connections: 1 }), resource("api", { connections: 1 }));
    const old = join();
    old.acquire("smtp", 1);
    old.receive({ kind: "report", resource: "api", part: "", problem: "it is away" });
    const names = () => host.permits().map((count) => count.resource);
    host.replace([resource("api", { connections: 1 })]);
    assert.deepEqual([names(), host.parts().map(({ problem }) => problem)], [["api", "smtp"], ["it is away"]]);
    old.receive({ kind: "release", number: 1 });
    host.replace([]);
    assert.deepEqual([names(), host.parts()], [[], []]);
  });

  test("are still given to threads that run the code from before", () => {
    const { host, join } = open(resource("smtp", { connections: 1 }));
    const old = join();
    host.replace([]);
    old.acquire("smtp", 1);
    assert.deepEqual(old.granted, [1]);
    old.leave();
    assert.deepEqual(host.permits(), []);
  });
});

suite("a thread that ends", () => {
  test("gives all that it held and waited for to others, in the order of their questions", () => {
    const { host, join } = open(resource("smtp", { connections: 2 }));
    const [gone, other] = [join(), join()];
    for (const number of [1, 2, 3]) gone.acquire("smtp", number);
    for (const number of [1, 2, 3]) other.acquire("smtp", number);
    gone.leave();
    assert.deepEqual(
      [gone.granted, other.granted],
      [
        [1, 2],
        [1, 2],
      ],
    );
    other.receive({ kind: "release", number: 1 });
    other.receive({ kind: "release", number: 1 });
    assert.deepEqual(other.granted, [1, 2, 3]);
    assert.deepEqual([host.permits()[0]?.held, host.permits()[0]?.waiting], [2, 0]);
  });
});

suite("a part of a resource that goes back and forth", () => {
  test("has a line in the log at once, and then one every ten seconds, which counts the changes", () => {
    const { host, join, clock, lines } = open(resource("smtp", {}));
    const thread = join();
    const report = (problem: string | undefined) =>
      thread.receive({ kind: "report", resource: "smtp", part: "main", problem });
    for (let count = 0; count < 500; count += 1) for (const problem of ["full", undefined]) report(problem);
    assert.equal(lines.length, 1);
    report("still full");
    assert.equal(host.parts().at(-1)?.problem, "still full");
    for (let passed = 0; passed < 60; passed += 1) clock.advance(1_000);
    assert.deepEqual(
      lines.map(({ level, fields, text }) => [level, fields, text]),
      [
        ["warn", { resource: "smtp", part: "main", problem: "full" }, "a resource has a problem"],
        ["warn", { resource: "smtp", part: "main", changes: 1000, problem: "still full" }, "a resource has a problem"],
      ],
    );
    report(undefined);
    assert.equal(lines.at(-1)?.text, "a resource is healthy again");
  });
});

test("a problem is forgotten with the last thread that would find out that it is over", () => {
  const { host, join } = open(resource("smtp", { connections: 1 }));
  const [first, last] = [join(), join()];
  first.receive({ kind: "report", resource: "smtp", part: "", problem: "it is away" });
  const problems = () => host.parts().map(({ problem }) => problem);
  first.leave();
  assert.deepEqual(problems(), ["it is away"]);
  last.leave();
  assert.deepEqual(problems(), [undefined]);
});
