/** One request over HTTP/2, and all that is to be seen of the answer. */
import { connect, type IncomingHttpHeaders } from "node:http2";
import { text } from "node:stream/consumers";

export type Http2Answer = {
  readonly headers: IncomingHttpHeaders;
  /** Of the frame with the headers: whether it was the end, too. */
  readonly flags: number;
  readonly trailers: IncomingHttpHeaders;
  readonly body: string;
};

export async function post(
  address: string,
  headers: { readonly [name: string]: string },
  body: string | Buffer,
): Promise<Http2Answer> {
  const session = connect(`http://${address}`);
  try {
    const stream = session.request({ ":method": "POST", ...headers });
    let trailers: IncomingHttpHeaders = {};
    stream.on("trailers", (given) => {
      trailers = given;
    });
    const head = new Promise<Pick<Http2Answer, "headers" | "flags">>((resolve, reject) => {
      session.on("error", reject);
      stream.on("error", reject).on("response", (given, flags) => resolve({ headers: given, flags }));
    });
    stream.end(body);
    const [answered, received] = await Promise.all([head, text(stream)]);
    return { ...answered, trailers, body: received };
  } finally {
    session.destroy();
  }
}
