/** Errors of the connection to an SMTP server. */

/** The stage at which it failed. `answer`: the server received the whole mail and may have accepted it. */
export type Stage = "connect" | "secure" | "login" | "send" | "answer";

/** An error without secrets. */
export class SmtpError extends Error {
  override readonly name = "SmtpError";
  readonly stage: Stage;
  /** The server's reply code; undefined: it did not answer. */
  readonly code: number | undefined;
  /** Refused recipients, if they are the cause. */
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
