import { EtcdError, type EtcdErrorCode } from "../stubs.ts";

/** By the text, since that is all that the `etcd3` package leaves of a status. What is not known may have been carried out. */
const known: readonly (readonly [RegExp, EtcdErrorCode])[] = [
  [/database space exceeded/, "NO_SPACE"],
  [/requested lease not found/, "LEASE_NOT_FOUND"],
  [/required revision has been compacted/, "COMPACTED"],
  // Of this side's library; etcd's own says "grpc: received message larger than max" of a request.
  [/Received message larger than max/, "MESSAGE_TOO_LARGE"],
  [
    /grpc: received message larger than max|request is too large|too many operations|duplicate key given|user name is empty/,
    "REFUSED",
  ],
  [/permission denied|invalid auth token|authentication failed|authentication is not enabled/, "DENIED"],
];

/** What the library puts around what the system said of a connection. */
const aroundConnection = /^No connection established\. Last error: (?:Error: )?(.+?)\. Resolution note:.*$/s;

/** The error of a call, in our own words. Whatever is given becomes one. */
export function errorOf(thrown: unknown): EtcdError {
  if (thrown instanceof EtcdError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const code = known.find(([text]) => text.test(message))?.[1] ?? "LOST";
  const text = message.replace(/^\d+ [A-Z_]+: /, "").replace(aroundConnection, "no connection: $1");
  // Where the library has not tried since the last one ended.
  return new EtcdError(code, text.replace(/^no connection: null$/, "no connection"), { cause: thrown });
}
