/** Failures between this server and an SMTP server. */

/** Where it went wrong. `answer`: the server has the mail as a whole, and may have taken it. */
export type Stage = "connect" | "secure" | "login" | "send" | "answer";

/** What went wrong, without secrets. */
export class SmtpError extends Error {
  override readonly name = "SmtpError";
  readonly stage: Stage;
  /** The server's reply code; undefined: it did not answer. */
  readonly code: number | undefined;
  /** Refused recipients, when they are the cause. */
  readonly rejected: readonly Rejection[];

  constructor(
    message: string,
    facts: { readonly stage: Stage; readonly code?: number | undefined; readonly rejected?: readonly Rejection[] },
  ) {
    super(message);
    this.stage = facts.stage;
    this.code = facts.code;
    this.rejected = facts.rejected ?? [];
  }
}

export type Rejection = { readonly address: string; readonly response: string };
