import { LogService } from "@tidemark/proto/log/v1";
import { type CallContext, type DeadlineRule, type ServedService, serve } from "@tidemark/rpc";
import { asCallerSees, type LogContext } from "./context.ts";
import { createFetch } from "./fetch.ts";
import { createInitProducer } from "./init-producer.ts";
import { createDescribeLog, createExplainOffset, createListOffsets } from "./offsets.ts";
import { createProduce } from "./produce.ts";
import { createProduceStream } from "./produce-stream.ts";
import { createSubscribe } from "./subscribe/subscribe.ts";

/** The data service, for every partition of the cluster. */
export function createLogService(context: LogContext, deadline: DeadlineRule): ServedService {
  return serve(
    LogService,
    {
      initProducer: asCallersSee(createInitProducer(context)),
      produce: asCallersSee(createProduce(context)),
      fetch: asCallersSee(createFetch(context)),
      subscribe: createSubscribe(context),
      listOffsets: asCallersSee(createListOffsets(context)),
      describeLog: asCallersSee(createDescribeLog(context)),
      explainOffset: asCallersSee(createExplainOffset(context)),
    },
    {
      raw: { produceStream: createProduceStream(context) },
      rules: {
        initProducer: { deadline },
        produce: { deadline },
        fetch: { deadline, longPoll: true },
        listOffsets: { deadline },
        describeLog: { deadline },
        explainOffset: { deadline },
      },
    },
  );
}

function asCallersSee<Request, Answer>(
  handle: (request: Request, call: CallContext) => Promise<Answer>,
): (request: Request, call: CallContext) => Promise<Answer> {
  return async (request, call) => {
    try {
      return await handle(request, call);
    } catch (error) {
      throw asCallerSees(error, call);
    }
  };
}
