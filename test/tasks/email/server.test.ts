/** `email.send` in a whole server, with SMTP servers that behave in different ways. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { inspect } from "node:util";
import { connect, emailSend, type MillpondClient, MillpondClientError } from "../../../clients/typescript/index.ts";
import { startMillpond, type TestServer } from "../../cli/server.ts";
import { type Answer, type Asked, openSmtpServer } from "../../support/smtp-server.ts";
import { until } from "../../support/until.ts";
import { openReceiver, type Receiver } from "../../telemetry/receiver.ts";
import { plainMail } from "./run-email.ts";

const user = "mill@example.com";
const password = "c4n4ry-p4ssw0rd";
const base64 = (text: string) => Buffer.from(text).toString("base64").replace(/=+$/, "");
/** As it is, and as it goes over the wire. */
const forms = [password, base64(password), base64(`\0${user}\0${password}`)];

/** Three that know the password, and two of them repeat it. */
const answers: { readonly [server: string]: (asked: Asked) => Answer } = {
  takes: () => "take",
  repeats: ({ stage }) => (stage === "login" ? `535 not understood: AUTH PLAIN ${forms.join(" ")}` : "take"),
  later: ({ stage }) => (stage === "to" ? `550 not for ${forms.join(" ")}` : "take"),
};

suite("a server with email.send", () => {
  const logins: string[] = [];
  const ends: (() => unknown)[] = [];
  let receiver: Receiver;
  let server: TestServer;
  let client: MillpondClient;
  let awayPort: number;

  before(async () => {
    receiver = await openReceiver({ after: (close) => void ends.push(close as () => unknown) });
    const away = await openSmtpServer();
    awayPort = away.port;
    await away.close();
    const servers: { [name: string]: object } = { away: { host: "127.0.0.1", port: awayPort, tls: "none" } };
    for (const [name, answer] of Object.entries(answers)) {
      const smtp = await openSmtpServer({
        withLogin: true,
        answer(asked) {
          if (asked.stage === "login") logins.push(`${asked.user} ${asked.password}`);
          return answer(asked);
        },
      });
      ends.push(() => smtp.close());
      servers[name] = { host: "127.0.0.1", port: smtp.port, tls: "none", user, passwordEnv: "SMTP_PASSWORD" };
    }
    const env = { SMTP_PASSWORD: password, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRICS_EXPORTER: "none" };
    server = await startMillpond(["--resources", JSON.stringify({ smtp: { servers } }), "--log-level", "debug"], {
      env: { ...env, OTEL_TRACES_SAMPLER: "always_on" },
    });
    client = connect({ address: server.serving.grpc, client: "mailer" });
  });
  after(async () => {
    await client.close();
    await server.dispose();
    for (const end of ends) await end();
  });

  const send = (name: string) => client.run(emailSend, { ...plainMail, server: name }, { retry: { maxAttempts: 1 } });

  /** What Stats says is wrong with an SMTP server. */
  async function problemOf(name: string): Promise<string | undefined> {
    const { resources } = await client.stats();
    const parts = resources.find(({ resource }) => resource === "smtp")?.parts ?? [];
    return parts.find(({ part }) => part === name)?.problem;
  }

  test("starts while an SMTP server is away, says so in Stats, and sends over it when it is there", async () => {
    await until(async () => (await problemOf("away")) !== undefined); // before the first mail
    const away = await send("away");
    assert.equal(away.failure?.reason, "smtp_unavailable");
    assert.match(
      away.failure?.message ?? "",
      /^SMTP server "away" \(127.0.0.1:\d+\) is unavailable: connect ECONNREFUSED/,
    );
    assert.match((await problemOf("away")) ?? "", /ECONNREFUSED/);

    const smtp = await openSmtpServer({ port: awayPort });
    ends.push(() => smtp.close());
    const { jobId, output } = await send("away");

    assert.equal(output?.messageId, `<${jobId}@example.com>`);
    assert.deepEqual(
      smtp.taken.map(({ messageId }) => messageId),
      [output?.messageId],
    );
    assert.equal(await problemOf("away"), undefined);
  });

  test("refuses an unknown SMTP server and a broken header at submit, with the path of the field", async () => {
    const refused = async (input: object) => {
      const error = await client.submit(emailSend, { ...plainMail, ...input }).catch((caught: unknown) => caught);
      assert.ok(error instanceof MillpondClientError);
      assert.equal(error.reason, "invalid_argument");
      return error.message;
    };

    const known = "away, takes, repeats, later";
    assert.ok(
      (await refused({ server: "x" })).includes(`input.server: is "x", which is not configured; there are: ${known}`),
    );
    const broken = { server: "takes", subject: "Hello\r\nBcc: eve@example.com" };
    assert.match(await refused(broken), /input\.subject: has the control character U\+000D at position 5/);
  });

  test("keeps the password out of results, logs, stats, metrics, traces and the store, also when SMTP servers repeat it", async () => {
    const seen: unknown[] = [];
    for (const name of Object.keys(answers)) {
      const { jobId, state, failure } = await send(name);
      assert.equal(state, name === "takes" ? "SUCCEEDED" : "DEAD");
      if (failure) assert.match(failure.message, /\[redacted\]/);
      seen.push(failure, await client.getJob(jobId), await client.explain(jobId));
      seen.push(await Array.fromAsync(client.watch(jobId)), await server.as("mailer", ["job", jobId]));
    }
    seen.push(await client.stats(), await Array.fromAsync(client.deadLetters()));
    seen.push(await (await fetch(`http://${server.serving.http}/metrics`)).text());
    seen.push(await server.signal("SIGTERM"), receiver.spans);
    for (const file of await readdir(server.folder, { recursive: true, withFileTypes: true })) {
      if (file.isFile()) seen.push((await readFile(join(file.parentPath, file.name))).toString("latin1"));
    }

    assert.deepEqual([...new Set(logins)], [`${user} ${password}`]);
    assert.ok(receiver.spans.some(({ name }) => name === "connect"));
    const all = inspect(seen, { depth: null, maxStringLength: null, maxArrayLength: null });
    assert.ok(all.includes("[redacted]") && all.includes("ada@example.com"), "the store is among it");
    assert.deepEqual(
      forms.filter((form) => all.includes(form)),
      [],
    );
  });
});
