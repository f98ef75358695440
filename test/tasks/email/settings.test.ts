/** `resources.smtp` of the configuration. */
import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readSettings } from "../../../src/tasks/email/settings.ts";
import { smtp } from "../../../src/tasks/email/smtp.ts";

const mistakesIn = (given: { readonly [key: string]: unknown }) => {
  try {
    readSettings(given);
  } catch (error) {
    return (error as Error).message.split("; ");
  }
  return [];
};
const mistakesOf = (server: { readonly [key: string]: unknown }) => mistakesIn({ servers: { main: server } });

test("a server has defaults, and its port follows from its encryption", () => {
  const { servers } = readSettings({ servers: { main: { host: "a" }, tls: { host: "b", tls: "tls" } } });
  assert.deepEqual(servers["main"], {
    ...{ host: "a", port: 587, tls: "starttls", ca: undefined, login: undefined, from: undefined },
    ...{ connections: 5, perSecond: undefined, unknownOutcome: "retry" },
    ...{ connectMs: 10_000, answerMs: 60_000, idleMs: 30_000 },
  });
  assert.equal(servers["tls"]?.port, 465);
});

test("without a section there are no servers and no templates", () => {
  assert.deepEqual(readSettings({}), { servers: {}, templates: {} });
});

test("the permits are the connections of each server, and its rate in parts of a tenth of a second", () => {
  const servers = {
    a: { host: "a", connections: 10 },
    b: { host: "b", perSecond: 45 },
    c: { host: "c", perSecond: 0.5 },
  };
  const permits = smtp.permits?.(readSettings({ servers }));
  assert.deepEqual(permits, { a: 10, b: 5, "b rate": 4, c: 5, "c rate": 1 });
});

test("a template may be a file, and has the names of its placeholders", (t) => {
  const htmlFile = fileOf(t, "<p>{{ name }}</p>");
  const { templates } = readSettings({ templates: { hello: { subject: "To {{name}}", text: "{{a.b}}", htmlFile } } });
  assert.deepEqual(templates["hello"], {
    ...{ subject: "To {{name}}", text: "{{a.b}}", html: "<p>{{ name }}</p>" },
    ...{ names: ["name", "a.b"], namesInSubject: ["name"] },
  });
});

test("every mistake is in one error", () => {
  assert.deepEqual(mistakesOf({ tls: "ssl", port: 0, connections: 1001, perSecond: 0.09, form: "a@b.c", from: "a" }), [
    "servers.main.form is not a setting",
    "the settings are: host, port, tls, caFile, user, passwordEnv, passwordFile, from, connections, perSecond, unknownOutcome, connectMs, answerMs, idleMs",
    "servers.main.tls is another text and must be one of starttls, tls, none",
    "servers.main.host is missing",
    "servers.main.port is 0 and must be a whole number from 1 to 65535",
    "servers.main.from must have one address such as ada@example.com",
    "servers.main.connections is 1001 and must be a whole number from 1 to 1000",
    "servers.main.perSecond is 0.09 and must be a number from 0.1 to 100000",
  ]);
  assert.match(mistakesIn({ servers: { Main: {} } })[0] ?? "", /^servers\.Main is not a valid name/);
  assert.match(mistakesIn({ templates: { a: { subject: "{{ a b }}", text: "" } } })[0] ?? "", /is no placeholder/);
  assert.match(mistakesIn({ templates: { a: { subject: "a\nb", text: "" } } })[0] ?? "", /U\+000A/);
  assert.deepEqual(mistakesIn({ templates: { a: { subject: "a" } } }), [
    "templates.a.text is missing: give text, html, or both",
  ]);
});

test("a password is named by its variable or its file, and the message of a mistake never has what stands there", (t) => {
  process.env["MILLPOND_TEST_PASSWORD"] = "canary";
  t.after(() => void delete process.env["MILLPOND_TEST_PASSWORD"]);
  const server = { host: "a", user: "u" };
  const { servers } = readSettings({
    servers: {
      a: { ...server, passwordEnv: "MILLPOND_TEST_PASSWORD" },
      b: { ...server, passwordFile: fileOf(t, "canary") },
    },
  });
  assert.ok(!JSON.stringify(servers).includes("canary"), "it is read when a connection is opened");

  const secret = "hunter2-canary";
  for (const wrong of [
    { ...server, password: secret },
    { ...server, passwordEnv: secret },
    { ...server, passwordFile: secret },
    { ...server, passwordEnv: secret, passwordFile: secret },
    { host: "a", passwordEnv: secret },
  ]) {
    const mistakes = mistakesOf(wrong);
    assert.notEqual(mistakes.length, 0);
    assert.ok(!mistakes.join().includes(secret), mistakes.join());
  }
});

test("a password does not go to another machine without encryption", () => {
  const server = { tls: "none", user: "u", passwordEnv: "PATH" };
  assert.match(mistakesOf({ ...server, host: "mail.example.com" })[0] ?? "", /the password would be sent unencrypted/);
  assert.deepEqual(mistakesOf({ ...server, host: "127.0.0.1" }), []);
});

function fileOf(t: TestContext, content: string): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "millpond-smtp-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "file");
  writeFileSync(file, content);
  return file;
}
