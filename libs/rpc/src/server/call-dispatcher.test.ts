import { Metadata, status } from "@grpc/grpc-js";
import { Reason } from "@tidemark/proto/common/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { expect, it } from "vitest";
import { fromGrpcStatus, type GrpcStatus } from "../errors/grpc-status.ts";
import { TidemarkError } from "../errors/tidemark-error.ts";
import { eventually, runtime } from "../testing/harness.ts";
import { createByteBudget } from "../wire/byte-budget.ts";
import { createCallDispatcher } from "./call-dispatcher.ts";
import { serve } from "./served-service.ts";
import type { ServerWire, ServerWireListener } from "./server-wire.ts";

/** The end of a call that its test holds in its hands. */
const createFakeWire = () => {
  const ended: GrpcStatus[] = [];
  const heard: ServerWireListener[] = [];
  const wire: ServerWire = {
    metadata: new Metadata(),
    peer: "peer:1",
    identity: () => undefined,
    listener: "client",
    timeoutMs: Number.POSITIVE_INFINITY,
    connectionBudget: createByteBudget({ name: "connection", limit: 1_000_000 }),
    start: (listener) => heard.push(listener),
    startRead: () => undefined,
    sendMessage: () => undefined,
    sendStatus: (sent) => ended.push(sent),
  };
  return { wire, ended, heard };
};

const createDispatcher = (produce: () => Promise<object>) =>
  createCallDispatcher([serve(LogService, { produce })], {
    ...runtime,
    onDefect: () => undefined,
    observer: undefined,
    elementLimit: 1000,
    sendLimit: 1_000_000,
    queueLimit: 1_000_000,
  });

it("refuses calls that come while the process stops, and lets those finish that came before", async () => {
  let finish: (response: object) => void = () => undefined;
  const dispatcher = createDispatcher(() => new Promise((resolve) => (finish = resolve)));
  const before = createFakeWire();
  dispatcher.dispatch("/tidemark.log.v1.LogService/Produce", before.wire);
  before.heard[0]?.onMessage(new Uint8Array());
  before.heard[0]?.onHalfClose();
  dispatcher.stop(new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "stopping" }));
  const after = createFakeWire();
  dispatcher.dispatch("/tidemark.log.v1.LogService/Produce", after.wire);
  expect(after.ended.map((ended) => fromGrpcStatus(ended).reason)).toEqual([Reason.SHUTTING_DOWN]);
  expect([before.ended, dispatcher.activeCalls()]).toEqual([[], 1]);
  finish({});
  await eventually(() => before.ended.map(({ code }) => code)).toEqual([status.OK]);
  expect(dispatcher.activeCalls()).toBe(0);
});

it("ends a call once, whatever comes after its end", async () => {
  const dispatcher = createDispatcher(() => Promise.resolve({}));
  const { wire, ended, heard } = createFakeWire();
  dispatcher.dispatch("/tidemark.log.v1.LogService/Produce", wire);
  heard[0]?.onMessage(new Uint8Array());
  heard[0]?.onHalfClose();
  await eventually(() => ended).toHaveLength(1);
  heard[0]?.onClose();
  heard[0]?.onMessage(Uint8Array.of(1));
  dispatcher.force(new TidemarkError({ reason: Reason.SHUTTING_DOWN, message: "stopping" }));
  expect(ended).toHaveLength(1);
});
