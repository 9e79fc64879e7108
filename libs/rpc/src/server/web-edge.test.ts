import { request as requestHttp } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as requestHttps } from "node:https";
import { describe, expect, it } from "vitest";
import { createAuthority } from "../testing/certificates.ts";
import { openClient, runtime, startServer } from "../testing/harness.ts";
import { protocolOf, type WebRequest, type WebResponse } from "./web-edge.ts";

/** Says by which version of HTTP it was asked. */
const web = () => (request: WebRequest, response: WebResponse) => {
  response.statusCode = 200;
  response.end(`HTTP/${request.httpVersion}`);
};

function byHttp1(port: number, tls?: { readonly ca: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path: "/", agent: false, ...tls };
    const request = tls === undefined ? requestHttp(options) : requestHttps(options);
    request.on("error", reject);
    request.on("response", (response) => {
      let text = "";
      response.on("data", (piece: Buffer) => (text += piece.toString()));
      response.on("end", () => resolve(text));
    });
    request.end();
  });
}

function byHttp2(port: number, tls?: { readonly ca: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`, tls);
    session.on("error", reject);
    const stream = session.request({ ":path": "/", "content-type": "application/grpc-web+proto" });
    let text = "";
    stream.on("data", (piece: Buffer) => (text += piece.toString()));
    stream.on("close", () => {
      session.close();
      resolve(text);
    });
  });
}

describe("a listener with a web side", () => {
  it("takes gRPC, HTTP/1.1 and HTTP/2 on one cleartext port", async () => {
    const { port } = await startServer({ produce: () => ({ results: [{ partition: 3 }] }) }, { listener: { web } });
    expect(await byHttp1(port)).toBe("HTTP/1.1");
    expect(await byHttp2(port)).toBe("HTTP/2.0");
    expect((await openClient(port).produce({})).results).toMatchObject([{ partition: 3 }]);
  });

  it("takes all of them on one TLS port, by what the two sides agree on", async () => {
    const authority = await createAuthority(new Date(runtime.clock.wallMs()));
    const { certificate, key } = await authority.issue("gateway");
    const { port } = await startServer(
      { produce: () => ({ results: [{ partition: 3 }] }) },
      { listener: { web, tls: { certificate, key, requireClientCertificate: false } } },
    );
    const tls = { ca: authority.certificate };
    expect(await byHttp1(port, tls)).toBe("HTTP/1.1");
    expect(await byHttp2(port, tls)).toBe("HTTP/2.0");
    const client = openClient(port, { tls: { authorities: authority.certificate } });
    expect((await client.produce({})).results).toMatchObject([{ partition: 3 }]);
  });

  it("is not there unless it was asked for", async () => {
    const { port } = await startServer({});
    await expect(byHttp1(port)).rejects.toThrow();
  });
});

describe("the first bytes of a connection", () => {
  it.each([
    ["", undefined],
    ["P", undefined],
    ["PR", undefined],
    ["PRI ", "http2"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"],
    ["PO", "http1"],
    ["PUT /", "http1"],
    ["PRX", "http1"],
    ["GET /", "http1"],
    ["\x16\x03\x01", "http1"],
  ])("%j say %s", (bytes, protocol) => {
    expect(protocolOf(Buffer.from(bytes, "latin1"))).toBe(protocol);
  });
});
