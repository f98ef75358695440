/** Starts a server on a store that was tampered with, lets it finish its work, and reads out all that it has. */
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
  ResultsRequestSchema,
  StatsRequestSchema,
  WorkerPoolService,
} from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { outputOf, stateOf } from "../driver/result.ts";
import { type CallFailure, openWire, type Wire } from "../driver/wire.ts";
import type { Event } from "../history/event.ts";
import { now } from "../history/log.ts";
import { type ServerProcess, StartFailure, startServer } from "./server.ts";
import { fewWorkers, tasksDir } from "./stage.ts";

export type Channel = { readonly client: string; readonly channel: string };

export type ReadOutOptions = {
  readonly root: string;
  readonly dataDir: string;
  /** Where executions are written down. */
  readonly runsPath: string;
  readonly channels: readonly Channel[];
};

/**
 * `refused`: it did not start. `ended`: it started, and then said that something is wrong, to a client or by its end.
 * `served`: to the end; but for the jobs that it named, everything must be right.
 */
export type ReadOut =
  | { readonly kind: "refused" | "ended"; readonly said: string }
  /** `said`: what it logged as an error, if anything; some jobs may be named there as damaged. */
  | { readonly kind: "served"; readonly said: string; readonly events: readonly Event[] };

/** A machine with other work may need them. */
const [timeoutMs, restMs, stopMs] = [120_000, 600_000, 120_000];
const { method } = WorkerPoolService;

export async function readOut({ root, dataDir, runsPath, channels }: ReadOutOptions): Promise<ReadOut> {
  const flags = ["--data-dir", dataDir, "--tasks-dir", tasksDir, "--pools", fewWorkers, "--log-level", "error"];
  let server: ServerProcess;
  try {
    server = await startServer({ root, flags, env: { NEMESIS_RUNS: runsPath } });
  } catch (error) {
    if (error instanceof StartFailure) return { kind: "refused", said: error.ended.stderr };
    throw error;
  }
  const wires = new Map(channels.map(({ client }) => [client, openWire(server.grpc, client, timeoutMs)]));
  try {
    const events: Event[] = [];
    await waitForRest(wires.get(channels[0]!.client)!);
    for (const each of channels) events.push(...(await readChannel(wires.get(each.client)!, each)));
    server.kill("SIGTERM");
    const { code, stderr } = await bounded(server);
    return code === 0
      ? { kind: "served", said: stderr, events }
      : { kind: "ended", said: `ended with ${code}: ${stderr}` };
  } catch (error) {
    server.kill("SIGKILL");
    const { stderr } = await server.ended;
    return { kind: "ended", said: `${(error as CallFailure).reason}: ${stderr}` };
  } finally {
    for (const wire of wires.values()) wire.close();
  }
}

/** Where a read-out writes its executions. */
export const runsOf = (folder: string) => join(folder, "runs.jsonl");

async function waitForRest(wire: Wire): Promise<void> {
  const until = performance.now() + restMs;
  for (;;) {
    const { snapshot } = await wire.unary(method.stats, create(StatsRequestSchema), timeoutMs);
    const open = (snapshot?.pools ?? []).reduce((sum, { queued, running }) => sum + Number(queued) + running, 0);
    if (open === 0 || performance.now() > until) return;
    await new Promise((resolve) => void setTimeout(resolve, 50));
  }
}

async function readChannel(wire: Wire, { client, channel }: Channel): Promise<Event[]> {
  const stream = `${client}/${channel}#read-out`;
  const events: Event[] = [{ at: now(), client, kind: "open", channel, stream, after: 0 }];
  const request = create(ResultsRequestSchema, { channel, stopAtEnd: true });
  await wire.collect(method.results, request, timeoutMs, ({ results }) => {
    for (const result of results) {
      const { cursor, jobId: id, state, attempts, redrives, failure } = result;
      events.push({
        ...{ at: now(), client, channel, kind: "result", stream, cursor: Number(cursor), id, attempts, redrives },
        ...{ state: stateOf(state), ...outputOf(result), reason: failure?.reason ?? null },
      });
    }
  });
  return events;
}

async function bounded(server: ServerProcess) {
  const timer = setTimeout(() => server.kill("SIGKILL"), stopMs);
  const ended = await server.ended;
  clearTimeout(timer);
  return ended;
}
