/** Sanitizes text from a server for messages. */

const longestAnswer = 500;
const redacted = "[redacted]";

/**
 * Returns a function that puts a text on one line, truncates it, and removes the password, also in base64 as it is
 * sent: some servers repeat it when a login is malformed.
 */
export function cleanerOf(login: { readonly user: string; readonly password: string } | undefined) {
  const forms = login ? formsOf(login.user, login.password) : [];
  return (text: string): string => {
    let clean = text;
    for (const form of forms) clean = clean.replaceAll(form, redacted);
    return clean
      .replace(/[\p{Cc}\u2028\u2029]+/gu, " ")
      .trim()
      .slice(0, longestAnswer);
  };
}

function formsOf(user: string, password: string): string[] {
  const plain = Buffer.from(`\0${user}\0${password}`).toString("base64");
  const login = Buffer.from(password).toString("base64");
  return [plain, login, password].map((form) => form.replace(/=+$/, ""));
}
