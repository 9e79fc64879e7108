import { Server } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { acceptEveryPath, tuneHttp2 } from "./grpc-internals.ts";

const tuning = { streamWindow: 1, connectionWindow: 1, resetsPerSecond: 1, onSession: () => undefined };

it("knows the version of grpc-js that is installed", () => {
  const server = new Server();
  expect(() => tuneHttp2(server, tuning)).not.toThrow();
  expect(() => acceptEveryPath(server)).not.toThrow();
});

it("refuses a version of grpc-js that is built differently", () => {
  const other = JSON.parse("{}") as Server;
  expect(() => tuneHttp2(other, tuning)).toThrow(/built differently/);
  expect(() => acceptEveryPath(other)).toThrow(/built differently/);
});
