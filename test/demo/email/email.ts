/**
 * The demo of `email.send` and `db.query`: jobs read the inactive users of a database, and each user gets one mail, by a
 * job of its own, over ten connections to a real SMTP server that puts some off and refuses others.
 */
import { join } from "node:path";
import { connect, emailSend, type InputOf, type MillpondClient } from "../../../clients/typescript/index.ts";
import { duration, rate } from "../../../src/cli/print/format.ts";
import { startServer } from "../server.ts";
import { say, showStats } from "../show.ts";
import { openPostOffice, type PostOffice } from "./post-office.ts";
import { createMailProgress } from "./progress.ts";
import { countInactive, inactiveUsers, makeUsers, usersDatabase } from "./users.ts";
import { faultsOf, faultsOfIds, type Mailed } from "./verify.ts";

const users = 1000;
const connections = 10;
/** Of the inactive users, whose ids are multiples of three, these have no mailbox. */
const withoutMailbox = [60, 471, 999, 1500, 2001, 2304, 2700].map((id) => `user.${id}@pond.example`);

const template = {
  subject: "We miss you, {{name}}",
  text: "Dear {{name}},\n\nthe pond has been quiet since you were here on {{lastSeen}}.\n\nThe mill\n",
  html: "<p>Dear {{name}},</p><p>the pond has been quiet since you were here on <b>{{lastSeen}}</b>.</p><p>The mill</p>",
};

/** Returns what is not as it should be. */
export async function emailInactiveUsers(root: string, signal: AbortSignal): Promise<string[]> {
  const database = join(root, "users.sqlite");
  makeUsers(database, users);
  const office = await openPostOffice(new Set(withoutMailbox));
  const main = { host: "127.0.0.1", port: office.server.port, tls: "none", from: "mill@pond.example", connections };
  const settings = {
    pools: { io: { workers: connections } },
    resources: {
      smtp: { servers: { main }, templates: { "we-miss-you": template } },
      databases: { users: usersDatabase(database) },
    },
  };
  const server = await startServer(root, settings, signal);
  say(`\nA server on ${server.address}, with ${connections} workers; an SMTP server on 127.0.0.1:${main.port}`, "head");
  const client = connect({ address: server.address, client: "demo" });
  const faults: string[] = [];
  try {
    const mails = await sendAll(client, signal);
    faults.push(...(await showOutcome(client, mails, office)));
    faults.push(...(await redriveOne(client, mails, office, signal)));
  } finally {
    await client.close();
    const exitCode = await server.stop();
    if (exitCode !== 0 && !signal.aborted) faults.push(`the server ended with ${exitCode} instead of 0 after SIGTERM`);
    await office.server.close();
  }
  if (faults.length === 0) say(`\n${office.server.taken.length} mails arrived, each of them once`, "good");
  return faults;
}

async function sendAll(client: MillpondClient, signal: AbortSignal): Promise<Mailed[]> {
  const total = await countInactive(client);
  say(`\n${total} of ${users * 3} users are inactive, says a job; each gets a mail by a job of its own`, "head");
  const progress = createMailProgress(total);
  const mails: Mailed[] = [];
  // a server that puts a mail off would have it again in minutes; here it is fine after some milliseconds
  const job = { retry: { baseMs: 50, maxBackoffMs: 1000 } };
  for await (const { input, result, refusal } of client.map(emailSend, mailsTo(client), { signal, job })) {
    if (refusal) throw new Error(`a mail was refused: ${refusal.message}`);
    const { jobId, attempts, failure } = result;
    const address = input.to?.[0]?.address ?? "";
    mails.push({ address, jobId, attempts, isSent: failure === undefined, reason: failure?.reason });
    progress.add(failure === undefined);
  }
  const { tookMs, perSecond, later } = progress.end();
  say(
    `  ${mails.length} mails in ${duration(tookMs)}: ${rate(perSecond)} from the start, ${rate(later)} in the second half`,
  );
  return mails;
}

async function* mailsTo(
  client: MillpondClient,
): AsyncGenerator<Exclude<InputOf<typeof emailSend>, { $typeName: string }>> {
  for await (const { name, email, lastSeen } of inactiveUsers(client)) {
    yield { to: [{ address: email, name }], template: "we-miss-you", values: { name, lastSeen } };
  }
}

async function showOutcome(client: MillpondClient, mails: readonly Mailed[], office: PostOffice): Promise<string[]> {
  const snapshot = await client.stats();
  say("\nThe server's own statistics", "head");
  showStats(snapshot);
  const { server, putOff } = office;
  say("\nWhat the SMTP server says", "head");
  say(`  it took ${server.taken.length} mails over ${server.connections.most} connections at most`);
  say(`  it put ${putOff.size} off at first, and then took them at the second attempt`);
  say("\nDead letters", "head");
  const deadLetters = await Array.fromAsync(client.deadLetters({ filter: { task: "email.send" } }));
  for (const { id, attempts, result } of deadLetters.toReversed()) {
    const to = mails.find(({ jobId }) => jobId === id)?.address;
    say(`  ${to}: ${result?.failure?.message} (attempt ${attempts}, job ${id})`);
  }
  return faultsOf({ users, mails, deadLetters, snapshot, office, connections });
}

/** One of the mailboxes is made, and the mail to it is sent after all. */
async function redriveOne(
  client: MillpondClient,
  mails: readonly Mailed[],
  office: PostOffice,
  signal: AbortSignal,
): Promise<string[]> {
  const [address = ""] = withoutMailbox;
  const mail = mails.find((each) => each.address === address);
  if (!mail) return [`no mail was made for ${address}`];
  office.unknown.delete(address);
  await client.redrive([mail.jobId]);
  for await (const _ of client.watch(mail.jobId, { signal })); // ends when the job does
  const { state } = await client.getJob(mail.jobId);
  say(`  ${address} has a mailbox now: its mail is redriven and ${state}`, state === "SUCCEEDED" ? "good" : "bad");
  const sent = mails.filter((each) => each.isSent || each === mail);
  return faultsOfIds(sent, office);
}
