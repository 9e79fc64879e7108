import { describe, expect, test } from "vitest";
import {
  brokerSchema,
  clientSchema,
  consensusChoice,
  controllerSchema,
  formatProblems,
  gatewaySchema,
  type Resolved,
  readSources,
  type Settings,
} from "./index.ts";

const required = {
  broker: ["--node.id=1", "--controller.endpoints=127.0.0.1:4651", "--log.dirs=/data"],
  controller: ["--node.id=1", "--metadata.log.dir=/meta"],
  gateway: ["--controller.endpoints=127.0.0.1:4651"],
  client: [],
};
const given = (flags: readonly string[]) => ({ file: undefined, environment: {}, flags, baseDirectory: "/" });
const broker = (...flags: string[]) => readSources(brokerSchema, given([...required.broker, ...flags]));
const controller = (...flags: string[]) => readSources(controllerSchema, given([...required.controller, ...flags]));
const gateway = (...flags: string[]) => readSources(gatewaySchema, given([...required.gateway, ...flags]));
const client = (...flags: string[]) => readSources(clientSchema, given(flags));
const saidOf = (resolved: Resolved<Settings>) => (resolved.ok ? "" : formatProblems(resolved.problems));

describe("defaults", () => {
  test.each([
    ["broker", broker()],
    ["controller", controller()],
    ["gateway", gateway()],
    ["client", client()],
  ])("of a %s keep every rule and warn of nothing", (_, resolved) => {
    expect(saidOf(resolved as unknown as Resolved<Settings>)).toBe("");
    expect(resolved.ok && resolved.config.warnings).toEqual([]);
  });
});

describe("a process refuses to start", () => {
  test.each([
    [
      "when heartbeats are too rare for the session",
      broker("--broker.heartbeat.interval.ms=1001"),
      'broker.heartbeat.interval.ms = "1001" (flag --broker.heartbeat.interval.ms) must be at most broker.session.timeout.ms / 6; beside it broker.session.timeout.ms = "6000" (default). Lower',
    ],
    [
      "when a session lasts as long as a follower may lag",
      broker("--replica.lag.time.max.ms=6000"),
      'broker.session.timeout.ms = "6000" (default) must be below replica.lag.time.max.ms; beside it replica.lag.time.max.ms = "6000"',
    ],
    [
      "when a follower may wait for a quarter of the lag time",
      broker("--replica.fetch.wait.max.ms=2500"),
      'replica.fetch.wait.max.ms = "2500" (flag --replica.fetch.wait.max.ms) must be below replica.lag.time.max.ms / 4; beside it replica.lag.time.max.ms = "10000"',
    ],
    [
      "when the grace is no shorter than the session",
      controller("--broker.connection.grace.ms=6000"),
      'broker.connection.grace.ms = "6000" (flag --broker.connection.grace.ms) must be below broker.session.timeout.ms',
    ],
    [
      "when a controller's session timeout disagrees",
      controller("--broker.session.timeout.ms=2999"),
      'broker.heartbeat.interval.ms = "500" (default) must be at most broker.session.timeout.ms / 6',
    ],
    [
      "when two lost renewals end an etcd lease",
      controller("--consensus.etcd.renewal.ms=1001"),
      'consensus.etcd.renewal.ms = "1001" (flag --consensus.etcd.renewal.ms) must be at most consensus.etcd.lease.ms / 3',
    ],
    [
      "when an etcd lease is no whole seconds",
      controller("--consensus.etcd.lease.ms=3500"),
      'consensus.etcd.lease.ms = "3500" (flag --consensus.etcd.lease.ms) must be whole seconds',
    ],
    [
      "when a Raft election timeout is too short for its heartbeat",
      controller("--consensus.raft.heartbeat.ms=101"),
      'consensus.raft.heartbeat.ms = "101" (flag --consensus.raft.heartbeat.ms) must be at most consensus.raft.election.timeout.ms / 5',
    ],
    [
      "when a call without a deadline would get more than one with",
      gateway("--request.timeout.ms=61s"),
      'request.timeout.ms = "61000" (flag --request.timeout.ms) must be at most request.timeout.max.ms',
    ],
    [
      "when the largest batch does not fit a gateway's message",
      gateway("--message.max.bytes=4MiB"),
      'rpc.receive.max.bytes = "4194304" (default) must be at least message.max.bytes + 65536',
    ],
    [
      "when the largest batch cannot be sent on",
      gateway("--rpc.send.max.bytes=1MiB"),
      'rpc.send.max.bytes = "1048576" (flag --rpc.send.max.bytes) must be at least message.max.bytes + 65536',
    ],
    [
      "when the largest batch does not fit a segment",
      broker("--log.segment.bytes=1000KiB"),
      'message.max.bytes = "1048576" (default) must be at most log.segment.bytes',
    ],
    [
      "when a stream may hold more than its connection",
      broker("--queued.max.bytes.per.stream=65MiB"),
      "must be at most queued.max.bytes.per.connection",
    ],
    [
      "when two listeners share an address",
      broker("--listeners=client://127.0.0.1:4660,internal://127.0.0.1:4660"),
      'gives 127.0.0.1:4660 to the listener "client" and to the listener "internal"',
    ],
    [
      "when metrics share an address with a listener",
      gateway("--metrics.listener=127.0.0.1:4640"),
      'gives 127.0.0.1:4640 to the listener "client" and to the metrics',
    ],
    [
      "when others would be told to dial every interface",
      broker("--listeners=client://127.0.0.1:4660,internal://0.0.0.0:4661"),
      "would have others dial 0.0.0.0:4661, which names no machine. Set advertised.listeners",
    ],
    [
      "when it advertises every interface",
      broker("--advertised.listeners=client://[::]:4660,internal://b:4661"),
      "would have others dial [::]:4660",
    ],
    [
      "when a certificate comes without its key",
      broker("--listener.name.client.tls.cert=/c"),
      "needs listener.name.client.tls.key",
    ],
    [
      "when a key comes without its certificate",
      controller("--listener.name.internal.tls.key=/k"),
      "needs listener.name.internal.tls.cert",
    ],
    [
      "when clients must show certificates that nothing can check",
      broker(
        "--listener.name.internal.tls.cert=/c",
        "--listener.name.internal.tls.key=/k",
        "--listener.name.internal.tls.client.auth=required",
      ),
      "needs listener.name.internal.tls.ca",
    ],
    [
      "when clients must show certificates to a plaintext listener",
      gateway("--listener.name.client.tls.ca=/a", "--listener.name.client.tls.client.auth=required"),
      "needs listener.name.client.tls.cert",
    ],
    [
      "when its own certificate would never be shown",
      gateway("--peer.tls.cert=/c", "--peer.tls.key=/k"),
      "peer.tls.ca",
    ],
    ["when a client's certificate has no key", client("--server.tls.ca=/a", "--server.tls.cert=/c"), "server.tls.key"],
    ["when nothing says where etcd is", controller("--consensus.backend=etcd"), "does not say where etcd is"],
    [
      "when two places are named for etcd",
      controller("--consensus.backend=etcd://a:2379", "--consensus.etcd.endpoints=b:2379"),
      "names other members than consensus.etcd.endpoints",
    ],
    [
      "when a controller on etcd has no directory",
      readSources(controllerSchema, given(["--node.id=1", "--consensus.backend=etcd://a:2379"])),
      "needs metadata.log.dir",
    ],
    ["when an etcd URL has no port", controller("--consensus.backend=etcd://a"), "consensus.backend"],
    ["when an etcd URL has no prefix", controller("--consensus.backend=etcd://a:1//p"), "has a prefix that is not"],
    [
      "when a user of etcd has no password",
      controller("--consensus.etcd.username=tidemark"),
      "needs consensus.etcd.password",
    ],
    [
      "when a certificate for etcd has no key",
      controller("--consensus.etcd.tls.ca=/a", "--consensus.etcd.tls.cert=/c"),
      "needs consensus.etcd.tls.key",
    ],
    [
      "when two places are named for the metadata",
      controller("--consensus.backend=single:///other"),
      'names another directory than metadata.log.dir; beside it metadata.log.dir = "/meta"',
    ],
    [
      "when a voter stands where raft has its directory",
      controller("--consensus.backend=raft://1@a:4651"),
      "has a path that is not absolute",
    ],
    [
      "when no place is named for the metadata",
      readSources(controllerSchema, given(["--node.id=1"])),
      "does not say where it keeps its data. Set metadata.log.dir",
    ],
  ])("%s", (_, resolved, message) => {
    expect(saidOf(resolved as unknown as Resolved<Settings>)).toContain(message);
  });
});

describe("a rule", () => {
  test("is silent while a value it needs is malformed", () => {
    const said = saidOf(broker("--broker.session.timeout.ms=soon") as unknown as Resolved<Settings>);
    expect(said).toContain("One setting is wrong:");
  });

  test.each([
    ["timers that just fit", broker("--broker.heartbeat.interval.ms=1000", "--replica.lag.time.max.ms=6001")],
    ["two free ports", broker("--listeners=client://a:0,internal://a:0", "--metrics.listener=a:0")],
    [
      "an address in advertised.listeners",
      broker(
        "--listeners=client://0.0.0.0:1,internal://0.0.0.0:2",
        "--advertised.listeners=client://a:1,internal://a:2",
      ),
    ],
    ["one place named twice", controller("--consensus.backend=single:///meta")],
  ])("allows %s", (_, resolved) => {
    expect(saidOf(resolved as unknown as Resolved<Settings>)).toBe("");
  });

  test("warns of a listener beyond this machine without TLS, and lets it pass with TLS", () => {
    const tls = ["--listener.name.internal.tls.cert=/c", "--listener.name.internal.tls.key=/k"];
    const resolved = broker("--listeners=client://10.0.0.1:1,internal://10.0.0.1:2", ...tls);
    expect(resolved.ok && resolved.config.warnings.map(({ reason }) => reason)).toEqual([
      'opens the listener "client" beyond this machine (10.0.0.1:1) without TLS',
    ]);
  });

  test.each([brokerSchema, controllerSchema, gatewaySchema, clientSchema])(
    "of a $name needs only keys that it has",
    ({ rules, settings }) => {
      for (const { needs } of rules) {
        for (const key of needs) expect(Object.keys(settings)).toContain(key);
      }
    },
  );
});

describe("the consensus backend", () => {
  test.each([
    ["its own key", ["--metadata.log.dir=/meta"]],
    ["a URL", ["--consensus.backend=single:///meta"]],
  ])("keeps its data where %s says", (_, flags) => {
    const resolved = readSources(controllerSchema, given(["--node.id=1", ...flags]));
    expect(resolved.ok && consensusChoice(resolved.config.values)).toEqual({ kind: "single", directory: "/meta" });
  });
});
