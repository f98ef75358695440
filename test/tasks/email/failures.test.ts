/** What becomes of a mail that the SMTP server does not take, or perhaps takes. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type Answer, type Asked, openSmtpServer } from "../../support/smtp-server.ts";
import emailSend from "../../../src/tasks/email-send.ts";
import { until } from "../../support/until.ts";
import { openSender } from "./run-email.ts";

/** Answers one stage, and takes all others. */
const at = (stage: Asked["stage"], answer: Answer | Promise<Answer>) => (asked: Asked) =>
  asked.stage === stage ? answer : "take";

const short = (failure: { reason: string; retryable: boolean }) =>
  `${failure.reason} ${failure.retryable ? "retry" : "dead"}`;

suite("email.send", { concurrency: true }, () => {
  for (const [stage, answer, expected] of [
    ["connect", "421 4.3.2 too many connections", "smtp_deferred retry"],
    ["connect", "554 5.7.1 not from there", "smtp_refused dead"],
    ["from", "451 4.7.1 come back later", "smtp_deferred retry"],
    ["from", "550 5.7.1 sender not allowed", "smtp_refused dead"],
    ["to", "450 4.2.1 greylisted", "smtp_deferred retry"],
    ["to", "550 5.1.1 no such user", "smtp_refused dead"],
    ["whole", "452 4.3.1 no space left", "smtp_deferred retry"],
    ["whole", "554 5.6.0 this is spam", "smtp_refused dead"],
    ["connect", "drop", "smtp_unavailable retry"],
    ["from", "drop", "smtp_unavailable retry"],
    ["to", "drop", "smtp_unavailable retry"],
  ] as const) {
    test(`of a server that answers ${stage} with ${answer} fails with ${expected}`, async (t) => {
      const sender = await openSender(t, { answer: at(stage, answer) });

      const failure = await sender.failureOf();

      assert.equal(short(failure), expected);
      assert.match(failure.message, /SMTP server "main" \(localhost:\d+\)/);
      if (answer !== "drop") assert.ok(failure.message.includes(answer.slice(4)), failure.message);
      assert.deepEqual(sender.server.taken, []);
    });
  }

  test("of a server that cuts the connection in the middle of a mail is retried: it has no end yet", async (t) => {
    const sender = await openSender(t, { answer: at("body", "drop") });

    assert.equal(short(await sender.failureOf({ text: "a long line\n".repeat(500_000) })), "smtp_unavailable retry");
  });

  for (const [unknownOutcome, expected] of [
    ["retry", "smtp_outcome_unknown retry"],
    ["dead", "smtp_outcome_unknown dead"],
  ]) {
    test(`of a server that is gone after it got the whole mail fails with ${expected} where unknownOutcome is ${unknownOutcome}`, async (t) => {
      const sender = await openSender(t, { answer: at("whole", "drop") }, { unknownOutcome });

      const failure = await sender.failureOf();

      assert.equal(short(failure), expected);
      assert.match(failure.message, /received the whole mail and did not answer: .*; it may have been sent/);
    });
  }

  test("that gets no answer to a whole mail fails before its attempt is asked to stop", async (t) => {
    const sender = await openSender(t, { answer: at("whole", new Promise<never>(() => {})) });
    const seen: string[] = [];
    // a machine that is too slow for a mail within the first of these times is asked again
    for (const withinMs of [1000, 4000, 16_000, 64_000]) {
      seen.push(short(await sender.failureOf({}, { deadlineAt: Date.now() + withinMs })));
      if (seen.at(-1) !== "smtp_unavailable retry") break;
    }

    assert.equal(seen.at(-1), "smtp_outcome_unknown retry");
  });

  test("that gets no answer before the mail is whole is retried: it was not sent", async (t) => {
    const sender = await openSender(t, { answer: at("to", new Promise<never>(() => {})) }, { answerMs: 300 });

    assert.equal(short(await sender.failureOf()), "smtp_unavailable retry");
  });

  test("that is cancelled before the mail is whole stops at once, and nothing is sent", async (t) => {
    const stop = new AbortController();
    const asked = Promise.withResolvers<Answer>();
    const answer = ({ stage }: Asked) => {
      if (stage !== "to") return "take";
      stop.abort(new Error("asked to stop"));
      return asked.promise;
    };
    const sender = await openSender(t, { answer });

    await assert.rejects(sender.send({}, { signal: stop.signal }), /asked to stop/);

    asked.resolve("take");
    assert.deepEqual(sender.server.taken, []);
  });

  test("that is cancelled after the mail is whole waits for the answer, for the mail may be on its way", async (t) => {
    const stop = new AbortController();
    const answer = ({ stage }: Asked) => {
      if (stage === "whole") stop.abort(new Error("asked to stop"));
      return "take" as const;
    };
    const sender = await openSender(t, { answer });

    const { messageId } = await sender.send({}, { signal: stop.signal });

    assert.deepEqual(
      sender.server.taken.map((mail) => mail.messageId),
      [messageId],
    );
  });

  test("of which one recipient is refused for good goes to the others, and names it", async (t) => {
    const refuse = (asked: Asked) =>
      asked.stage === "to" && asked.address.startsWith("gone") ? "550 no such user" : "take";
    const sender = await openSender(t, { answer: refuse });

    const output = await sender.send({ to: [{ address: "ada@example.com" }], cc: [{ address: "gone@example.com" }] });

    assert.deepEqual(output.accepted, ["ada@example.com"]);
    assert.deepEqual(
      output.rejected.map(({ address, response }) => [address, response]),
      [["gone@example.com", "550 no such user"]],
    );
    assert.deepEqual(sender.server.taken[0]?.to, ["ada@example.com"]);
  });

  test("of which one recipient is put off goes to nobody, and is retried as a whole", async (t) => {
    const defer = (asked: Asked) =>
      asked.stage === "to" && asked.address.startsWith("later") ? "450 greylisted" : "take";
    const sender = await openSender(t, { answer: defer });

    const failure = await sender.failureOf({
      to: ["ada@example.com", "later@example.com"].map((address) => ({ address })),
    });

    assert.equal(short(failure), "smtp_deferred retry");
    assert.deepEqual(failure.details?.["rejected"], [{ address: "later@example.com", response: "450 greylisted" }]);
    assert.deepEqual(sender.server.taken, []);
  });

  test("to a server that is not there is retried, and the resource reports it until it is back", async (t) => {
    const sender = await openSender(t);
    const { port } = sender.server;
    await sender.server.close();

    assert.equal(short(await sender.failureOf()), "smtp_unavailable retry");
    const back = await openSmtpServer({ port });
    t.after(() => back.close());
    await sender.send();

    const [away, well] = sender.reports;
    assert.deepEqual(away?.[0], "main");
    assert.match(away?.[1] ?? "", /ECONNREFUSED/);
    assert.deepEqual(well, ["main", undefined]);
    assert.equal(back.taken.length, 1);
  });

  test("to a server that is away for half an hour is tried again after that, but for one mail in a hundred", () => {
    const { maxAttempts = 0, baseMs = 0, factor = 0, maxBackoffMs = 0 } = emailSend.retry ?? {};
    const pauses = Array.from({ length: maxAttempts - 1 }, (_, index) =>
      Math.min(baseMs * factor ** index, maxBackoffMs),
    );
    // each is drawn evenly from 0 to that, so their sum is normal by and large: 2.33 deviations below its mean is the hundredth
    const mean = pauses.reduce((sum, each) => sum + each / 2, 0);
    const deviation = Math.sqrt(pauses.reduce((sum, each) => sum + each ** 2 / 12, 0));

    assert.ok(mean - 2.33 * deviation > 1_800_000, `${mean} - 2.33 * ${deviation} ms`);
  });

  test("knows whether a server is there before the first mail, which gets the connection that the probe made", async (t) => {
    const sender = await openSender(t);
    const { signal } = new AbortController();
    await sender.smtp.probe(signal);
    await sender.send();

    assert.deepEqual(sender.reports, [["main", undefined]]);
    assert.equal(sender.server.connections.all, 1);

    await sender.server.close();
    await sender.smtp.probe(signal, () => true);
    assert.equal(sender.reports.length, 1, "one that is known to be well is not asked");
    const problem = () => sender.reports.at(-1)?.[1];
    await until(async () => {
      await sender.smtp.probe(signal); // the first time it may have a connection whose end it has not seen
      return problem() !== undefined;
    });
    assert.match(problem() ?? "", /ECONNREFUSED|closed/);
  });

  test("to a server that refuses the login is known to fail before the first mail", async (t) => {
    const answer = at("login", "535 5.7.8 not you");
    const sender = await openSender(t, { withLogin: true, answer }, { user: "mill", passwordEnv: "PATH" });
    await sender.smtp.probe(new AbortController().signal);

    assert.match(sender.reports[0]?.[1] ?? "", /535 5.7.8 not you/);
  });

  test("larger than the server takes is refused for good", async (t) => {
    const sender = await openSender(t, { sizeBytes: 1000 });

    const failure = await sender.failureOf({ text: "x".repeat(2000) });

    assert.equal(short(failure), "smtp_refused dead");
    assert.match(failure.message, /1000/);
  });
});
