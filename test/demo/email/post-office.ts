/** The SMTP server of the demo: a real one, which does not take every mail. */
import { openSmtpServer, type TestSmtpServer } from "../../support/smtp-server.ts";

export type PostOffice = {
  readonly server: TestSmtpServer;
  /** Addresses without a mailbox: their mails are refused for good. */
  readonly unknown: Set<string>;
  /** Addresses whose first mail was put off. */
  readonly putOff: ReadonlySet<string>;
};

/** Of so many mails one is put off at first, as servers do that do not know their sender yet. */
const everyPutOff = 20;

/** Puts off 5 % of the addresses, and has no mailbox for the `unknown` ones. */
export async function openPostOffice(unknown: Set<string>): Promise<PostOffice> {
  const putOff = new Set<string>();
  const seen = new Set<string>();
  const server = await openSmtpServer({
    answer(asked) {
      if (asked.stage !== "to") return "take";
      const { address } = asked;
      if (unknown.has(address)) return "550 5.1.1 no such mailbox";
      if (seen.has(address)) return "take";
      seen.add(address);
      if (seen.size % everyPutOff !== 0) return "take";
      putOff.add(address);
      return "451 4.7.1 greylisted, come back later";
    },
  });
  return { server, unknown, putOff };
}
