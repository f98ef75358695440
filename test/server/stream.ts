/** Many jobs over one Exchange stream of the TypeScript client, with everything the server said about them. */
import { createConnection, type Job, newJobId, openExchange } from "../../clients/typescript/index.ts";
import type { Result } from "../../src/gen/millpond/v1/job_pb.ts";

export type Told = {
  /** Jobs that the server accepted, now or before. */
  readonly accepted: Set<string>;
  /** Of those the ones that it had accepted before. */
  readonly repeated: Set<string>;
  /** Reasons of refusals, by job. */
  readonly refused: Map<string, string>;
  /** In the order in which they came. */
  readonly results: Result[];
};

export type Sending = {
  readonly address: string;
  readonly channel: string;
  readonly jobs: readonly Job[];
  /** Jobs in one message. */
  readonly pieces: number;
  /** Called after every answer. */
  onTold?(told: Told): void;
};

/** Sends all jobs, says that there are no more, and resolves when the stream has ended, however it did. */
export async function sendAll({ address, channel, jobs, pieces, onTold }: Sending) {
  const told: Told = { accepted: new Set(), repeated: new Set(), refused: new Map(), results: [] };
  const connection = createConnection({ address, client: "ada", keepaliveMs: 0 });
  let sent = 0;
  try {
    const stream = await openExchange<Job>(connection, {
      channel,
      maxUnacked: 10_000, // the server never waits for an acknowledgement
      onAccepted(of, receipts) {
        for (const [index, { receipt }] of receipts.entries()) {
          const id = of[index]?.spec.id ?? "";
          if (receipt.case === "refusal") told.refused.set(id, receipt.value.reason);
          else told.accepted.add(id);
          if (receipt.case === "duplicateOf") told.repeated.add(id);
        }
        onTold?.(told);
      },
      onResults(results) {
        told.results.push(...results);
        onTold?.(told);
      },
      onDrain: () => send(),
    });
    const send = () => {
      while (sent < jobs.length) {
        const taken = stream.submit(jobs.slice(sent, sent + pieces));
        if (taken === 0) return;
        sent += taken;
      }
      stream.end();
    };
    send();
    const error = await stream.closed.then(
      () => undefined,
      (error: unknown) => error,
    );
    return { ...told, error };
  } finally {
    connection.close();
  }
}

/** A channel that no other test uses. */
export const newChannel = () => `channel-${newJobId()}`;
