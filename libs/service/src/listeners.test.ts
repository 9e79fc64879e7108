import { brokerSchema, readSources, type Values } from "@tidemark/config";
import { createMemoryDisk } from "@tidemark/disk";
import { describe, expect, it } from "vitest";
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

describe("listeners", () => {
  it("stand where the settings say, with their limits", async () => {
    const listeners = await listenersOf(
      settings({ listeners: "client://127.0.0.1:4660,internal://127.0.0.1:0", "max.connections.per.ip": "7" }),
      noServices,
      createMemoryDisk(),
    );
    expect(listeners.client).toMatchObject({ host: "127.0.0.1", port: 4660, connections: { perAddress: 7 } });
    expect(listeners.internal.port).toBe(0);
    expect(listeners.client.tls).toBeUndefined();
  });

  it("read their certificates, and ask clients for one where that is set", async () => {
    const disk = createMemoryDisk();
    await disk.makeDirectory("/tls");
    for (const name of ["cert", "key", "ca"]) disk.put(`/tls/${name}.pem`, text(name));
    const values = settings({
      "listener.name.internal.tls.cert": "/tls/cert.pem",
      "listener.name.internal.tls.key": "/tls/key.pem",
      "listener.name.internal.tls.ca": "/tls/ca.pem",
      "listener.name.internal.tls.client.auth": "required",
    });
    const { client, internal } = await listenersOf(values, noServices, disk);
    expect(client.tls).toBeUndefined();
    expect(internal.tls).toEqual({
      certificate: text("cert"),
      key: text("key"),
      authorities: text("ca"),
      requireClientCertificate: true,
    });
  });

  it("refuse the start where a certificate cannot be read, and name the file", async () => {
    const values = settings({
      "listener.name.client.tls.cert": "/none.pem",
      "listener.name.client.tls.key": "/none.pem",
    });
    await expect(listenersOf(values, noServices, createMemoryDisk())).rejects.toThrow("/none.pem cannot be read");
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
    const disk = createMemoryDisk();
    await disk.makeDirectory("/tls");
    disk.put("/tls/ca.pem", text("ca"));
    expect(await peerTls(settings(), disk)).toBeUndefined();
    expect(await peerTls(settings({ "peer.tls.ca": "/tls/ca.pem" }), disk)).toEqual({ authorities: text("ca") });
  });
});
