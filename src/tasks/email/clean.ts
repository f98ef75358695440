/** Makes text of a server fit for messages. */

const longestAnswer = 500;
const redacted = "[redacted]";

/**
 * What makes such a text one line, cuts it, and takes out the password, which some servers repeat in their answer to a
 * login that they do not understand. Base64 is how it goes over the wire.
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
