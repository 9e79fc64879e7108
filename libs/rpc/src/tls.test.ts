import { Outcome, Reason } from "@tidemark/proto/common/v1";
import { createDeferred } from "@tidemark/runtime";
import { beforeAll, describe, expect, it } from "vitest";
import type { ClientTls, PeerIdentity, ServerTls } from "./index.ts";
import { type Authority, createAuthority, type KeyPair } from "./testing/certificates.ts";
import { openClient, runtime, startServer } from "./testing/harness.ts";

const DAY_MS = 24 * 3600 * 1000;
const now = new Date(runtime.clock.wallMs());

let authority: Authority;
let stranger: Authority;
let server: KeyPair;

beforeAll(async () => {
  authority = await createAuthority(now);
  stranger = await createAuthority(now);
  server = await authority.issue("broker-1");
});

const serverTls = (options: Partial<ServerTls> = {}): ServerTls => ({
  ...server,
  authorities: authority.certificate,
  requireClientCertificate: false,
  ...options,
});

const call = async (tls: ClientTls | undefined, listener: ServerTls | undefined) => {
  const identity = createDeferred<PeerIdentity | undefined>();
  const { port } = await startServer(
    {
      produce(_, context) {
        identity.resolve(context.identity);
        return { results: [{ partition: 1 }] };
      },
    },
    { listener: listener === undefined ? {} : { tls: listener } },
  );
  const log = openClient(port, tls === undefined ? {} : { tls });
  const { results } = await log.produce({}, { timeoutMs: 10_000 });
  return { partition: results[0]?.partition, identity: await identity.promise };
};

/** Node.js warns of one thing once in the life of a process: from the first call on. */
const warnings: string[] = [];
process.on("warning", (warning) => warnings.push(String(warning)));

const refused = { reason: Reason.UNAVAILABLE, outcome: Outcome.NOT_APPLIED };

describe("TLS", () => {
  it("carries calls to a server whose certificate the client's authority signed", async () => {
    const answer = await call({ authorities: authority.certificate }, serverTls());
    expect(answer).toEqual({ partition: 1, identity: undefined });
  });

  it("knows a server by another name where it is told so", async () => {
    const tls = { authorities: authority.certificate, serverName: "broker-1.test" };
    expect((await call(tls, serverTls())).partition).toBe(1);
    await expect(call({ ...tls, serverName: "broker-2.test" }, serverTls())).rejects.toMatchObject(refused);
  });

  it("refuses a server whom somebody else's authority signed", async () => {
    await expect(call({ authorities: stranger.certificate }, serverTls())).rejects.toMatchObject(refused);
  });

  it("refuses a server whose certificate has expired", async () => {
    const expired = await authority.issue("broker-1", {
      notBefore: new Date(now.getTime() - 2 * DAY_MS),
      notAfter: new Date(now.getTime() - DAY_MS),
    });
    await expect(call({ authorities: authority.certificate }, serverTls(expired))).rejects.toMatchObject(refused);
  });

  it("is asked for where a client speaks cleartext to it", async () => {
    await expect(call(undefined, serverTls())).rejects.toMatchObject({
      ...refused,
      message: expect.stringMatching(/"client" speaks TLS.*server\.tls\.ca/) as string,
    });
  });

  it("is asked for where HTTP/1.1 comes in cleartext", async () => {
    const { port } = await startServer({}, { listener: { tls: serverTls() } });
    const answer = await globalThis.fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "{}" });
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { message: expect.stringMatching(/https/) as string },
    ]);
  });

  it("tells a client that the server has none", async () => {
    await expect(call({ authorities: authority.certificate }, undefined)).rejects.toMatchObject({
      ...refused,
      message: expect.stringMatching(/does not speak TLS on this port/) as string,
    });
  });

  it("names no server in the handshake where it is known by its address, and Node.js has nothing to warn of", async () => {
    await call({ authorities: authority.certificate }, serverTls());
    await new Promise<void>((resolve) => runtime.scheduler.afterInput(resolve));
    expect(warnings).toEqual([]);
  });
});

describe("mutual TLS", () => {
  it("tells the handler who the client proved to be", async () => {
    const client = await authority.issue("broker-2");
    const tls = { authorities: authority.certificate, ...client };
    const { identity } = await call(tls, serverTls({ requireClientCertificate: true }));
    expect(identity).toEqual({ commonName: "broker-2", subjectAltName: "IP Address:127.0.0.1, DNS:broker-2.test" });
  });

  it.each([
    ["has no certificate", () => Promise.resolve({})],
    ["has somebody else's", () => stranger.issue("broker-2")],
    [
      "has an expired one",
      () =>
        authority.issue("broker-2", {
          notBefore: new Date(now.getTime() - 2 * DAY_MS),
          notAfter: new Date(now.getTime() - DAY_MS),
        }),
    ],
  ])("turns a client away who %s", async (_, pair) => {
    const tls = { authorities: authority.certificate, ...(await pair()) };
    await expect(call(tls, serverTls({ requireClientCertificate: true }))).rejects.toMatchObject({
      reason: Reason.UNAVAILABLE,
    });
  });
});
