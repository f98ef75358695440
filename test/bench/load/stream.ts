/** One exchange stream of the load generator: every result is counted and acknowledged. */
import { create } from "@bufbuild/protobuf";
import { type Connection, type Exchange, type Job, openExchange } from "../../../clients/typescript/index.ts";
import { AckResultsRequestSchema, WorkerPoolService } from "../../../src/gen/millpond/v1/worker_pool_pb.ts";
import { createTally, type Tally } from "./tally.ts";

export type LoadStream = {
  readonly tally: Tally;
  /** Sends jobs in one message; false when the stream is full, and then none was sent. */
  submit(jobs: readonly Job[]): boolean;
  /** Waits for what is under way, at most `drainMs`, and ends the stream. Rejects when the server does not agree. */
  finish(): Promise<void>;
};

/** The most that a server allows. */
const maxUnacked = 10_000;
const drainMs = 30_000;
const callMs = 10_000;

/** Opens a stream on a new channel. `onRoom` is called when there may be room for more jobs. */
export async function openLoadStream(
  connection: Connection,
  channel: string,
  onRoom: () => void,
  tally: Tally = createTally(),
): Promise<LoadStream> {
  let cursor = 0;
  let ackedCursor = 0;
  const drained = Promise.withResolvers<void>();
  drained.promise.catch(() => undefined); // a stream that breaks is seen by `finish`
  let isFinishing = false;
  const open: { exchange?: Exchange<Job> } = {}; // results may come before `openExchange` is back

  const acknowledge = () => {
    if (ackedCursor < cursor && open.exchange?.ack(cursor)) ackedCursor = cursor;
    if (isFinishing && tally.underWay() === 0 && ackedCursor === cursor) drained.resolve();
  };
  const exchange = await openExchange<Job>(connection, {
    channel,
    maxUnacked,
    onAccepted: (_, receipts) => tally.accepted(receipts),
    onResults(results, last) {
      tally.received(results, performance.now());
      cursor = last;
      acknowledge();
      onRoom();
    },
    onDrain() {
      acknowledge();
      onRoom();
    },
  });
  open.exchange = exchange;
  acknowledge();
  exchange.closed.catch(drained.reject);

  return {
    tally,
    submit(jobs) {
      const at = performance.now();
      if (exchange.submit(jobs) === 0) return false;
      tally.submitted(
        jobs.map(({ spec }) => spec.id),
        at,
      );
      return true;
    },
    async finish() {
      isFinishing = true;
      acknowledge();
      const timer = setTimeout(drained.resolve, drainMs); // what is still missing then is counted as lost
      await drained.promise;
      clearTimeout(timer);
      if (tally.underWay() > 0) exchange.cancel();
      else await endInOrder();
    },
  };

  async function endInOrder(): Promise<void> {
    exchange.end();
    await exchange.closed;
    const request = create(AckResultsRequestSchema, { channel, cursor: BigInt(cursor) });
    const answer = await connection.unary(WorkerPoolService.method.ackResults, request, callMs);
    if (Number(answer.cursor) !== cursor || cursor !== tally.results()) {
      const found = `the channel's cursor is ${answer.cursor}, the last result's ${cursor}, results ${tally.results()}`;
      throw new Error(`acknowledgements do not add up: ${found}`);
    }
  }
}
