/** The demo of mails sees what is not as it should be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TakenMail } from "../../support/smtp-server.ts";
import { faultsOf, type Mailed, type Story } from "./verify.ts";

const mail = (jobId: string): TakenMail => ({
  ...{ from: "mill@pond.example", to: [`${jobId}@pond.example`], messageId: `<${jobId}@pond.example>` },
  ...{ raw: Buffer.alloc(0), isEncrypted: false, parse: () => assert.fail("nobody reads it") },
});
const mailed = (jobId: string, more: Partial<Mailed> = {}): Mailed => ({
  ...{ address: `${jobId}@pond.example`, jobId, isSent: true, attempts: 1, reason: undefined, ...more },
});
const refused = { isSent: false, reason: "smtp_refused" };

/** Three users: one got the mail, one at the second attempt, one has no mailbox. */
function storyOf(more: Partial<Story> = {}, taken = [mail("a"), mail("b")], most = 2): Story {
  const office = { unknown: new Set(["c@pond.example"]), putOff: new Set(["b@pond.example"]) };
  return {
    ...{ users: 3, connections: 2, deadLetters: [{}], snapshot: { tasks: [{ task: "email.send", succeeded: 2 }] } },
    ...{ mails: [mailed("a"), mailed("b", { attempts: 2 }), mailed("c", refused)] },
    office: { ...office, server: { taken, connections: { most } } },
    ...more,
  } as unknown as Story;
}

test("nothing is wrong where every mail came to its end and arrived once", () => {
  assert.deepEqual(faultsOf(storyOf()), []);
});

for (const [what, story] of Object.entries({
  "a mail that did not arrive": storyOf({}, [mail("a")]),
  "a mail that arrived twice": storyOf({}, [mail("a"), mail("b"), mail("b")]),
  "a mail that nobody sent": storyOf({}, [mail("a"), mail("x")]),
  "a user without a mail": storyOf({ users: 4 }),
  "too many connections": storyOf({}, undefined, 3),
  "a dead letter that is missing": storyOf({ deadLetters: [] }),
  "a mail that failed for another reason": storyOf({
    mails: [mailed("a"), mailed("b", { attempts: 2 }), mailed("c", { ...refused, reason: "smtp_unavailable" })],
  }),
  "a mail that was put off and not tried twice": storyOf({ mails: [mailed("a"), mailed("b"), mailed("c", refused)] }),
})) {
  test(`${what} is seen`, () => {
    assert.notEqual(faultsOf(story).length, 0);
  });
}
