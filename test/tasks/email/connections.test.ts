/** The connections of a worker thread to its SMTP servers. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { until } from "../../support/until.ts";
import type { Asked } from "../../support/smtp-server.ts";
import { certificateFile } from "../../support/smtp-server.ts";
import { fileURLToPath } from "node:url";
import { openSender } from "./run-email.ts";

const caFile = fileURLToPath(certificateFile);
const many = (count: number) => Array.from({ length: count }, (_, index) => index);

suite("email.send", { concurrency: true }, () => {
  test("sends one mail after the other over the same connection", async (t) => {
    const { server, send } = await openSender(t);
    for (const _ of many(5)) await send();

    assert.equal(server.taken.length, 5);
    assert.equal(server.connections.all, 1);
  });

  test("keeps its connection after a mail that was refused", async (t) => {
    const answer = (asked: Asked) => (asked.stage === "to" && asked.address.startsWith("gone") ? "550 no" : "take");
    const { server, send, failureOf } = await openSender(t, { answer });
    await send();
    for (const _ of many(3)) await failureOf({ to: [{ address: "gone@example.com" }] });
    await send();

    assert.equal(server.connections.all, 1);
  });

  test("never has more connections than the server's limit, also while they close", async (t) => {
    const allThere = Promise.withResolvers<"take">();
    let asked = 0;
    const answer = ({ stage }: Asked) => {
      if (stage !== "from") return "take";
      if (++asked === 3) allThere.resolve("take");
      return allThere.promise;
    };
    const { server, send } = await openSender(t, { answer }, { connections: 3, idleMs: 0 });
    await Promise.all(many(12).map(() => send()));

    assert.equal(server.taken.length, 12);
    assert.equal(server.connections.most, 3);
  });

  test("opens another connection when the one it kept was closed meanwhile: the mail is sent once", async (t) => {
    const { server, send } = await openSender(t);
    await send();
    server.cut();
    await send();

    assert.equal(server.taken.length, 2);
    assert.equal(server.connections.all, 2);
  });

  test("opens another connection when the server says goodbye at the next mail", async (t) => {
    let mails = 0;
    const answer = ({ stage }: Asked) => (stage === "from" && ++mails === 2 ? "421 4.4.2 idle for too long" : "take");
    const { server, send } = await openSender(t, { answer });
    await send();
    await send();

    assert.equal(server.taken.length, 2);
    assert.equal(server.connections.all, 2);
  });

  test("closes a connection that has had no mail for idleMs", async (t) => {
    const { server, send } = await openSender(t, {}, { idleMs: 1 });
    await send();

    await until(() => server.connections.now === 0);
  });

  test("stays below perSecond, however many connections there are", async (t) => {
    const { server, send } = await openSender(t, {}, { perSecond: 20, connections: 10 });
    const startedAt = performance.now();
    await Promise.all(many(11).map(() => send()));

    // two permits that come back after 100 ms each: the eleventh waits for five of them
    assert.ok(performance.now() - startedAt >= 490, `${performance.now() - startedAt} ms`);
    assert.equal(server.taken.length, 11);
  });

  for (const tls of ["starttls", "tls"] as const) {
    test(`sends over ${tls} when the certificate is of an authority that is trusted`, async (t) => {
      const { server, send } = await openSender(t, { tls }, { tls, caFile });
      await send();

      assert.equal(server.taken[0]?.isEncrypted, true);
    });

    test(`sends nothing over ${tls} when the certificate is not trusted`, async (t) => {
      const { server, failureOf, reports } = await openSender(
        t,
        { tls, withLogin: true },
        { tls, user: "u", passwordEnv: "PATH" },
      );
      const failure = await failureOf();

      assert.equal(failure.reason, "smtp_tls_failed");
      assert.ok(failure.retryable);
      assert.match(failure.message, /certificate/);
      assert.match(reports[0]?.[1] ?? "", /certificate/);
      assert.deepEqual(server.taken, []);
    });
  }

  test("sends nothing when the certificate is of another host", async (t) => {
    const { failureOf } = await openSender(t, { tls: "starttls" }, { tls: "starttls", caFile, host: "127.0.0.1" });

    assert.equal((await failureOf()).reason, "smtp_tls_failed");
  });

  test("sends nothing when the server has no STARTTLS: it does not go on without encryption", async (t) => {
    const { server, failureOf } = await openSender(t, { tls: "none" }, { tls: "starttls" });

    assert.equal((await failureOf()).reason, "smtp_tls_failed");
    assert.deepEqual(server.taken, []);
  });
});
