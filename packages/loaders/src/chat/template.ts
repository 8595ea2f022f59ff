import { Template } from "@huggingface/jinja";
import { ConfigError } from "@latentkit/core";
import { pythonEquals } from "./python-equals.ts";
import { pythonStrip } from "./python-strip.ts";
import { strftime } from "./strftime.ts";

/** A chat template, ready to be run with its variables; throws {@link ConfigError} `CHAT_TEMPLATE` where it refuses. */
export type RunTemplate = (variables: Readonly<Record<string, unknown>>, now: Date) => string;

// No template can name these: they have spaces.
const equalsName = "python equals";
const clockName = "strftime at a time";
const stripName = "python strip";

/**
 * Parses a Jinja template of chats. The library compares as JavaScript does (`'' == false`), strips what JavaScript calls white
 * space whatever characters it is given, and its clock speaks the machine's language: all are replaced by what Python does.
 *
 * @throws ConfigError `CHAT_TEMPLATE` where it cannot be parsed
 */
export function parseTemplate(source: string): RunTemplate {
  const template = attempt("cannot be parsed", "get the tokenizer of this model again", () => {
    const parsed = new Template(source);
    asPython(parsed.parsed);
    return parsed;
  });
  return (variables, now) =>
    attempt(
      "refused the conversation",
      "change roles or their order to what the model's template allows",
      () =>
        template.render({
          ...variables,
          [equalsName]: pythonEquals,
          [stripName]: strip,
          [clockName]: (format: string) => strftime(now, format),
        }),
    );
}

function attempt<T>(what: string, fix: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw new ConfigError({
      code: "CHAT_TEMPLATE",
      message: `the chat template ${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
      fix,
      cause,
    });
  }
}

type Node = Readonly<Record<string, unknown>>;

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null;
}

function identifier(value: string): Node {
  return { type: "Identifier", value };
}

function callOf(name: string, args: readonly unknown[]): Node {
  return { type: "CallExpression", callee: identifier(name), args };
}

/** Rewrites a parsed template in place: comparisons and stripping become calls, and the clock another one. */
function asPython(node: unknown): void {
  if (!isNode(node)) return;
  for (const value of Object.values(node)) asPython(value);
  const rewritten = rewriteNode(node);
  if (rewritten !== null) Object.assign(node, rewritten);
}

function rewriteNode(node: Node): Node | null {
  switch (node.type) {
    case "Identifier":
      return node.value === "strftime_now" ? identifier(clockName) : null;
    case "BinaryExpression": {
      const sign = isNode(node.operator) ? node.operator.value : null;
      if (sign !== "==" && sign !== "!=") return null;
      const { left, right } = node;
      const equal = callOf(equalsName, [left, right, isNone(left), isNone(right)]);
      const not = { type: "UnaryOperator", value: "not" };
      return sign === "==" ? equal : { type: "UnaryExpression", operator: not, argument: equal };
    }
    case "CallExpression": {
      const { callee, args } = node;
      if (!isNode(callee) || callee.type !== "MemberExpression" || callee.computed === true)
        return null;
      const method = isNode(callee.property) ? callee.property.value : null;
      if (method !== "strip" && method !== "lstrip" && method !== "rstrip") return null;
      const characters: readonly unknown[] = Array.isArray(args) ? args : [];
      return callOf(stripName, [
        callee.object,
        { type: "StringLiteral", value: method },
        ...characters,
      ]);
    }
    case "FilterExpression":
      return isNode(node.filter) &&
        node.filter.type === "Identifier" &&
        node.filter.value === "trim"
        ? callOf(stripName, [node.operand, { type: "StringLiteral", value: "trim" }])
        : null;
    default:
      return null;
  }
}

function strip(text: unknown, method: string, characters?: unknown): string {
  if (typeof text === "string")
    return pythonStrip(text, method, typeof characters === "string" ? characters : null);
  // The filter takes what is not defined, too.
  if (method === "trim" && (text === undefined || text === null)) return "";
  throw new ConfigError({
    code: "CHAT_TEMPLATE",
    message: `${method} was called on ${text === undefined ? "what is not defined" : `a value of the type ${typeof text}`}, a text was expected`,
    fix: "give the messages that the model's template asks for",
  });
}

/** `operand is none`: by value alone the library does not tell none from undefined. */
function isNone(operand: unknown): Node {
  return { type: "TestExpression", operand, negate: false, test: identifier("none") };
}
