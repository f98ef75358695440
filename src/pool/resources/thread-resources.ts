/** The resources of a worker thread: set up when an attempt first needs them, and torn down when the thread ends. */
import type { Clock } from "../../clock.ts";
import { createSignal } from "../../lifecycle.ts";
import { isTaskError } from "../failure.ts";
import { runAs } from "../faults.ts";
import { textOf } from "../sanitize.ts";
import type { AnyResource, ResourceContext } from "../resource.ts";
import { type AnyTask, TaskError } from "../task.ts";
import { probeMs } from "./probes.ts";
import { createSetUpPermits, type SetUpPermits } from "./set-up-permits.ts";
import { createThreadLog } from "./thread-log.ts";
import { createThreadPermits } from "./thread-permits.ts";
import { createThreadProbes } from "./thread-probes.ts";
import { createThreadReports } from "./thread-reports.ts";
import type { FromThread, PoolResource, ToThread } from "./protocol.ts";

export type ThreadResources = {
  /** The resources of the task; null: none. Throws if they differ from those that the server found at its start. */
  usedBy(task: AnyTask): UsedResources | null;
  receive(message: ToThread): void;
};

export type UsedResources = {
  /** Starts an attempt: resolves with the values, after setting up those that are not. Rejects with a TaskError. */
  begin(signal: AbortSignal): Promise<Values>;
  /** Ends an attempt for which `begin` was called. */
  end(): void;
};

type Values = { readonly [name: string]: unknown };

type Entry = {
  readonly definition: AnyResource;
  readonly resource: PoolResource;
  /** The task that imported it, for messages. */
  readonly task: string;
  /** Undefined: not set up. */
  value: { readonly is: unknown } | undefined;
  starting: SetUp | undefined;
};

/** A set-up in progress, shared by all attempts that wait for it. */
type SetUp = {
  readonly ended: Promise<void>;
  /** Aborts when no attempt waits for it any more. */
  readonly stop: AbortController;
  waiting: number;
};

export type ThreadResourcesParts = {
  readonly resources: readonly PoolResource[];
  readonly send: (message: FromThread) => void;
  readonly clock: Clock;
};

const maxErrorChars = 1000;

export function createThreadResources({ resources, send, clock }: ThreadResourcesParts): ThreadResources {
  /** Number of attempts that use each resource now. */
  const uses = new Map<string, number>();
  const isUsed = (name: string) => (uses.get(name) ?? 0) > 0;
  const permits = createThreadPermits({ clock, send, isUsed });
  const reports = createThreadReports(clock, send);
  const log = createThreadLog(clock, send);
  const entries = new Map<string, Entry>();
  const probes = createThreadProbes({
    ...{ clock, send, probe, isUsed, isWaiting: permits.isWaitingFor },
    report: (name, problem) => reports.add(name, "", problem),
  });
  let isEnding = false;

  function entryOf(definition: AnyResource, task: string): Entry {
    const known = entries.get(definition.name);
    if (known) return known;
    const resource = resources.find(({ name }) => name === definition.name);
    if (!resource) throw new Error("its resources have changed since the server started: restart the server");
    const entry: Entry = { definition, resource, task, value: undefined, starting: undefined };
    entries.set(definition.name, entry);
    return entry;
  }

  function contextOf({ resource }: Entry, own: SetUpPermits, signal: AbortSignal): ResourceContext<unknown> {
    const { name, settings } = resource;
    return {
      settings,
      signal,
      permits(permit) {
        const limit = Object.hasOwn(resource.permits, permit) ? resource.permits[permit] : undefined;
        if (limit !== undefined) return own.of(permits.of({ resource: name, permits: permit }, limit));
        const known = Object.keys(resource.permits).join(", ") || "none";
        throw new Error(`resource "${name}" has no permits "${textOf(permit, 120)}"; there are: ${known}`);
      },
      log: log.of(name),
      report: (part, problem) => reports.add(name, part, problem),
    };
  }

  /** Resolves once the resource is set up. The set-up is aborted only when all attempts that wait for it are stopped. */
  async function up(entry: Entry, signal: AbortSignal): Promise<void> {
    while (entry.starting?.stop.signal.aborted) await entry.starting.ended.catch(() => undefined);
    if (entry.value) return;
    const starting = (entry.starting ??= begin(entry));
    const left = createSignal<never>();
    const leave = () => {
      starting.waiting -= 1;
      if (starting.waiting === 0) starting.stop.abort(signal.reason);
      else left.fail(signal.reason);
    };
    starting.waiting += 1;
    signal.addEventListener("abort", leave, { once: true });
    try {
      if (signal.aborted) leave();
      await Promise.race([starting.ended, left.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  function begin(entry: Entry): SetUp {
    const stop = new AbortController();
    const ended = setUp(entry, stop.signal).finally(() => {
      entry.starting = undefined;
    });
    return { ended, stop, waiting: 0 };
  }

  async function setUp(entry: Entry, signal: AbortSignal): Promise<void> {
    const { definition, task } = entry;
    const { name } = definition;
    if (isEnding) throw new TaskError("resource_unavailable", `resource "${name}" is not set up: its worker ends`);
    const origin = { task, id: null, resource: name };
    const own = createSetUpPermits();
    const cancel = clock.after(probeMs, () => {
      if (!permits.isWaitingFor(name)) reports.add(name, "", `its setup has not ended within ${probeMs} ms`);
    });
    try {
      const is = await runAs(origin, () => Promise.resolve(definition.setup(contextOf(entry, own, signal))));
      entry.value = { is };
      own.succeeded();
      reports.add(name, "", undefined);
    } catch (error) {
      own.failed();
      const what = textOf(error, maxErrorChars);
      if (!signal.aborted) reports.add(name, "", what);
      if (isTaskError(error)) throw error;
      throw new TaskError("resource_unavailable", `resource "${name}" cannot be set up: ${what}`, { cause: error });
    } finally {
      cancel();
    }
  }

  /** Errors are only logged, because the thread ends in any case. */
  async function tearDown({ definition, task, value }: Entry): Promise<void> {
    const { name } = definition;
    if (!value) return;
    try {
      const origin = { task, id: null, resource: name };
      await runAs(origin, () => Promise.resolve(definition.teardown?.(value.is)));
    } catch (error) {
      log.of(name).warn("the teardown of a resource failed", { error: textOf(error, maxErrorChars) });
    }
  }

  async function probe(name: string, signal: AbortSignal): Promise<void> {
    const entry = entries.get(name) as Entry; // only called for resources of this thread's tasks
    await up(entry, signal);
    const { definition, task, value } = entry;
    const origin = { task, id: null, resource: name };
    const isWell = (part: string) => reports.isWell(name, part);
    await runAs(origin, () => Promise.resolve(definition.probe?.(value?.is, signal, isWell)));
  }

  /** In reverse order of set-up, because one may use another. */
  async function endAll(): Promise<void> {
    isEnding = true;
    await probes.cut(new Set(entries.keys()));
    for (const entry of [...entries.values()].toReversed()) {
      await entry.starting?.ended.catch(() => undefined);
      await tearDown(entry);
    }
    send({ kind: "ended" });
  }

  return {
    usedBy({ name: task, resources: used = {} }) {
      const own = Object.entries(used).map(([name, definition]) => [name, entryOf(definition, task)] as const);
      if (own.length === 0) return null;
      const names = new Set(own.map(([, { resource }]) => resource.name));
      let values: Values | undefined;
      return {
        async begin(signal) {
          for (const name of names) uses.set(name, (uses.get(name) ?? 0) + 1);
          await probes.cut(names);
          if (values) return values;
          for (const [, entry] of own) {
            await up(entry, signal);
          }
          values = Object.freeze(Object.fromEntries(own.map(([name, { value }]) => [name, value?.is])));
          return values;
        },
        end() {
          for (const name of names) uses.set(name, (uses.get(name) ?? 0) - 1);
          permits.ended();
          probes.ended();
        },
      };
    },
    receive(message) {
      if (message.kind === "end") void endAll();
      else if (message.kind === "probe") probes.ask(message.resource);
      else if (message.kind === "reported") reports.receive(message);
      else permits.receive(message);
    },
  };
}
