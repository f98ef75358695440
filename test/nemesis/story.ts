/** Histories made by hand, for the checker's tests: a run in which all is well, line by line, and ways to spoil it. */
import { createHash } from "node:crypto";
import type { Event, Intent, ResultEvent } from "./history/event.ts";

export const client = "ada";
export const channel = "orders";

export function intent(id: string, given: Partial<Intent> = {}): Intent {
  return {
    ...{ id, key: null, channel, input: `input of ${id}`, maxAttempts: 4, failures: 0, isPermanent: false },
    ...{ lastsMs: 0, notBefore: null, retry: null },
    ...given,
  };
}

export const hashOf = (id: string) => createHash("sha256").update(`input of ${id}`).digest("hex");

/** A story is told in the order of time: each line comes a millisecond after the one before, unless it says when. */
export type Story = {
  readonly events: Event[];
  wait(ms: number): Story;
  submit(id: string, given?: Partial<Intent>): Story;
  again(id: string): Story;
  accepted(id: string, as?: string): Story;
  refused(id: string): Story;
  /** A whole execution, or with `begins` only its first line; `run` is `<id>-<attempt>`. */
  runs(id: string, attempt: number, how?: "returned" | "threw"): Story;
  begins(id: string, attempt: number, thread?: number): Story;
  ends(id: string, attempt: number, how?: "returned" | "threw"): Story;
  /** The thread of this execution ends by it. */
  murders(id: string, attempt: number): Story;
  open(stream: string, after: number): Story;
  result(stream: string, cursor: number, id: string, given?: Partial<ResultEvent>): Story;
  acked(cursor: number): Story;
  cancel(id: string, says: string): Story;
  killed(): Story;
  stopped(): Story;
  add(event: Untimed<Event>): Story;
};

type Untimed<E> = E extends Event ? Omit<E, "at"> : never;

export function tell(): Story {
  const events: Event[] = [];
  let at = 1_000_000;
  let boot = 1;
  const add = (event: Untimed<Event>) => {
    at += 1;
    events.push({ at, ...event });
    return story;
  };
  const end = (how: string) => {
    add({ kind: "ended", boot, pid: boot, how });
    boot += 1;
    return add({ kind: "serving", boot, pid: boot, tookMs: 500 });
  };
  const story: Story = {
    events,
    add,
    wait: (ms) => {
      at += ms;
      return story;
    },
    submit: (id, given) => add({ kind: "submit", client, job: intent(id, given) }),
    again: (id) => add({ kind: "again", client, id }),
    accepted: (id, as = id) => add({ kind: "accepted", client, id, as }),
    refused: (id) => add({ kind: "refused", client, id, reason: "queue_full" }),
    runs: (id, attempt, how = "returned") => story.begins(id, attempt).ends(id, attempt, how),
    begins: (id, attempt, thread = 1) =>
      add({ kind: "began", id, attempt, run: `${id}-${attempt}`, pid: boot, thread }),
    ends: (id, attempt, how = "returned") => add({ kind: "finished", run: `${id}-${attempt}`, how }),
    murders: (id, attempt) => add({ kind: "murders", run: `${id}-${attempt}`, how: "exit" }),
    open: (stream, after) => add({ kind: "open", client, channel, stream, after }),
    result: (stream, cursor, id, given = {}) => {
      const isGood = (given.state ?? "SUCCEEDED") === "SUCCEEDED";
      const { attempts = 1 } = given;
      return add({
        ...{ kind: "result", client, channel, stream, cursor, id, state: "SUCCEEDED", attempts, redrives: 0 },
        ...{ sha256: isGood ? hashOf(id) : null, run: isGood ? `${id}-${attempts}` : null, reason: null },
        ...given,
      });
    },
    acked: (cursor) => add({ kind: "ack", client, channel, cursor }) && add({ kind: "acked", client, channel, cursor }),
    cancel: (id, says) => add({ kind: "cancel", client, id }) && add({ kind: "cancel-answered", client, id, says }),
    killed: () => end("SIGKILL"),
    stopped: () => end("stopped"),
  };
  return story;
}

/** Two jobs, one of them tried twice, a kill between, a reader that comes back: nothing is wrong with it. */
export function goodStory(): Story {
  return tell()
    .open("s1", 0)
    .submit("a")
    .accepted("a")
    .runs("a", 1)
    .result("s1", 1, "a")
    .acked(1)
    .submit("b", { failures: 1, key: "k" })
    .accepted("b")
    .runs("b", 1, "threw")
    .begins("b", 2)
    .killed()
    .open("s2", 1)
    .wait(100)
    .runs("b", 3)
    .result("s2", 2, "b", { attempts: 3 })
    .submit("c")
    .refused("c")
    .add({ kind: "at-rest", client, queued: 0, running: 0 })
    .add({ kind: "store", integrity: [], counters: { "cpu SUCCEEDED": 2 }, rows: { "cpu SUCCEEDED": 2 } });
}
