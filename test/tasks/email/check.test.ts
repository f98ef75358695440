/** What `email.send` refuses at submit, with the path of the field. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { checkInput } from "../../../src/tasks/email/check.ts";
import { readSettings } from "../../../src/tasks/email/settings.ts";
import { type Input, inputOf, plainMail } from "./run-email.ts";

const main = { host: "mail.example.com", from: "mill@example.com" };
const templates = { welcome: { subject: "Hello {{name}}", text: "{{link}}" }, plain: { subject: "Hi", html: "<p>" } };
const settings = readSettings({ servers: { main }, templates });

const checked = (input: Input, against = settings) => checkInput(inputOf({ ...plainMail, ...input }), against);
const fieldsOf = (input: Input, against = settings) => checked(input, against).map(({ field }) => field);

suite("email.send takes", () => {
  for (const [what, input] of Object.entries<Input>({
    "a mail with all that one needs": {},
    "the server by its name": { server: "main" },
    "a mail with HTML only": { text: "", html: "<p>Hello</p>" },
    "a mail that only has hidden recipients": { to: [], bcc: [{ address: "ada@example.com" }] },
    "a template with its values": { subject: "", text: "", template: "welcome", values: { name: "Ada", link: "a\nb" } },
    "an address in any script, and one with a tag": {
      to: ["用户@例え.jp", "ada+news@sub.example.com", "o'neil@localhost"].map((address) => ({ address })),
    },
    "further headers": { headers: { "List-Unsubscribe": "<https://example.com>", References: "<a@b> <c@d>" } },
  })) {
    test(what, () => assert.deepEqual(checked(input), []));
  }
});

/** What ends a header or a line, and what has no place in one. */
const breaks = ["\r\nBcc: eve@example.com", "\nX-A: 1", "\r", "\0", "\u2028", "\x7f"];

suite("email.send refuses", () => {
  test("a domain that has no ASCII form, which a Message-ID and a server need", () => {
    assert.deepEqual(fieldsOf({ to: [{ address: "a@\u0661.com" }] }), ["to[0].address"]);
  });

  test("a word in a header that is longer than a line of a mail can be", () => {
    const word = "x".repeat(901);
    assert.deepEqual(fieldsOf({ headers: { "X-Word": `a ${word}` } }), ['headers["X-Word"]']);
    assert.deepEqual(fieldsOf({ subject: word }), ["subject"]);
    assert.deepEqual(fieldsOf({ headers: { "X-Words": "words ".repeat(600) } }), []);
  });

  for (const end of breaks) {
    test(`${JSON.stringify(end)} in whatever becomes a header`, () => {
      const address = { address: `b@example.com${end}` };
      const name = { address: "b@example.com", name: `B${end}` };
      assert.deepEqual(fieldsOf({ from: address }), ["from.address"]);
      assert.deepEqual(fieldsOf({ from: name }), ["from.name"]);
      assert.deepEqual(fieldsOf({ to: [plainMail.to![0]!, address] }), ["to[1].address"]);
      assert.deepEqual(fieldsOf({ cc: [name], bcc: [address], replyTo: [name] }), [
        ...["cc[0].name", "bcc[0].address", "replyTo[0].name"],
      ]);
      assert.deepEqual(fieldsOf({ subject: `Hello${end}` }), ["subject"]);
      assert.deepEqual(fieldsOf({ headers: { "X-A": `1${end}` } }), ['headers["X-A"]']);
      assert.equal(fieldsOf({ headers: { [`X-A${end}`]: "1" } }).length, 1);
      const file = { content: new Uint8Array(1) };
      assert.deepEqual(fieldsOf({ attachments: [{ ...file, filename: `a${end}.txt` }] }), ["attachments[0].filename"]);
      assert.deepEqual(fieldsOf({ attachments: [{ ...file, filename: "a", contentType: `text/plain${end}` }] }), [
        "attachments[0].contentType",
      ]);
      assert.deepEqual(fieldsOf({ attachments: [{ ...file, filename: "a", contentId: `a${end}` }] }), [
        "attachments[0].contentId",
      ]);
      const values = { name: `Ada${end}`, link: "x" };
      assert.deepEqual(fieldsOf({ subject: "", text: "", template: "welcome", values }), ['values["name"]']);
    });
  }

  for (const address of [
    ...["", "ada", "@example.com", "ada@", "ada@@example.com", "a da@example.com", "ada@exa mple.com", "ada@-a.com"],
    ...["ada@example.com, eve@example.com", "Ada <ada@example.com>", "<ada@example.com>", '"a b"@example.com'],
    ...["ada@example..com", ".ada@example.com", "ada;eve@example.com", "ada@[127.0.0.1]", "ada(x)@example.com"],
    ...[`${"a".repeat(65)}@example.com`, `ada@${"a".repeat(64)}.com`, `ada@${"a.".repeat(130)}com`],
  ]) {
    test(`${JSON.stringify(address.slice(0, 40))} as an address`, () => {
      assert.deepEqual(fieldsOf({ to: [{ address }] }), ["to[0].address"]);
    });
  }

  for (const [what, input, fields] of [
    ["a server that is not configured", { server: "other" }, ["server"]],
    ["a template that is not configured", { subject: "", text: "", template: "other" }, ["template"]],
    ["a template beside a text", { text: "Hello", subject: "", template: "plain" }, ["text"]],
    [
      "a value that the template does not have",
      { subject: "", text: "", template: "plain", values: { a: "" } },
      ['values["a"]'],
    ],
    [
      "a value that is missing",
      { subject: "", text: "", template: "welcome", values: { link: "" } },
      ['values["name"]'],
    ],
    ["values without a template", { values: { name: "Ada" } }, ['values["name"]']],
    ["a mail to nobody", { to: [] }, ["to"]],
    ["a mail to more than 100", { to: Array.from({ length: 101 }, () => ({ address: "a@example.com" })) }, ["to"]],
    ["a mail without a subject", { subject: "" }, ["subject"]],
    ["a mail without a body", { text: "" }, ["text"]],
    ["a subject of more than 998 characters", { subject: "a ".repeat(500) }, ["subject"]],
    ["a name of more than 256 characters", { to: [{ address: "a@b.c", name: "a".repeat(257) }] }, ["to[0].name"]],
    ["a header that the task writes", { headers: { "reply-TO": "a@b.c" } }, ['headers["reply-TO"]']],
    ["a header of the body", { headers: { "Content-Type": "text/html" } }, ['headers["Content-Type"]']],
    ["a header that is no name", { headers: { "X A": "1" } }, ['headers["X A"]']],
    ["an attachment without a name", { attachments: [{}] }, ["attachments[0].filename"]],
    [
      "an attachment that would be more parts",
      { attachments: [{ filename: "a", contentType: "multipart/mixed" }] },
      ["attachments[0].contentType"],
    ],
    [
      "more than 50 attachments",
      { attachments: Array.from({ length: 51 }, () => ({ filename: "a" })) },
      ["attachments"],
    ],
  ] satisfies [string, Input, string[]][]) {
    test(what, () => assert.deepEqual(fieldsOf(input), fields));
  }

  test("all that is wrong at once", () => {
    assert.deepEqual(fieldsOf({ to: [], subject: "", text: "", server: "x" }), ["server", "to", "subject", "text"]);
  });

  test("a mail without a sender where the server has none, or without a server where there are several or none", () => {
    const { from: _, ...mail } = plainMail;
    const two = readSettings({ servers: { main: { host: "a" }, other: { host: "b" } } });
    assert.deepEqual(
      checkInput(inputOf(mail), readSettings({ servers: { main: { host: "a" } } })).map(({ field }) => field),
      ["from"],
    );
    assert.deepEqual(checkInput(inputOf(plainMail), two), [
      { field: "server", description: "is missing; there are: main, other" },
    ]);
    assert.deepEqual(checkInput(inputOf(plainMail), readSettings({})), [
      { field: "server", description: "is not available: no server is configured; set resources.smtp.servers" },
    ]);
  });
});
