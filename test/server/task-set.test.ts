import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createSignal } from "../../src/lifecycle.ts";
import type { LoadedTasks } from "../../src/pool/tasks.ts";
import { followingRegistry } from "../../src/rpc/task-types.ts";
import { createServedTasks } from "../../src/server/task-set.ts";
import { fileOf, lastOf, messageOf, tasksWith } from "../rpc/reflection/described.ts";
import { turn } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";

/** One task with a type of the same name; `said` gets what becomes of the set. */
function loaded(task: string, said: string[] = [], retired = Promise.resolve()): LoadedTasks {
  const type = messageOf(lastOf([fileOf("input.proto", task, ["Input"])]), "Input");
  return {
    ...{ tasks: tasksWith({ [task]: type }), resources: [], ignored: [], sources: null },
    checks: { check: async (inputs) => (said.push(`${task} checks`), inputs.map(() => null)) },
    retire: () => (said.push(`${task} retires`), retired),
    stop: async () => void said.push(`${task} stops`),
  };
}

suite("tasks that take the place of others", () => {
  test("bring their types, descriptions and checks with them, for who has asked before too", async () => {
    const said: string[] = [];
    const served = createServedTasks(loaded("old", said), keptLog().log);
    const registry = followingRegistry(() => served.current().types);
    assert.ok(registry.getMessage("old.Input"));
    served.replace(loaded("new", said));
    assert.deepEqual([...served.tasks().keys()], ["new"]);
    const { described, lookups } = served.current();
    assert.deepEqual(
      ["old.Input", "new.Input"].map((name) => [
        registry.getMessage(name) !== undefined,
        lookups.fileWithSymbol(name) !== undefined,
        [...described.files.values()].some(({ symbols }) => symbols.includes(name)),
      ]),
      [
        [false, false, false],
        [true, true, true],
      ],
    );
    assert.equal([...registry].length, 1);
    await served.checks.check([{ task: "new", input: null }], { client: "ada", signal: undefined });
    assert.deepEqual(said, ["old retires", "new checks"]);
  });

  test("end with the server, and with them those whose checks are still under way", async () => {
    const said: string[] = [];
    const served = createServedTasks(loaded("first", said), keptLog().log);
    served.replace(loaded("second", said, createSignal().promise));
    served.replace(loaded("third", said));
    await turn();
    await served.stop();
    assert.deepEqual(said.slice(2).toSorted(), ["second stops", "third stops"]);
  });
});
