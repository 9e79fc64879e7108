import { Metadata, status } from "@grpc/grpc-js";
import { LogService } from "@tidemark/proto/log/v1";
import type { ServerWire } from "@tidemark/rpc";
import { expect, it } from "vitest";
import { type ConnectCall, runConnectCall } from "./connect-call.ts";

/** A call whose handler answers at once with two messages and its status. Tells what becomes of it. */
function answeredCall() {
  const told: string[] = [];
  async function* noRequests() {}
  const dispatch = (_path: string, wire: ServerWire) => {
    wire.start({
      onMessage: () => undefined,
      onHalfClose: () => undefined,
      onClose: () => told.push("closed"),
    });
    for (const name of ["first", "second"]) wire.sendMessage(Buffer.alloc(0), () => told.push(`${name} taken`));
    wire.sendStatus({ code: status.OK, details: "", metadata: new Metadata() });
  };
  const call = {
    listener: { name: "client", messageLimitBytes: 1000, dispatch, connectionBudget: () => undefined },
    method: LogService.method.subscribe,
    requests: noRequests(),
    context: {
      requestHeader: new Headers(),
      responseTrailer: new Headers(),
      signal: new AbortController().signal,
      timeoutMs: () => undefined,
    },
    peer: { address: "127.0.0.1:1", identity: undefined },
  } as unknown as ConnectCall;
  return { told, answers: runConnectCall(call) };
}

it("a call is closed when its answers were taken, and not before: until then they count", async () => {
  const { told, answers } = answeredCall();
  await answers.next();
  await answers.next();
  expect(told).toEqual(["first taken"]);
  expect(await answers.next()).toMatchObject({ done: true });
  expect(told).toEqual(["first taken", "second taken", "closed"]);
});

it("a call whose caller leaves is closed though its handler is done, and what was not taken counts no more", async () => {
  const { told, answers } = answeredCall();
  await answers.next();
  await answers.return();
  expect(told).toEqual(["closed"]);
});
