/**
 * The clients of a run, in a process of their own. It takes its orders from the process that forked it and answers with
 * how far it is; what it was told by the server goes to its log only.
 */
import { create } from "@bufbuild/protobuf";
import { CancelJobsRequestSchema, WorkerPoolService } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { openLog } from "../history/log.ts";
import { createRandom } from "../random.ts";
import type { Murder } from "../tasks/hash.ts";
import { atTheEnd } from "./at-the-end.ts";
import { createLoad, type LoadOptions, toMurder } from "./intents.ts";
import { openSession, type Session } from "./session.ts";
import { type CallFailure, openWire, unavailable, unimplemented, type Wire } from "./wire.ts";

export type DriverOptions = {
  readonly address: string;
  readonly logPath: string;
  readonly seed: string;
  readonly clients: number;
  readonly channels: number;
  /** Jobs under way at once, on each channel. */
  readonly inFlight: number;
  readonly largeBytes: number;
  /** Letters that each output has beside the hash. Default 0. */
  readonly padding?: number;
  /** How long a slow job lasts at most. Default 10. */
  readonly longMs?: number;
  /** How many of about a hundred jobs are slow. Default 4. */
  readonly slowShare?: number;
  /** Whether jobs go on when they are asked to stop. Default: they obey. */
  readonly isDeaf?: boolean;
  /** Share of the moments with new results at which they are acknowledged. Default a half. */
  readonly ackShare?: number;
};

/** `jobs`: how many may be submitted in all from now on. `murder`: one job more, that does this. `finish`: the faults have stopped; see every job to its end. */
export type Order = { readonly jobs: number } | { readonly murder: Murder } | { readonly finish: true };

/**
 * The first one says that the driver knows the server and takes orders. `left`: so many jobs had no end when nothing
 * moved any more; it is the last.
 */
export type Progress = { readonly submitted: number; readonly done: number } | { readonly left: number };

const progressMs = 50;
/** Without progress for this long there will be none. */
const stallMs = 30_000;

async function drive(options: DriverOptions): Promise<void> {
  const log = openLog(options.logPath);
  const random = createRandom(options.seed);
  const names = Array.from({ length: options.clients }, (_, index) => `client-${index}`);
  const wires = new Map<string, Wire>(names.map((name) => [name, openWire(options.address, name)]));
  const isFull = await isFullServer(wires.get("client-0")!);
  let allowed = 0;
  let submitted = 0;
  let done = 0;
  let firstLoad: LoadOptions | undefined;
  const sessions: Session[] = [];
  const opened: {
    readonly client: string;
    readonly channel: string;
    readonly wire: Wire;
    readonly session: Session;
  }[] = [];
  for (const client of names) {
    for (let index = 0; index < options.channels; index++) {
      const channel = `channel-${index}`;
      const wire = wires.get(client)!;
      const given: LoadOptions = {
        ...{
          client,
          channel,
          isFull,
          largeBytes: options.largeBytes,
          padding: options.padding ?? 0,
          longMs: options.longMs ?? 10,
          slowShare: options.slowShare ?? 4,
          isDeaf: options.isDeaf ?? false,
        },
        random: random.fork(`${client} ${channel} load`),
      };
      firstLoad ??= given;
      const load = createLoad(given);
      const session = openSession({
        ...{
          client,
          channel,
          wire,
          log,
          inFlight: options.inFlight,
          ackShare: options.ackShare ?? 0.5,
          random: random.fork(`${client} ${channel}`),
        },
        nextJob: () => {
          if (submitted >= allowed) return undefined;
          submitted += 1;
          return load();
        },
        onDone: () => {
          done += 1;
        },
      });
      sessions.push(session);
      opened.push({ client, channel, wire, session });
    }
  }

  const waiting = () => sessions.reduce((sum, session) => sum + session.waiting(), 0);
  const tell = (progress: Progress) => void process.send?.(progress);
  const ticker = setInterval(() => {
    log.flush();
    tell({ submitted, done });
  }, progressMs);

  async function finish(): Promise<void> {
    let best = done;
    let since = performance.now();
    while ((submitted < allowed || waiting() > 0) && performance.now() - since < stallMs) {
      await new Promise((resolve) => void setTimeout(resolve, progressMs));
      if (done === best) continue;
      best = done;
      since = performance.now();
    }
    const left = waiting();
    await atTheEnd({ opened, log, isFull });
    clearInterval(ticker);
    await Promise.all(sessions.map((session) => session.close()));
    log.flush();
    tell({ left });
    for (const wire of wires.values()) wire.close();
    process.disconnect?.();
    process.exitCode = 0;
  }

  tell({ submitted, done });
  process.on("message", (order: Order) => {
    if ("finish" in order) void finish();
    else if ("murder" in order) {
      submitted += 1;
      allowed += 1;
      sessions[0]!.submit(toMurder(firstLoad!, order.murder));
    } else {
      allowed = order.jobs;
      for (const session of sessions) session.pump();
    }
  });
  process.on("disconnect", () => process.exit(1)); // whoever forked it is gone
}

/** Whether the server can cancel, delay and the like: one of before cannot. Asks until there is an answer. */
async function isFullServer(wire: Wire): Promise<boolean> {
  const request = create(CancelJobsRequestSchema, { jobIds: ["01890000-0000-7000-8000-000000000000"] });
  for (;;) {
    try {
      await wire.unary(WorkerPoolService.method.cancelJobs, request, 10_000);
      return true;
    } catch (error) {
      const { code } = error as CallFailure;
      if (code === unimplemented) return false;
      if (code !== unavailable) {
        throw new Error(`the server's answer to CancelJobs was ${JSON.stringify(error)}`, { cause: error });
      }
      await new Promise((resolve) => void setTimeout(resolve, progressMs));
    }
  }
}

await drive(JSON.parse(process.argv[2]!) as DriverOptions);
