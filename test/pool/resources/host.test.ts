import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createResourceHost, type Member } from "../../../src/pool/resources/host.ts";
import type { PoolResource, ToThread } from "../../../src/pool/resources/words.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";

const resource = (name: string, permits: PoolResource["permits"]): PoolResource => ({
  name,
  settings: null,
  permits,
  hasProbe: false,
});

function open(...resources: readonly PoolResource[]) {
  const host = createResourceHost({ resources, clock: createFakeClock(), onChanged() {}, log: keptLog().log });
  /** A thread that asks; `granted` has the numbers that it was given. */
  function join() {
    const granted: number[] = [];
    const member: Member = host.join({
      ...{ pool: "io", probed: [] },
      tell(word: ToThread) {
        if (word.kind === "granted") granted.push(word.number);
      },
    });
    const acquire = (name: string, number: number) =>
      member.hear({ kind: "acquire", resource: name, permits: "connections", number });
    return { ...member, granted, acquire };
  }
  return { host, join };
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
    old.hear({ kind: "report", resource: "api", part: "", problem: "it is away" });
    const names = () => host.permits().map((count) => count.resource);
    host.replace([resource("api", { connections: 1 })]);
    assert.deepEqual([names(), host.parts().map(({ problem }) => problem)], [["api", "smtp"], ["it is away"]]);
    old.hear({ kind: "release", number: 1 });
    host.replace([]);
    assert.deepEqual([names(), host.parts()], [[], []]);
  });
});
