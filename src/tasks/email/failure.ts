/** Decides how a job fails whose mail was not sent, or perhaps was. */
import { permanent, TaskError } from "../../pool/task.ts";
import type { SmtpServer } from "./settings.ts";
import { SmtpError } from "./smtp-error.ts";

/** Of a bad sequence of commands: the session's fault, not the mail's. */
const badSequence = 503;

/** The failure of the job. Anything but an SmtpError, such as the reason of a cancel, stays as it is. */
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
    const what = `${server} got the whole mail and has not answered: ${message}; it may have been sent`;
    return new TaskError("smtp_outcome_unknown", what, { retryable: unknownOutcome === "retry", details });
  }
  if (stage === "secure") {
    return new TaskError("smtp_tls_failed", `no secure connection to ${server}: ${message}`, { details });
  }
  if (code === undefined) return new TaskError("smtp_unavailable", `${server} is away: ${message}`, { details });
  if (code < 500 || code === badSequence) {
    return new TaskError("smtp_deferred", `${server} does not take it now: ${message}`, { details });
  }
  if (stage === "login") return permanent("smtp_login_refused", `${server} refuses the login: ${message}`, details);
  return permanent("smtp_refused", `${server} refuses it: ${message}`, details);
}
