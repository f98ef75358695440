/** Whether the demo went as it should: what the server of Millpond says, against what the SMTP server took. */
import type { JobInfo, ServerSnapshot } from "../../../clients/typescript/index.ts";
import type { PostOffice } from "./post-office.ts";

/** What became of one user's mail. */
export type Mailed = {
  readonly address: string;
  readonly jobId: string;
  readonly isSent: boolean;
  readonly attempts: number;
  /** Why not. */
  readonly reason: string | undefined;
};

export type Story = {
  readonly users: number;
  readonly mails: readonly Mailed[];
  readonly deadLetters: readonly JobInfo[];
  readonly snapshot: ServerSnapshot;
  readonly office: PostOffice;
  readonly connections: number;
};

/** Everything that is not as it should be, before anything is redriven. */
export function faultsOf({ users, mails, deadLetters, snapshot, office, connections }: Story): string[] {
  const faults: string[] = [];
  const expect = (what: string, seen: number, expected: number) => {
    if (seen !== expected) faults.push(`${what} should be ${expected} and it is ${seen}`);
  };
  const sent = mails.filter(({ isSent }) => isSent);
  const failed = mails.filter(({ isSent }) => !isSent);
  const task = snapshot.tasks.find(({ task }) => task === "email.send");

  expect("the number of mails", mails.length, users);
  expect("the number of addresses", new Set(mails.map(({ address }) => address)).size, users);
  expect("what the SMTP server took", office.server.taken.length, sent.length);
  expect("what Millpond counts as sent", task?.succeeded ?? 0, sent.length);
  expect("the failed mails", failed.length, office.unknown.size);
  expect("the dead letters", deadLetters.length, failed.length);
  expect("the mails that were put off and sent at the second attempt", twice(mails, office), office.putOff.size);
  if (office.server.connections.most > connections) {
    faults.push(`there were ${office.server.connections.most} connections and the limit is ${connections}`);
  }
  for (const { address, reason } of failed) {
    if (reason !== "smtp_refused") faults.push(`the mail to ${address} failed with ${reason}`);
  }
  return [...faults, ...faultsOfIds(sent, office)];
}

/** Each mail arrived once, under the Message-ID of its job. */
export function faultsOfIds(sent: readonly Mailed[], { server }: PostOffice): string[] {
  const arrived = Map.groupBy(server.taken, ({ messageId }) => messageId.slice(1, messageId.indexOf("@")));
  const faults = sent
    .filter(({ jobId, address }) => arrived.get(jobId)?.[0]?.to.join() !== address)
    .map(({ jobId, address }) => `the mail of job ${jobId} did not arrive at ${address}`);
  for (const [jobId, { length }] of arrived) {
    if (length > 1) faults.push(`the mail of job ${jobId} arrived ${length} times`);
  }
  if (arrived.size !== sent.length)
    faults.push(`${arrived.size} different mails arrived, of ${sent.length} that were sent`);
  return faults;
}

function twice(mails: readonly Mailed[], { putOff }: PostOffice): number {
  return mails.filter(({ address, isSent, attempts }) => isSent && attempts === 2 && putOff.has(address)).length;
}
