import { grpcTransport, type Transport } from "@tidemark/rpc";
import { createNodeRuntime } from "@tidemark/runtime";
import { expect, test } from "vitest";
import { createChannels } from "./channels.ts";

test("nothing that is asked for after the end is left open", () => {
  const open: string[] = [];
  const transport: Transport = {
    ...grpcTransport,
    createChannel(endpoint, options) {
      const channel = grpcTransport.createChannel(endpoint, options);
      open.push(endpoint);
      return {
        ...channel,
        close() {
          channel.close();
          open.splice(open.indexOf(endpoint), 1);
        },
      };
    },
  };
  const channels = createChannels({ runtime: createNodeRuntime(), transport });
  channels.get("127.0.0.1:1", "admin");
  expect(open).toEqual(["127.0.0.1:1"]);
  channels.close();
  expect(channels.get("127.0.0.1:2", "produce").state()).toBe("closed");
  expect(open).toEqual([]);
});
