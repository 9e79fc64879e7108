import { create } from "@bufbuild/protobuf";
import { Reason } from "@tidemark/proto/common/v1";
import { ListOffsetsResponseSchema } from "@tidemark/proto/log/v1";
import type { CallOptions } from "@tidemark/rpc";
import { expect, test } from "vitest";
import { describeTopic } from "./describe-topic.ts";
import { refused } from "./testing/fake-cluster.ts";

test("where no controller answers, the data service is asked, and not waited for longer than a controller", async () => {
  const asked: (CallOptions | undefined)[] = [];
  const silent = (_: unknown, options?: CallOptions) => {
    asked.push(options);
    return Promise.reject(refused(Reason.DEADLINE_EXCEEDED));
  };
  const listOffsets = (_: unknown, options?: CallOptions) => {
    asked.push(options);
    return Promise.resolve(create(ListOffsetsResponseSchema, { offsets: [{ partition: 0 }, { partition: 1 }] }));
  };
  const admin = { describeTopics: silent, describeCluster: silent };
  const described = await describeTopic({ admin, log: { listOffsets } }, "t");
  expect(described).toEqual({ facts: { topicId: "", partitions: 2 }, leaders: new Map() });
  expect(asked).toEqual([{ timeoutMs: 3000 }, { timeoutMs: 3000 }, { timeoutMs: 3000 }]);
});
