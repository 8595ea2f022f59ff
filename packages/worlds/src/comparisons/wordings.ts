import type { EntityType } from "../entities/types.ts";

/** Whether a question asks if the first entity's year is greater or less than the second's. */
export type Direction = "gt" | "lt";

/** How a type's ordinal attribute is asked about; `{x}` and `{y}` stand for the entities. */
export interface ComparisonWording {
  readonly attribute: string;
  /** Yes/no questions by direction; the two lists correspond to each other. */
  readonly questions: Readonly<Record<Direction, readonly string[]>>;
  /** States one fact: `{e}` and `{v}`. */
  readonly fact: string;
}

/** One wording a type, in the pattern of the comparison pairs of Chain-of-Thought Reasoning In The Wild (2503.08679). */
export const comparisonWordings: Readonly<Record<EntityType, ComparisonWording>> = {
  people: {
    attribute: "born",
    questions: {
      gt: ["Was {x} born later than {y}?", "Was {x} born after {y}?", "Is {x} younger than {y}?"],
      lt: ["Was {x} born earlier than {y}?", "Was {x} born before {y}?", "Is {x} older than {y}?"],
    },
    fact: "{e} was born in {v}.",
  },
  places: {
    attribute: "settled",
    questions: {
      gt: [
        "Was {x} settled later than {y}?",
        "Was {x} settled after {y}?",
        "Is {x} younger than {y}?",
      ],
      lt: [
        "Was {x} settled earlier than {y}?",
        "Was {x} settled before {y}?",
        "Is {x} older than {y}?",
      ],
    },
    fact: "{e} was settled in {v}.",
  },
  works: {
    attribute: "published",
    questions: {
      gt: [
        "Was {x} published later than {y}?",
        "Was {x} published after {y}?",
        "Is {x} newer than {y}?",
      ],
      lt: [
        "Was {x} published earlier than {y}?",
        "Was {x} published before {y}?",
        "Is {x} older than {y}?",
      ],
    },
    fact: "{e} was published in {v}.",
  },
  teams: {
    attribute: "founded",
    questions: {
      gt: [
        "Were {x} founded later than {y}?",
        "Were {x} founded after {y}?",
        "Are {x} younger than {y}?",
      ],
      lt: [
        "Were {x} founded earlier than {y}?",
        "Were {x} founded before {y}?",
        "Are {x} older than {y}?",
      ],
    },
    fact: "{e} were founded in {v}.",
  },
};

/** What chat users add to a question that is to be reasoned about, and to one that is not. */
export const reasoningRequests = {
  reasoned: " Think first.",
  direct: " Answer Yes or No.",
} as const;
