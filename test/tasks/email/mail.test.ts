/** What arrives of a mail. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { openSender, plainMail } from "./run-email.ts";

suite("a mail of email.send", { concurrency: true }, () => {
  test("arrives with its addresses, its text in both forms, its headers and its attachments", async (t) => {
    const { server, send } = await openSender(t);
    const logo = new Uint8Array([0x89, 0x50, 0x4e, 0x47]);
    const output = await send({
      from: { address: "pond@example.com", name: "Die Mühle, GmbH" },
      to: [{ address: "ada@example.com", name: 'Ada "the first" <Lovelace>' }],
      cc: [{ address: "grace@exämple.com" }],
      bcc: [{ address: "secret@example.com" }],
      replyTo: [{ address: "help@example.com" }],
      subject: "Grüße aus der Mühle 🌾",
      text: "Guten Tag, Ada.\n.\nEin Punkt steht allein.",
      html: '<p>Guten Tag <img src="cid:logo"></p>',
      headers: { "List-Unsubscribe": "<https://example.com/u?1>", "X-Campaign": "spring" },
      attachments: [
        { filename: "rechnung März.pdf", contentType: "application/pdf", content: new Uint8Array([37, 80, 68, 70]) },
        { filename: "logo.png", content: logo, contentId: "logo" },
      ],
    });

    const [taken] = server.taken;
    assert.ok(taken);
    const mail = await taken.parse();
    assert.equal(taken.from, "pond@example.com");
    assert.deepEqual(taken.to, ["ada@example.com", "grace@exämple.com", "secret@example.com"]); // which decodes it
    assert.deepEqual(mail.from?.value, [{ address: "pond@example.com", name: "Die Mühle, GmbH" }]);
    const [to] = [mail.to].flat();
    assert.deepEqual(to?.value, [{ address: "ada@example.com", name: 'Ada "the first" <Lovelace>' }]);
    assert.equal(mail.subject, "Grüße aus der Mühle 🌾");
    assert.equal(mail.text?.trim(), "Guten Tag, Ada.\n.\nEin Punkt steht allein.");
    assert.match(String(mail.html), /^<p>Guten Tag <img src="data:image\/png;base64,/);
    assert.equal(mail.replyTo?.value[0]?.address, "help@example.com");
    assert.equal(mail.headers.get("x-campaign"), "spring");
    assert.ok(!taken.raw.includes("secret@example.com"), "who is in bcc is not named in the mail");
    const files = mail.attachments.map(({ filename, contentType, content }) => [filename, contentType, [...content]]);
    assert.deepEqual(
      files.toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1)),
      [
        ["logo.png", "image/png", [...logo]],
        ["rechnung März.pdf", "application/pdf", [37, 80, 68, 70]],
      ],
    );
    assert.deepEqual(output.accepted, ["ada@example.com", "grace@xn--exmple-cua.com", "secret@example.com"]);
    assert.equal(output.response, "250 2.0.0 taken as 1");
    assert.equal(output.messageId, mail.messageId);
  });

  test("has a Message-ID that follows from its job's id, the same at every attempt", async (t) => {
    const { server, send } = await openSender(t);
    const jobId = "0198a3b4-0000-7000-8000-0000000000aa";
    const first = await send({ from: { address: "pond@exämple.com" } }, { jobId });
    await send({ from: { address: "pond@exämple.com" } }, { jobId });

    assert.equal(first.messageId, `<${jobId}@xn--exmple-cua.com>`);
    assert.deepEqual(
      server.taken.map(({ messageId }) => messageId),
      [first.messageId, first.messageId],
    );
  });

  test("comes from the server's own sender when it names none", async (t) => {
    const { server, send } = await openSender(t, {}, { from: { address: "mill@example.com", name: "The mill" } });
    const { from: _, ...mail } = plainMail;
    await send({ ...mail, from: undefined as never });

    assert.deepEqual((await server.taken[0]?.parse())?.from?.value, [
      { address: "mill@example.com", name: "The mill" },
    ]);
  });

  test("is made of a template, its values escaped in HTML", async (t) => {
    const templates = {
      welcome: {
        subject: "Welcome, {{name}}",
        text: "Dear {{ name }},\n{{link}}",
        html: "<p>Dear {{name}}: {{link}}</p>",
      },
    };
    const { server, send } = await openSender(t, {}, {}, templates);
    const values = { name: "Ada & <b>Co</b> {{link}} $&", link: "https://example.com/?a=1&b=2" };
    await send({ subject: "", text: "", template: "welcome", values });

    const mail = await server.taken[0]?.parse();
    assert.equal(mail?.subject, "Welcome, Ada & <b>Co</b> {{link}} $&");
    assert.equal(mail?.text?.trim(), `Dear ${values.name},\n${values.link}`);
    assert.equal(
      String(mail?.html).trim(),
      "<p>Dear Ada &amp; &lt;b&gt;Co&lt;/b&gt; {{link}} $&amp;: https://example.com/?a=1&amp;b=2</p>",
    );
  });

  test("reads no file and no address, whatever it looks like", async (t) => {
    const { server, send } = await openSender(t);
    const looks = "file:///etc/passwd";
    await send({ text: looks, html: `<img src="/etc/passwd">`, attachments: [{ filename: "/etc/passwd" }] });

    const mail = await server.taken[0]?.parse();
    assert.equal(mail?.text?.trim(), looks);
    assert.equal(mail?.attachments[0]?.content.byteLength, 0);
    assert.ok(!server.taken[0]?.raw.includes("root:"));
  });
});
