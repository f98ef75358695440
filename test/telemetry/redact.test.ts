import assert from "node:assert/strict";
import { test } from "node:test";
import { redacted } from "../../src/telemetry/redact.ts";

const secretNames = [
  ...["password", "DB_PASSWORD", "userPassword", "passwd", "pwd", "passphrase", "secret", "client_secret", "secrets"],
  ...["token", "accessToken", "refresh_token", "x-auth-token", "tokens", "jwt", "Authorization", "Proxy-Authorization"],
  ...["cookie", "Set-Cookie", "apiKey", "x-api-key", "API_KEY", "apikey", "privateKey", "private_keys", "accessKey"],
  ...["credentials", "secretKey"],
];
for (const name of secretNames) {
  test(`what stands under "${name}" is not shown`, () => {
    for (const value of ["s3cret", { a: 1 }, ["s3cret"]]) {
      assert.deepEqual(redacted({ [name]: value, shown: 1 }), { [name]: "[redacted]", shown: 1 });
    }
  });
}

for (const name of ["tokenizer", "passwordless", "key", "keys", "monkey", "author", "sort_key", "secretary", "job"]) {
  test(`what stands under "${name}" is shown`, () => {
    const fields = { [name]: "text" };
    assert.equal(redacted(fields), fields);
  });
}

test("numbers of tokens, switches and missing values are shown, a PIN is not", () => {
  const fields = { promptTokens: 1532, hasPassword: true, password: null, token: undefined };
  assert.equal(redacted(fields), fields);
  assert.deepEqual(redacted({ password: 1234 }), { password: "[redacted]" });
});

test("secrets are found at any depth, and what the caller handed in stays as it is", () => {
  const fields = { list: [{ deep: { token: "t", plain: 1 } }, "text"], same: { plain: 1 } };
  const shown = redacted(fields);
  assert.deepEqual(shown, { list: [{ deep: { token: "[redacted]", plain: 1 } }, "text"], same: { plain: 1 } });
  assert.equal(shown["same"], fields.same);
  assert.equal(fields.list.length, 2);
  assert.deepEqual(fields.list[0], { deep: { token: "t", plain: 1 } });
});

test("what holds itself ends", () => {
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  assert.doesNotThrow(() => JSON.stringify(redacted(circle)));
});
