/** Maps SMTP errors to the failure of the job. */
import { permanent, TaskError } from "../../pool/task.ts";
import type { SmtpServer } from "./settings.ts";
import { SmtpError } from "./smtp-error.ts";

/** Reply code for a bad sequence of commands: a fault of the session, not of the mail. */
const badSequence = 503;

/** The failure of the job. Errors other than an SmtpError, such as the reason of a cancel, are returned unchanged. */
export function failureOf(error: unknown, name: string, { host, port, unknownOutcome }: SmtpServer): unknown {
  if (!(error instanceof SmtpError)) return error;
  const { stage, code, message } = error;
  const server = `SMTP server "${name}" (${host}:${port})`;
  const details = {
    server: name,
    ...(code !== undefined && { code }),
    ...(error.rejected.length > 0 && { rejected: error.rejected.map((one) => ({ ...one })) }),
  };
  if (stage === "answer") {
    const what = `${server} received the whole mail and did not answer: ${message}; it may have been sent`;
    return new TaskError("smtp_outcome_unknown", what, { retryable: unknownOutcome === "retry", details });
  }
  if (stage === "secure") {
    return new TaskError("smtp_tls_failed", `no secure connection to ${server}: ${message}`, { details });
  }
  if (code === undefined) return new TaskError("smtp_unavailable", `${server} is unavailable: ${message}`, { details });
  if (code < 500 || code === badSequence) {
    return new TaskError("smtp_deferred", `${server} refuses the mail for now: ${message}`, { details });
  }
  if (stage === "login") return permanent("smtp_login_refused", `${server} refuses the login: ${message}`, details);
  return permanent("smtp_refused", `${server} refuses the mail: ${message}`, details);
}
