import { brokerSchema, readSources, type Values } from "@tidemark/config";
import { createMemoryDisk, type MemoryDisk } from "@tidemark/disk";
import { type Authority, createAuthority } from "@tidemark/rpc/testing/certificates";
import { createNodeRuntime } from "@tidemark/runtime";
import { beforeAll, describe, expect, it } from "vitest";
import { advertisedEndpoint, listenersOf, peerTls } from "./listeners.ts";

const text = (value: string) => new TextEncoder().encode(value);

function settings(more: Readonly<Record<string, string>> = {}): Values<(typeof brokerSchema)["settings"]> {
  const given = { "node.id": "1", "controller.endpoints": "127.0.0.1:1", "log.dirs": "/log", ...more };
  const flags = Object.entries(given).map(([key, value]) => `--${key}=${value}`);
  const read = readSources(brokerSchema, { file: undefined, environment: {}, flags, baseDirectory: "/" });
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.config.values;
}

const noServices = { client: [], internal: [] };

let authority: Authority;
let pem: Readonly<Record<"cert" | "key" | "ca", string>>;

beforeAll(async () => {
  authority = await createAuthority(new Date(createNodeRuntime().clock.wallMs()));
  const { certificate, key } = await authority.issue("broker-1");
  pem = { cert: certificate, key, ca: authority.certificate };
});

/** With /tls/cert.pem and so on. */
async function diskWith(files: Readonly<Record<string, string>>): Promise<MemoryDisk> {
  const disk = createMemoryDisk();
  await disk.makeDirectory("/tls");
  for (const [name, content] of Object.entries(files)) disk.put(`/tls/${name}.pem`, text(content));
  return disk;
}

describe("listeners", () => {
  it("stand where the settings say, with their limits", async () => {
    const listeners = await listenersOf(
      settings({
        listeners: "client://127.0.0.1:4660,internal://127.0.0.1:0",
        "max.connections.per.ip": "7",
        "queued.max.bytes.per.stream": "1MiB",
        "rpc.receive.max.bytes": "9MiB",
        "rpc.send.max.bytes": "5MiB",
      }),
      noServices,
      createMemoryDisk(),
    );
    expect(listeners.client).toMatchObject({ host: "127.0.0.1", port: 4660, connections: { perAddress: 7 } });
    expect(listeners.internal.queueLimitBytes).toEqual({ stream: 2 ** 20, connection: 64 * 2 ** 20 });
    expect(listeners.client).toMatchObject({ messageLimitBytes: 9 * 2 ** 20, sendLimitBytes: 5 * 2 ** 20 });
    expect(listeners.internal.port).toBe(0);
    expect(listeners.client.tls).toBeUndefined();
  });

  it("read their certificates, and ask clients for one where that is set", async () => {
    const disk = await diskWith(pem);
    const values = settings({
      "listener.name.internal.tls.cert": "/tls/cert.pem",
      "listener.name.internal.tls.key": "/tls/key.pem",
      "listener.name.internal.tls.ca": "/tls/ca.pem",
      "listener.name.internal.tls.client.auth": "required",
    });
    const { client, internal } = await listenersOf(values, noServices, disk);
    expect(client.tls).toBeUndefined();
    expect(internal.tls).toEqual({
      certificate: text(pem.cert),
      key: text(pem.key),
      authorities: text(pem.ca),
      requireClientCertificate: true,
    });
  });

  it("refuse the start where a certificate cannot be read, and name the file", async () => {
    const values = settings({
      "listener.name.client.tls.cert": "/none.pem",
      "listener.name.client.tls.key": "/none.pem",
    });
    await expect(listenersOf(values, noServices, createMemoryDisk())).rejects.toThrow(
      "listener.name.client.tls.cert: the file /none.pem cannot be read",
    );
  });

  it.each([
    ["cert", { cert: "no PEM" }, "listener.name.client.tls.cert: the file /tls/cert.pem holds no certificate"],
    ["key", { key: "no PEM" }, "listener.name.client.tls.key: the file /tls/key.pem holds no private key"],
    ["ca", { ca: "no PEM" }, "listener.name.client.tls.ca: the file /tls/ca.pem holds no certificate"],
  ])(
    "refuse the start where what is in the file of tls.%s is none, and name file and setting",
    async (_, wrong, says) => {
      const values = settings({
        "listener.name.client.tls.cert": "/tls/cert.pem",
        "listener.name.client.tls.key": "/tls/key.pem",
        "listener.name.client.tls.ca": "/tls/ca.pem",
      });
      await expect(listenersOf(values, noServices, await diskWith({ ...pem, ...wrong }))).rejects.toThrow(says);
    },
  );

  it("refuse the start where the key is another certificate's", async () => {
    const { key } = await authority.issue("broker-2");
    const values = settings({
      "listener.name.client.tls.cert": "/tls/cert.pem",
      "listener.name.client.tls.key": "/tls/key.pem",
    });
    await expect(listenersOf(values, noServices, await diskWith({ ...pem, key }))).rejects.toThrow(
      "the key in /tls/key.pem is not that of the certificate in /tls/cert.pem",
    );
  });

  it("are reached as they are advertised, else where they are bound", () => {
    const bound = { client: { host: "127.0.0.1", port: 40_001 } };
    expect(advertisedEndpoint(settings(), "client", bound)).toEqual(bound.client);
    const advertised = settings({ "advertised.listeners": "client://broker-1:4660,internal://broker-1:4661" });
    expect(advertisedEndpoint(advertised, "client", bound)).toEqual({ host: "broker-1", port: 4660 });
    expect(() => advertisedEndpoint(settings(), "internal", bound)).toThrow("internal is not bound");
  });
});

describe("the way to peers", () => {
  it("is cleartext without authorities, and checked by them where they are given", async () => {
    const disk = await diskWith(pem);
    expect(await peerTls(settings(), disk)).toBeUndefined();
    expect(await peerTls(settings({ "peer.tls.ca": "/tls/ca.pem" }), disk)).toEqual({ authorities: text(pem.ca) });
  });
});
