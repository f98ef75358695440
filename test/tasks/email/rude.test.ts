/** SMTP servers that break the rules of SMTP: none of them keeps a mail waiting, or has it taken for sent. */
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { drip, openRudeServer, type Rude } from "./rude-server.ts";
import { openSenderTo } from "./run-email.ts";

const short = (failure: { reason: string; retryable: boolean }) =>
  `${failure.reason} ${failure.retryable ? "retry" : "dead"}`;
const large = { attachments: [{ filename: "a.bin", content: Buffer.alloc(8 * 1024 * 1024) }] };

async function open(t: TestContext, rude: Rude, given: { readonly [key: string]: unknown } = {}) {
  const server = await openRudeServer(t, rude);
  return { server, ...(await openSenderTo(t, server.port, given)) };
}

/** Fails with this reason and words, also where a machine is too slow for the shortest of the bounds. */
async function assertBound(t: TestContext, rude: Rude, key: string, expected: string, said: string, given = {}) {
  for (const ms of [300, 1200, 4800, 19_200]) {
    const { failureOf } = await open(t, rude, { ...given, [key]: ms });
    const failure = await failureOf();
    if (short(failure) === expected && failure.message.includes(said)) return;
    t.diagnostic(`with ${ms} ms: ${failure.message}`);
  }
  assert.fail(`no failure is ${expected} with "${said}"`);
}

suite("email.send to a server", { concurrency: true, timeout: 120_000 }, () => {
  test("that never ends its answer to EHLO gives up after connectMs", async (t) => {
    const rude: Rude = (command, socket) => (command === "EHLO" ? drip(socket) : undefined);
    await assertBound(t, rude, "connectMs", "smtp_unavailable retry", "the connection was not ready within");
  });

  for (const [command, expected] of [
    ["MAIL", "smtp_unavailable retry"],
    ["DATA", "smtp_unavailable retry"],
    [".", "smtp_outcome_unknown retry"],
  ] as const) {
    test(`that never ends its answer to ${command} gives up after answerMs with ${expected}`, async (t) => {
      const rude: Rude = (said, socket) => (said === command ? drip(socket) : undefined);
      await assertBound(t, rude, "answerMs", expected, "no complete answer within");
    });
  }

  test("that refuses a mail and never answers RSET fails at once, and the next mail has another connection", async (t) => {
    const rude: Rude = (command) => (command === "MAIL" ? "550 no\r\n" : command === "RSET" ? "" : undefined);
    const { server, failureOf } = await open(t, rude, { connections: 1, answerMs: 3_600_000 });

    assert.equal(short(await failureOf()), "smtp_refused dead");
    assert.equal(short(await failureOf()), "smtp_refused dead");
    assert.equal(server.connections.all, 2);
  });

  for (const answer of ["250 ok", "200 ok"]) {
    test(`that answers DATA with ${answer} gets no mail`, async (t) => {
      const { server, failureOf } = await open(t, (command) => (command === "DATA" ? `${answer}\r\n` : undefined));
      const failure = await failureOf();

      assert.equal(short(failure), "smtp_unavailable retry");
      assert.match(failure.message, new RegExp(`an unexpected answer: ${answer}`));
      assert.ok(!server.commands.includes("."));
    });
  }

  test("that answers MAIL four times gets no mail", async (t) => {
    const { failureOf } = await open(t, (command) => (command === "MAIL" ? "250 ok\r\n".repeat(4) : undefined));

    assert.equal(short(await failureOf()), "smtp_unavailable retry");
  });

  test("that agrees to STARTTLS and speaks no TLS has no secure connection", async (t) => {
    const rude: Rude = (command) =>
      command === "EHLO" ? "250-rude\r\n250 STARTTLS\r\n" : command === "STARTTLS" ? "250 ok\r\n" : "";
    await assertBound(t, rude, "connectMs", "smtp_tls_failed retry", "", { tls: "starttls" });
  });
});

suite("email.send of a large mail to a server", () => {
  test("that says it has a mail before it has all of it has not taken it", async (t) => {
    const { failureOf } = await open(t, (command, socket) => {
      if (command !== "DATA") return undefined;
      socket.pause();
      return "354 go on\r\n250 early\r\n";
    });
    const failure = await failureOf(large);

    assert.equal(short(failure), "smtp_unavailable retry");
    assert.match(failure.message, /an unexpected answer: 250 early/);
  });

  test("that refuses a mail in the middle gets no further command on that connection", async (t) => {
    const { server, failureOf } = await open(t, (command, socket) => {
      if (command !== "body") return undefined;
      socket.pause();
      return "552 too large\r\n";
    });

    assert.equal(short(await failureOf(large)), "smtp_refused dead");
    assert.deepEqual(server.commands, ["EHLO", "MAIL", "RCPT", "DATA"]);
  });
});
