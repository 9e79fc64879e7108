import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { DefectHook } from "../errors/to-error.ts";
import { DEFAULT_DEADLINE, type DeadlineRule, STREAM_DEADLINE } from "../wire/budgets.ts";
import { codecFor } from "../wire/codecs.ts";
import { methodPath } from "../wire/method-path.ts";
import type { MethodSpec } from "./method-spec.ts";
import { toRawHandler, unsupportedHandler } from "./raw-handlers.ts";
import type { RawServiceImpl, ServiceImpl } from "./service-impl.ts";

/** How one method differs from others of its kind. */
export interface MethodRule {
  /** Absent: 30 s given, 60 s at most for calls with one answer; none for streams. */
  readonly deadline?: DeadlineRule;
  /** For calls with one answer that wait for something to happen: told at once when the server stops. */
  readonly longPoll?: boolean;
}

export interface ServeOptions<Desc extends DescService> {
  /** Handlers in the raw form, in place of those of the implementation. */
  readonly raw?: RawServiceImpl<Desc>;
  readonly rules?: { readonly [Name in keyof Desc["method"]]?: MethodRule };
}

/** A service with what it does, ready to be mounted on listeners. */
export interface ServedService {
  readonly service: DescService;
  /** The methods by their path, /package.Service/Method. */
  specs(onDefect: DefectHook): ReadonlyMap<string, MethodSpec>;
}

/** A method that is left out answers with REASON_UNSUPPORTED. */
export function serve<Desc extends DescService>(
  service: Desc,
  implementation: Partial<ServiceImpl<Desc>>,
  options: ServeOptions<Desc> = {},
): ServedService {
  return {
    service,
    specs: (onDefect) =>
      new Map(
        service.methods.map((method) => [
          methodPath(method),
          specOf(method, {
            handler: (options.raw as Record<string, MethodSpec["handler"]> | undefined)?.[method.localName],
            implementation,
            rule: (options.rules as Record<string, MethodRule> | undefined)?.[method.localName] ?? {},
            onDefect,
          }),
        ]),
      ),
  };
}

interface MethodParts {
  readonly handler: MethodSpec["handler"] | undefined;
  readonly implementation: object;
  readonly rule: MethodRule;
  readonly onDefect: DefectHook;
}

function specOf(method: DescMethod, parts: MethodParts): MethodSpec {
  const { handler, implementation, rule, onDefect } = parts;
  const isStream = method.methodKind !== "unary";
  return {
    method,
    input: codecFor(method.input),
    output: codecFor(method.output),
    deadline: rule.deadline ?? (isStream ? STREAM_DEADLINE : DEFAULT_DEADLINE),
    longLived: rule.longPoll ?? isStream,
    handler: handler ?? handlerOf(method, implementation, onDefect),
  };
}

/** Methods keep their object as `this`, so a class instance can be served too. */
function handlerOf(method: DescMethod, implementation: object, onDefect: DefectHook): MethodSpec["handler"] {
  const implemented = (implementation as Record<string, unknown>)[method.localName];
  if (typeof implemented !== "function") return unsupportedHandler(methodPath(method).slice(1));
  const bound: unknown = implemented.bind(implementation);
  return toRawHandler(method, bound, onDefect);
}
