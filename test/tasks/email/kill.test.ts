/** `email.send` in a server that is killed in the middle of its mails. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect, emailSend, job, newJobId } from "../../../clients/typescript/index.ts";
import { startMillpond } from "../../cli/server.ts";
import { openSmtpServer } from "../../support/smtp-server.ts";
import { until } from "../../support/until.ts";
import { plainMail } from "./run-email.ts";

const mails = 100;
const workers = 3;

test("a server killed in the middle loses no mail, and sends none twice but those that were answered and not settled", async (t) => {
  let isKilled = false;
  const smtp = await openSmtpServer({
    // on a busy machine all of them might be sent before the server is killed
    answer: ({ stage }) =>
      stage === "from" && !isKilled && smtp.taken.length >= mails / 2 ? new Promise<never>(() => {}) : "take",
  });
  const folder = await mkdtemp(join(tmpdir(), "millpond-mails-"));
  const servers = { main: { host: "127.0.0.1", port: smtp.port, tls: "none", connections: workers } };
  const settings = ["--resources", JSON.stringify({ smtp: { servers } }), "--pools", `{io: {workers: ${workers}}}`];
  const start = () => startMillpond([...settings, "--data-dir", folder, "--log-level", "silent"]);
  t.after(async () => {
    await smtp.close();
    await rm(folder, { recursive: true, force: true });
  });

  const killed = await start();
  const before = connect({ address: killed.serving.grpc, client: "mailer" });
  const ids = Array.from({ length: mails }, newJobId);
  await before.submitAll(ids.map((id) => job(emailSend, plainMail, { id, channel: "mails", retry: { baseMs: 1 } })));
  await until(() => smtp.taken.length >= mails / 4);
  await killed.signal("SIGKILL");
  isKilled = true;
  await before.close();
  await until(() => smtp.connections.now === 0);
  const answered = new Set(smtp.taken.map(jobOf));
  assert.ok(answered.size < mails, "it was killed in the middle");

  const server = await start();
  t.after(async () => {
    await client.close();
    await Promise.all([killed.dispose(), server.dispose()]);
  });
  const client = connect({ address: server.serving.grpc, client: "mailer" });
  const open = new Set(ids);
  for await (const { jobId } of client.results({ channel: "mails", autoAck: true })) {
    if (open.delete(jobId) && open.size === 0) break;
  }

  const arrived = Map.groupBy(smtp.taken, jobOf);
  assert.deepEqual([...arrived.keys()].toSorted(), ids.toSorted(), "none is lost");
  const twice = ids.filter((id) => arrived.get(id)?.length !== 1);
  t.diagnostic(`sent twice: ${twice.join(", ") || "none"}`);
  for (const id of twice) {
    const { history, state } = await client.getJob(id);
    assert.ok(answered.has(id), `job ${id} was answered before`);
    assert.equal(arrived.get(id)?.length, 2);
    assert.deepEqual(
      [state, history.map(({ outcome }) => outcome)],
      ["SUCCEEDED", ["lost"]],
      `job ${id} was not settled`,
    );
  }
});

function jobOf({ messageId }: { readonly messageId: string }): string {
  return messageId.slice(1, messageId.indexOf("@"));
}
